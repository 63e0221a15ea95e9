"""Importance beside Optuna's own evaluator, its guard against chance, and branches of a conditional space."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from export.importance import LEAST_TRIALS, MOST_TRIALS, SEED, TREES, importances
from export.results import Results, Run, Study, TrialRow
from spaces.candidate import Objective, Scalar

SPACE: dict[str, BaseDistribution] = {
    "student": CategoricalDistribution(("gru", "tcn")),
    "alpha": FloatDistribution(0.0, 1.0),
    "temperature": FloatDistribution(1.0, 8.0, log=True),
}
WIDTH = IntDistribution(8, 64, step=8)
Score = Callable[[dict[str, Scalar], np.random.Generator], float]


def drawn(count: int, score: Score, seed: int = 0) -> Study:
    """A study of random trials; a GRU has a width, a TCN has none."""
    dice = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        params: dict[str, Scalar] = {
            "student": str(dice.choice(["gru", "tcn"])),
            "alpha": float(dice.random()),
            "temperature": float(8 ** dice.random()),
        }
        if params["student"] == "gru":
            params["gru_width"] = int(8 * dice.integers(1, 9))
        value = float(score(params, dice))
        kept = {**SPACE, "gru_width": WIDTH}
        rows.append(
            TrialRow(number, "trained", params, (value, 1.0), distributions={name: kept[name] for name in params})
        )
    objectives = (Objective("score", "maximize"), Objective("decision_ms", "minimize"))
    return Study(Results(Path("nowhere")), Run("wakeword", objectives, "board", {}, {}), tuple(rows))


def by_alpha(params: dict[str, Scalar], dice: np.random.Generator) -> float:
    return 1 - (float(params["alpha"]) - 0.4) ** 2 + dice.normal(0, 0.02)


def by_nothing(params: dict[str, Scalar], dice: np.random.Generator) -> float:
    return float(dice.random())


def by_width(params: dict[str, Scalar], dice: np.random.Generator) -> float:
    return float(params.get("gru_width", 30)) / 64 + dice.normal(0, 0.01)


def test_shares_are_those_of_optunas_evaluator() -> None:
    study = drawn(40, by_alpha)
    reference = optuna.create_study(direction="maximize")
    for row in study.trials:
        params = {name: row.params[name] for name in SPACE}
        reference.add_trial(optuna.trial.create_trial(params=params, distributions=SPACE, value=row.values[0]))
    evaluator = FanovaImportanceEvaluator(n_trees=TREES, seed=SEED)
    wanted = get_param_importances(reference, evaluator=evaluator)
    common = importances(study)[0]
    assert (common.condition, common.trials) == ("", 40)
    assert {row.name: row.share for row in common.rows} == pytest.approx(wanted)
    assert common.rows[0].name == "alpha" and common.rows[0].clear
    assert not any(row.clear for row in common.rows[1:])


def test_the_bar_that_chance_sets_is_missed_by_noise() -> None:
    found = [row for seed in range(4) for row in importances(drawn(24, by_nothing, seed))[0].rows]
    # One study in twenty has such a parameter.
    assert sum(row.clear for row in found) <= 1
    assert all(row.by_chance > 0.3 for row in found)


def test_a_conditional_parameter_is_judged_among_the_trials_that_have_it() -> None:
    study = drawn(60, by_width)
    common, branch = importances(study)
    assert "gru_width" not in common.names
    assert branch.condition == "student=gru" and branch.names == ("gru_width",)
    assert branch.trials == sum(row.params["student"] == "gru" for row in study.trials)
    (width,) = branch.rows
    assert width.clear and width.share > 0.8


def test_too_few_trials_have_no_importance() -> None:
    assert all(not branch.rows for branch in importances(drawn(LEAST_TRIALS - 1, by_alpha)))
    common, branch = importances(drawn(LEAST_TRIALS, by_alpha))
    assert common.rows and not branch.rows and branch.trials < LEAST_TRIALS


def test_equal_scores_and_no_trials_have_no_importance() -> None:
    assert all(not branch.rows for branch in importances(drawn(30, lambda *_: 0.5)))
    assert importances(drawn(0, by_alpha)) == []


def test_large_studies_are_thinned_evenly_and_ranges_that_were_changed_are_joined() -> None:
    study = drawn(MOST_TRIALS + 30, by_alpha)
    late = {"alpha": FloatDistribution(0.0, 2.0), "student": CategoricalDistribution(("gru", "tcn", "lstm"))}
    rows = [
        TrialRow(r.number, r.outcome, r.params, r.values, distributions={**r.distributions, **late})
        if r.number % 2
        else r
        for r in study.trials
    ]
    common = importances(Study(study.results, study.run, tuple(rows)))[0]
    assert common.trials == MOST_TRIALS + 30
    assert {row.trials for row in common.rows} == {MOST_TRIALS}
    assert common.rows[0].name == "alpha"


def test_nothing_is_printed_and_optuna_speaks_as_before(capfd: pytest.CaptureFixture[str]) -> None:
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        importances(drawn(20, by_alpha))
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
    assert capfd.readouterr() == ("", "")
