"""Means, intervals and probabilities over seeds, against hand-worked numbers, scipy and simulated studies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from export.confirmation import Confirmed, estimate, nondominated_probabilities, pooled_variance
from export.front import front_of

DIRECTIONS = ("maximize", "minimize")
SCORES = st.lists(st.floats(0, 1), min_size=2, max_size=8)


def test_interval_by_hand() -> None:
    found = estimate([0.90, 0.92, 0.94])
    # Deviation .02, over the root of 3, times the 4.3027 of two degrees of freedom.
    assert [found.count, found.mean] == pytest.approx([3, 0.92])
    assert [found.low, found.high] == pytest.approx([0.92 - 0.049683, 0.92 + 0.049683], abs=1e-6)


@given(SCORES)
def test_interval_is_scipys(scores: list[float]) -> None:
    found = estimate(scores)
    error = np.std(scores, ddof=1) / len(scores) ** 0.5
    # Where all agree scipy multiplies 0 by infinity.
    ends = stats.t.interval(0.95, len(scores) - 1, np.mean(scores), error) if error > 0 else (scores[0], scores[0])
    assert [found.low, found.high] == pytest.approx(list(ends), abs=1e-12)


@pytest.mark.parametrize(("scores", "mean"), [([], None), ([0.9], 0.9)])
def test_fewer_than_two_seeds_have_no_interval(scores: list[float], mean: float | None) -> None:
    found = estimate(scores)
    assert (found.count, found.mean, found.low, found.high) == (len(scores), mean, None, None)


def test_scores_and_tests_have_their_own_estimates() -> None:
    confirmed = Confirmed({1: 0.9, 2: 0.8}, {1: 0.7})
    assert [confirmed.score.mean, confirmed.score.count] == pytest.approx([0.85, 2])
    assert (confirmed.test.mean, confirmed.test.low) == (0.7, None)


def test_pooled_variance_by_hand() -> None:
    # Squares around the groups' means 2 + 6, degrees of freedom 1 + 2; a lone score adds neither.
    assert pooled_variance([[1.0, 3.0], [2.0, 2.0, 5.0], [7.0], []]) == pytest.approx((8 / 3, 3))


@pytest.mark.parametrize("groups", [[], [[0.9], [0.8]], [[]]])
def test_without_two_scores_of_anything_there_is_no_variance(groups: list[list[float]]) -> None:
    assert pooled_variance(groups) is None
    fresh = dict(enumerate(groups))
    assert nondominated_probabilities([(0.9, 1.0), (0.8, 1.0)], DIRECTIONS, 0, fresh, [0]) is None


@pytest.mark.parametrize("rival_score", [0.85, 0.88, 0.90, 0.93])
@pytest.mark.parametrize("rival_fresh", [[], [0.87, 0.89]])
def test_against_one_rival_it_is_students_t(rival_score: float, rival_fresh: list[float]) -> None:
    own, rival = [0.90, 0.89, 0.91, 0.87], [rival_score, *rival_fresh]
    fresh = {0: own[1:], 1: rival_fresh}
    [found] = nondominated_probabilities([(own[0], 5.0), (rival[0], 4.0)], DIRECTIONS, 0, fresh, [0]) or [np.nan]
    groups = [group for group in fresh.values() if group]
    freedom = sum(len(group) - 1 for group in groups)
    deviation = (sum((len(group) - 1) * np.var(group, ddof=1) for group in groups) / freedom) ** 0.5
    distance = (np.mean(own) - np.mean(rival)) / (deviation * (1 / len(own) + 1 / len(rival)) ** 0.5)
    assert found == pytest.approx(stats.t.cdf(distance, freedom), abs=0.02)


def test_a_better_rival_that_costs_more_takes_nothing_away() -> None:
    rows = [(0.90, 5.0), (0.99, 5.1)]
    assert nondominated_probabilities(rows, DIRECTIONS, 0, {0: [0.9, 0.901]}, [0]) == [1.0]


def test_far_apart_it_is_all_or_nothing() -> None:
    rows, fresh = [(0.90, 5.0), (0.99, 5.0), (0.10, 4.0)], {0: [0.9, 0.901, 0.899, 0.9, 0.901]}
    assert nondominated_probabilities(rows, DIRECTIONS, 0, fresh, [0, 1, 2]) == pytest.approx([0, 1, 1], abs=0.002)


def test_a_minimised_score_is_the_mirror_of_a_maximised_one() -> None:
    rows, fresh = [(0.90, 5.0), (0.91, 4.0), (0.89, 3.0)], {0: [0.92, 0.9], 1: [0.9, 0.93]}
    mirrored = [(-score, cost) for score, cost in rows]
    there = nondominated_probabilities(rows, DIRECTIONS, 0, fresh, [0, 1, 2])
    back = {row: [-score for score in scores] for row, scores in fresh.items()}
    assert nondominated_probabilities(mirrored, ("minimize", "minimize"), 0, back, [0, 1, 2]) == there
    swapped = [(cost, score) for score, cost in rows]
    assert nondominated_probabilities(swapped, ("minimize", "maximize"), 1, fresh, [0, 1, 2]) == there


STEPS = st.integers(0, 4).map(float)


@given(st.lists(st.tuples(STEPS, STEPS, STEPS), min_size=1, max_size=8))
def test_seeds_that_all_agree_leave_the_front_as_it_is(rows: list[tuple[float, float, float]]) -> None:
    directions = ("maximize", "minimize", "minimize")
    found = nondominated_probabilities(rows, directions, 0, {0: [rows[0][0]] * 2}, range(len(rows)))
    # Of equal rows the front holds the first alone; none of them dominates another.
    front = {rows[index] for index in front_of(rows, directions).indices}
    assert found == [float(row in front) for row in rows]


def test_equal_input_gives_equal_output() -> None:
    rows, fresh = [(0.90, 5.0), (0.91, 4.0)], {0: [0.92, 0.9]}
    assert nondominated_probabilities(rows, DIRECTIONS, 0, fresh, [0]) == nondominated_probabilities(
        rows, DIRECTIONS, 0, fresh, [0]
    )


def test_nobody_asked_for_gets_no_probability() -> None:
    assert nondominated_probabilities([(0.9, 1.0)], DIRECTIONS, 0, {0: [0.9, 0.8]}, []) is None


def test_fresh_seeds_cover_the_winners_true_score_and_the_searchs_own_is_too_high() -> None:
    dice, true, deviation = np.random.default_rng(1), 0.9, 0.02
    fresh_errors, all_errors, own_errors, covered = [], [], [], []
    for _ in range(2000):
        own = float(true + deviation * dice.standard_normal(24).max())  # The best of 24 equal candidates.
        fresh = [float(score) for score in true + deviation * dice.standard_normal(3)]
        found, with_own = estimate(fresh), estimate([own, *fresh])
        assert found.mean is not None and found.low is not None and found.high is not None
        assert with_own.mean is not None
        covered.append(found.low <= true <= found.high)
        fresh_errors.append((found.mean - true) / deviation)
        all_errors.append((with_own.mean - true) / deviation)
        own_errors.append((own - true) / deviation)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)
    # In deviations between seeds: the expected maximum of 24 is 1.95, and a quarter of it stays in a mean of four.
    assert np.mean(own_errors) == pytest.approx(1.95, abs=0.05)
    assert np.mean(all_errors) == pytest.approx(0.49, abs=0.05)
    assert np.mean(fresh_errors) == pytest.approx(0.0, abs=0.05)


def truly_undominated(scores: NDArray[np.float64], costs: NDArray[np.float64], row: int) -> bool:
    rivals = (costs <= costs[row]).all(axis=1) & (np.arange(len(scores)) != row)
    return not (scores[rivals] > scores[row]).any()


def simulated(dice: np.random.Generator, deviation: float) -> tuple[list[float], list[float], list[bool]]:
    """Probabilities with and without the search's own scores of the front's members, and the truth about each."""
    size = dice.uniform(0.1, 0.95, 24)
    true = 0.96 - 0.3 * np.exp(-4 * size) - dice.exponential(1 / 18, 24)
    costs = np.stack([50 * size * dice.uniform(0.5, 1, 24), 64 * size * dice.uniform(0.6, 1, 24)], axis=1)
    own = true + deviation * dice.standard_normal(24)
    members = list(front_of(np.column_stack([own, costs]).tolist(), (*DIRECTIONS, "minimize")).indices)
    fresh = {row: (true[row] + deviation * dice.standard_normal(3)).tolist() for row in members}
    without_own, rest = own.copy(), {row: scores[1:] for row, scores in fresh.items()}
    without_own[members] = [scores[0] for scores in fresh.values()]
    return (
        asked(own, costs, fresh, members),
        asked(without_own, costs, rest, members),
        [truly_undominated(true, costs, row) for row in members],
    )


def asked(
    own: NDArray[np.float64], costs: NDArray[np.float64], fresh: dict[int, list[float]], members: Sequence[int]
) -> list[float]:
    rows = np.column_stack([own, costs]).tolist()
    return nondominated_probabilities(rows, (*DIRECTIONS, "minimize"), 0, fresh, members) or []


@pytest.mark.parametrize("deviation", [0.015, 0.03])
def test_probabilities_predict_the_true_front_better_with_the_searchs_own_scores(deviation: float) -> None:
    dice = np.random.default_rng(2)
    studies = [simulated(dice, deviation) for _ in range(120)]
    with_own, without, truth = (np.array([value for study in studies for value in study[part]]) for part in range(3))
    assert np.mean((with_own - truth) ** 2) < np.mean((without - truth) ** 2)
    # Where they err, they doubt: rivals of one seed are drawn widely around their scores.
    assert np.mean(with_own) <= np.mean(truth)
    assert np.mean(truth[with_own > 0.9]) > 0.95
    assert np.mean(truth[with_own < 0.1]) < 0.2
