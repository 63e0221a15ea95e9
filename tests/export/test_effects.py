"""Effects beside scipy's correlation and medians by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from scipy.stats import spearmanr

from export.effects import LEAST_TRIALS, effects
from export.results import Results, Run, Study, TrialRow
from spaces.candidate import Objective, Scalar


def study_of(values: list[tuple[dict[str, Scalar], float]]) -> Study:
    log = {"temperature": FloatDistribution(1.0, 8.0, log=True)}
    rows = [
        TrialRow(number, "trained", params, (score,), distributions=log)
        for number, (params, score) in enumerate(values)
    ]
    return Study(Results(Path("nowhere")), Run("r", (Objective("score", "maximize"),), "b", {}, {}), tuple(rows))


def test_points_are_ascending_with_their_students_and_the_scale_that_they_were_drawn_on() -> None:
    values: list[tuple[dict[str, Scalar], float]] = [
        ({"temperature": float(8 - at), "alpha": 0.5, "student": "gru" if at % 2 else "tcn"}, at / 10)
        for at in range(8)
    ]
    # Alpha never changes, and neg_per_pos and peak_lr are not in this space.
    (effect,) = effects(study_of(values))
    assert effect.name == "temperature" and effect.log
    assert effect.trials == tuple(range(7, -1, -1))
    assert effect.x == tuple(float(x) for x in range(1, 9))
    assert effect.groups[:2] == ("gru", "tcn")
    assert effect.rank_correlation == pytest.approx(-1.0)
    assert effect.by_chance == pytest.approx(1.96 / 7**0.5)
    # Five neighbours each: the middle one of .7 .6 .5 .4 .3, and at both ends the nearest five.
    assert effect.median == pytest.approx((0.5, 0.5, 0.5, 0.4, 0.3, 0.2, 0.2, 0.2))


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_rank_correlation_is_spearmans_with_ties(seed: int) -> None:
    dice = np.random.default_rng(seed)
    x, y = dice.integers(0, 6, 30).astype(float), dice.integers(0, 8, 30).astype(float)
    x[:2] = 0, 1
    y[:2] = 0, 1
    (effect,) = effects(study_of([({"alpha": float(a)}, float(b)) for a, b in zip(x, y, strict=True)]))
    assert effect.rank_correlation == pytest.approx(spearmanr(x, y).statistic)


def test_few_trials_equal_values_and_choices_have_no_effect_plot() -> None:
    few: list[tuple[dict[str, Scalar], float]] = [({"alpha": at / 9}, 0.1) for at in range(LEAST_TRIALS - 1)]
    assert effects(study_of(few)) == []
    assert effects(study_of([({"alpha": 0.5}, at / 9) for at in range(9)])) == []
    assert effects(study_of([({"alpha": "half"}, at / 9) for at in range(9)])) == []
    (flat,) = effects(study_of([({"alpha": at / 9}, 0.5) for at in range(9)]))
    assert flat.rank_correlation == 0.0
