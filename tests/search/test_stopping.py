"""Early stopping: hand-made rungs, the order of a rung, verdicts that outlive a search."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from search.command_line import STOPS
from search.stopping import POLICIES, Judge, rank_of_last, remembered, rungs_of, spread_order
from spaces.candidate import Objective

OBJECTIVES = (
    Objective("score", "maximize"),
    Objective("decision_ms", "minimize"),
    Objective("arena_bytes", "minimize"),
)


def costs(ms: float, arena: float) -> dict[str, float]:
    return {"decision_ms": ms, "arena_bytes": arena}


def judge(policy: str, *others: tuple[float, float, float]) -> Judge:
    ours = Judge(policy, OBJECTIVES)
    for number, (score, ms, arena) in enumerate(others):
        ours.remember(number, costs(ms, arena), 3, score, "")
    return ours


@pytest.mark.parametrize(
    ("policy", "epochs", "rungs"),
    [("none", 20, ()), ("dominance", 20, (2, 7)), ("asha", 150, (17, 50)), ("asha", 3, (1,)), ("dominance", 1, ())],
)
def test_rungs(policy: str, epochs: int, rungs: tuple[int, ...]) -> None:
    assert rungs_of(policy, epochs) == rungs


def test_two_that_dominate_stop_a_trial() -> None:
    ours = judge("dominance", (0.9, 5, 100), (0.8, 6, 90), (0.3, 1, 10), (0.2, 1, 10))
    assert ours.verdict(10, costs(7, 120), 3, 0.5) == "2 trials dominate it after 3 epochs (score 0.500)"
    assert ours.verdict(11, costs(5.5, 95), 3, 0.85) == "", "one of them is larger, the other slower"
    assert ours.verdict(12, costs(2, 50), 3, 0.6) == ""
    assert ours.verdict(13, costs(9, 999), 7, 0.1) == "", "nobody came to that rung"


def test_the_cheapest_is_never_dominated_by_better_scores() -> None:
    ours = judge("dominance", *[(0.9 + i / 100, 5.0 + i, 100.0) for i in range(6)])
    assert ours.verdict(10, costs(4.9, 99), 3, 0.01) == ""


def test_few_trials_at_a_rung_decide_nothing() -> None:
    ours = judge("dominance", (0.9, 1, 1), (0.9, 1, 1), (0.9, 1, 1))
    assert ours.verdict(10, costs(9, 9), 3, 0.1) == ""


def test_asha_keeps_the_best_third() -> None:
    front = [(0.9, 9, 90), (0.5, 5, 50), (0.1, 1, 10)]
    behind = [(0.8, 9, 91), (0.4, 5, 51), (0.05, 1, 11), (0.7, 9, 95), (0.3, 5, 60)]
    ours = judge("asha", *front, *behind)
    assert ours.verdict(10, costs(9.5, 99), 3, 0.7) == "it ranks 9 of 9 after 3 epochs (score 0.700)"
    assert ours.verdict(11, costs(0.5, 5), 3, 0.05) == "", "the smallest is on the front and far from the others"


@pytest.mark.parametrize("policy", POLICIES[1:])
def test_the_same_question_has_the_same_answer(policy: str) -> None:
    ours = judge(policy, (0.9, 5, 100), (0.8, 6, 90), (0.85, 5, 100), (0.2, 8, 99))
    first = ours.verdict(10, costs(7, 120), 3, 0.5)
    assert first
    assert ours.verdict(10, costs(1, 1), 3, 1.0) == first


def test_verdicts_outlive_the_search(tmp_path: Path) -> None:
    for number, stop in ((0, ""), (1, ""), (2, ""), (3, "2 trials dominate it")):
        folder = tmp_path / str(number)
        folder.mkdir()
        rung = {"score": 0.9, "costs": costs(5.0 + number, 100.0), "stop": stop}
        (folder / "rungs.json").write_text(json.dumps({"3": rung}))
    (tmp_path / "4").mkdir()
    (tmp_path / "4" / "rungs.json").write_text('{"3":')
    ours = remembered(Judge("dominance", OBJECTIVES), tmp_path)
    assert ours.verdict(3, costs(0, 0), 3, 1.0) == "2 trials dominate it"
    assert ours.verdict(0, costs(0, 0), 3, 0.0) == ""
    assert ours.verdict(9, costs(9.0, 200.0), 3, 0.5).startswith("4 trials dominate it")


@given(arrays(float, st.tuples(st.integers(1, 12), st.just(3)), elements=st.floats(0, 1, width=16)))
def test_a_dominated_trial_ranks_behind_what_dominates_it(losses: np.ndarray) -> None:
    worse = losses.max(axis=0, keepdims=True) + 0.1
    assert rank_of_last(np.vstack([losses, worse])) == len(losses)
    better = losses.min(axis=0, keepdims=True) - 0.1
    assert rank_of_last(np.vstack([losses, better])) == 0


def test_a_front_is_ordered_by_spread() -> None:
    line = np.array([[0.0, 1.0], [0.1, 0.85], [0.5, 0.5], [1.0, 0.0]])
    assert spread_order(line) == [1, 3, 2, 0]


def test_the_command_line_offers_the_policies_that_there_are() -> None:
    assert STOPS == POLICIES
