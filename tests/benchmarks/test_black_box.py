"""The black box, its walls, and the figures of a benchmark of searches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution

from spaces import recipe_space
from spaces.budget import Budget
from spaces.candidate import Candidate
from spaces.narrowed import parameters
from tests.benchmarks.black_box import (
    ARCHITECTURE,
    HOPS_MS,
    IN_TABLE,
    LEARNING,
    MELS,
    BlackBox,
    architecture_of,
    footprint_of_params,
    share_that_fits,
    table,
    values_of,
    wall_of,
)
from tests.benchmarks.ledger import (
    KNOWN_FOOTPRINT_SECONDS,
    NEW_FOOTPRINT_SECONDS,
    TRAINED_SECONDS,
    Assignment,
    Ledger,
    Trained,
)
from tests.benchmarks.search_figures import feasible_hypervolume, markdown, mean_interval, ratio_interval

BOX = BlackBox()
START = dict(BOX.START_POINTS[0])


def random_draws(count: int) -> list[dict[str, Any]]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    trials = [study.ask() for _ in range(count)]
    for trial in trials:
        BOX.space(trial)
    return [trial.params for trial in trials]


DRAWS = random_draws(2000)


def test_the_space_is_the_recipes_over_the_front_ends_and_students_of_the_table() -> None:
    ours, recipes = parameters(BOX), parameters(recipe_space("wakeword"))
    learning = {name: recipes[name] for name in LEARNING}
    students = {name: recipes[name] for name in ARCHITECTURE if name not in IN_TABLE}
    assert ours == {**learning, **students, **{name: CategoricalDistribution(IN_TABLE[name]) for name in IN_TABLE}}
    assert isinstance(BOX.space(optuna.trial.FixedTrial(START)), Candidate)


def test_the_table_holds_every_architecture_that_can_be_drawn() -> None:
    assert len(table()) == len(MELS) * len(HOPS_MS) * (8 * 3 * 2 + 12 * 5 * 2)
    assert {architecture_of(params) for params in DRAWS} <= set(table())
    assert len({footprint.profiler_version for footprint in table().values()}) == 1


@pytest.mark.parametrize("share", [0.40, 0.18, 0.03, 0.01])
def test_a_wall_admits_the_share_that_it_names(share: float) -> None:
    wall = wall_of(share)
    assert wall.share == pytest.approx(share, rel=0.02)
    assert share_that_fits(wall.budget) == pytest.approx(wall.share)
    drawn = sum(wall.budget.fits(footprint_of_params(params)) for params in DRAWS) / len(DRAWS)
    assert drawn == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / len(DRAWS)))


def test_walls_keep_the_proportions_of_the_default_budget() -> None:
    top, default = wall_of(0.18).budget, BOX.BUDGET
    assert top.flash_bytes / default.flash_bytes == pytest.approx(top.arena_bytes / default.arena_bytes)
    assert top.latency_ms / default.latency_ms == pytest.approx(top.arena_bytes / default.arena_bytes)


def test_costs_are_the_tables_and_the_score_repeats_with_its_seed() -> None:
    footprint = footprint_of_params(START)
    assert values_of(START, 1) == values_of(START, 1)
    assert values_of(START, 1)[0] != values_of(START, 2)[0]
    assert values_of(START, 1)[1:] == (footprint.decision_ms, footprint.arena_bytes)


def test_the_start_point_leaves_room_and_kinds_want_different_things() -> None:
    scores = {str(params): values_of(params, 0)[0] for params in DRAWS}
    assert values_of(START, 0)[0] < np.percentile(list(scores.values()), 75)
    best = {
        kind: max((p for p in DRAWS if p["student"] == kind), key=lambda p: scores[str(p)])
        for kind in ("tiny_conv", "ds_cnn")
    }
    assert best["tiny_conv"]["alpha"] > best["ds_cnn"]["alpha"]
    assert best["tiny_conv"]["temperature"] < best["ds_cnn"]["temperature"]


def test_a_larger_student_of_one_shape_scores_higher() -> None:
    wider = [{**START, "tiny_conv_width": width, "tiny_conv_depth": 4} for width in (8, 16, 32)]
    # Their best rates differ a little: compare each at its own.
    best = [max(values_of({**p, "peak_lr": 10 ** (-4 + k / 20)}, 0)[0] for k in range(41)) for p in wider]
    assert all(smaller < larger for smaller, larger in pairwise(best))


def ledger(share: float = 0.4, trials: int = 3) -> Ledger:
    return Ledger(Assignment(wall_of(share), 0, trials))


def test_the_ledger_charges_what_it_says() -> None:
    account = ledger()
    account.footprint(START)
    account.footprint({**START, "alpha": 0.9})
    account.train(START)
    assert (account.footprints_new, account.footprints_known, account.left) == (1, 1, 2)
    assert account.seconds == pytest.approx(TRAINED_SECONDS + NEW_FOOTPRINT_SECONDS + KNOWN_FOOTPRINT_SECONDS)
    assert account.trained[0].at_seconds == account.seconds
    assert account.trained[0].fits == account.assignment.wall.budget.fits(footprint_of_params(START))


def trained(score: float, decision_ms: float, arena_bytes: float, **changes: Any) -> Trained:
    return replace(Trained((score, decision_ms, arena_bytes), True, 10.0), **changes)


TOP = Budget(flash_bytes=100, arena_bytes=1000, latency_ms=10)


def test_hypervolume_is_the_share_of_the_box() -> None:
    one = trained(0.5, 5.0, 500.0)
    assert feasible_hypervolume([one], TOP) == pytest.approx(0.5 * 0.5 * 0.5)
    # The second adds its slab above the first's score: 0.3 x 0.2 x 0.5.
    assert feasible_hypervolume([one, trained(0.8, 8.0, 500.0)], TOP) == pytest.approx(0.125 + 0.3 * 0.2 * 0.5)


def test_what_does_not_fit_or_comes_too_late_adds_nothing() -> None:
    one = trained(0.5, 5.0, 500.0)
    assert feasible_hypervolume([trained(0.9, 1.0, 1.0, fits=False)], TOP) == 0.0
    assert feasible_hypervolume([one, trained(0.9, 1.0, 1.0, at_seconds=99.0)], TOP, 50) == pytest.approx(0.125)
    assert feasible_hypervolume([], TOP) == 0.0


def test_the_interval_of_a_mean_is_students() -> None:
    mean, low, high = mean_interval([1.0, 2.0, 3.0])
    # t(.975, 2) = 4.3027 on a standard error of 1 / sqrt(3).
    assert (mean, low, high) == pytest.approx((2.0, 2 - 4.3027 / math.sqrt(3), 2 + 4.3027 / math.sqrt(3)), abs=1e-3)
    assert math.isnan(mean_interval([1.0])[1])


@given(st.lists(st.floats(0.1, 1), min_size=2, max_size=12), st.floats(0.5, 3))
def test_the_ratio_of_seeds_that_keep_their_distance_is_certain(theirs: list[float], factor: float) -> None:
    found = ratio_interval([factor * value for value in theirs], theirs)
    assert found == pytest.approx((factor, factor, factor))


def test_the_ratio_pairs_the_seeds_and_bears_a_peer_that_found_nothing() -> None:
    middle, low, high = ratio_interval([0.4, 0.5, 0.6, 0.5], [0.2, 0.5, 0.3, 0.0])
    assert middle == pytest.approx(2.0)
    assert low < 2.0 < high
    assert ratio_interval([0.1, 0.1], [0.0, 0.0]) == (math.inf, math.inf, math.inf)
    # Only the seeds that both ran.
    assert ratio_interval([1.0, 2.0, 9.0], [1.0, 1.0])[0] == pytest.approx(1.5)


def test_tables_are_markdown() -> None:
    assert markdown(["", "a"], [["x", "1"], ["y", "2"]]) == "|  | a |\n| --- | ---: |\n| x | 1 |\n| y | 2 |"


def test_the_table_is_read_as_it_was_written() -> None:
    types: Mapping[str, type] = {name: type(value) for name, value in asdict(footprint_of_params(START)).items()}
    assert types["flash_bytes"] is int
    assert types["decision_ms"] is float
    assert types["profiler_version"] is str
