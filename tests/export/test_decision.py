"""The decision of a device: by hand, against the alarms that thresholds are chosen by, and its refusals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.decision import (
    DecisionSettings,
    DecisionState,
    Event,
    decide,
    decisions,
    decisions_in,
    settings_from,
)
from tests.export.decision_streams import SCORES, SETTINGS
from trainables.alarms import count_alarms


def said(scores: list[int], settings: DecisionSettings) -> str:
    return "".join(str(int(event)) for event in decisions(scores, settings))


def test_a_single_vote_raises_an_alarm_at_once() -> None:
    assert said([0, 9, 10, 11, 9], DecisionSettings(10)) == "00110"


def test_votes_are_counted_in_a_window() -> None:
    three_of_five = DecisionSettings(1, votes_needed=3, votes_window=5, hold_decisions=5)
    assert said([1, 0, 1, 0, 1, 0, 0, 0, 0, 0], three_of_five) == "0000122220"
    assert said([1, 0, 0, 1, 0, 0, 1, 0, 0, 1], three_of_five) == "0000000000"


def test_a_streak_asks_for_the_latest_votes() -> None:
    settings = DecisionSettings(1, votes_needed=3, votes_window=5, streak=2, hold_decisions=5)
    assert said([1, 0, 1, 0, 1, 1], settings) == "000001"


def test_an_alarm_holds_and_can_come_again_when_the_hold_is_over() -> None:
    assert said([1, 1, 1, 1, 1, 0, 0], DecisionSettings(1, hold_decisions=3)) == "1221220"


def test_a_vote_counts_for_one_alarm() -> None:
    settings = DecisionSettings(1, votes_needed=2, votes_window=3, hold_decisions=3)
    # Without votes after the alarm there is no other, though three decisions are over.
    assert said([1, 1, 0, 0, 1, 0, 1], settings) == "0122001"
    assert said([1, 1, 0, 1, 1, 0, 0], settings) == "0122122"


def test_hysteresis_keeps_an_alarm_until_the_score_falls_low() -> None:
    settings = DecisionSettings(10, release_steps=5, hold_decisions=2)
    assert said([10, 0, 0], settings) == "120"
    assert said([10, 0, 5, 9, 20, 5, 4, 10], settings) == "12222201"


def test_votes_from_before_a_release_are_forgotten() -> None:
    settings = DecisionSettings(10, release_steps=5, votes_needed=2, votes_window=3, hold_decisions=3)
    assert said([10, 10, 10, 10, 10, 4, 10, 10], settings) == "01222001"


@given(scores=SCORES, threshold=st.integers(-255, 256), refractory=st.integers(1, 20))
def test_one_vote_counts_the_alarms_of_a_threshold(scores: np.ndarray, threshold: int, refractory: int) -> None:
    settings = DecisionSettings(threshold, hold_decisions=refractory)
    alarms = sum(event == Event.ALARM for event in decisions(scores, settings))
    assert alarms == count_alarms(scores.astype(np.float32), threshold, refractory)


@given(scores=SCORES, settings=SETTINGS)
def test_alarms_lie_a_hold_apart_on_scores_that_voted(scores: np.ndarray, settings: DecisionSettings) -> None:
    events = list(decisions(scores, settings))
    raised = [at for at, event in enumerate(events) if event == Event.ALARM]
    assert all(later - earlier >= settings.hold_decisions for earlier, later in itertools.pairwise(raised))
    for at in raised:
        voted = scores[max(0, at + 1 - settings.votes_window) : at + 1] >= settings.threshold_steps
        assert voted.sum() >= settings.votes_needed
        assert voted[-settings.streak :].all()
        # The alarm lasts, and only then may it end.
        assert set(events[at + 1 : at + settings.hold_decisions]) <= {Event.ACTIVE}


def test_a_state_is_all_that_one_decision_leaves_to_the_next() -> None:
    state, event = decide(DecisionState(), DecisionSettings(3, hold_decisions=2), 3)
    assert (state, event) == (DecisionState(1, 2, True), Event.ALARM)
    assert decide(state, DecisionSettings(3, hold_decisions=2), 0) == (DecisionState(2, 1, True), Event.ACTIVE)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"threshold_steps": 257}, "threshold_steps: must be a whole number from -256 to 256, not 257"),
        ({"threshold_steps": 1.5}, "threshold_steps: must be a whole number from -256 to 256, not 1.5"),
        ({"threshold_steps": True}, "threshold_steps: .* not True"),
        ({"votes_needed": 2}, r"votes_needed: must be a whole number from 1 to 1 \(votes_window\), not 2"),
        ({"votes_window": 33}, "votes_window: must be a whole number from 1 to 32, not 33"),
        ({"streak": 0}, "streak: must be a whole number from 1 to 1"),
        ({"release_steps": 4}, r"release_steps: must be a whole number from -256 to 3 \(threshold_steps\), not 4"),
        ({"votes_window": 4}, r"hold_decisions: must be a whole number from 4 \(votes_window\) to 65535, not 1"),
        ({"hold": 4}, "settings: the decision has no hold; it has threshold_steps, release_steps"),
    ],
)
def test_settings_that_mean_nothing_are_refused(values: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        settings_from({"threshold_steps": 3} | values)


def test_settings_need_a_threshold() -> None:
    with pytest.raises(ValueError, match="the decision needs threshold_steps; it has"):
        settings_from({"hold_decisions": 4})


@given(SETTINGS)
def test_settings_go_through_a_dictionary(settings: DecisionSettings) -> None:
    assert settings_from(settings.as_dict()) == settings


def test_seconds_become_whole_decisions() -> None:
    assert [decisions_in(2.0, 0.1), decisions_in(2.01, 0.1), decisions_in(0.0, 0.1)] == [20, 21, 1]
