"""Alarms on a stream, by hand and one decision after another."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainables.alarms import count_alarms, threshold_at_recall, threshold_under

SCORES = st.lists(st.integers(-5, 5), min_size=1, max_size=60).map(lambda values: np.array(values, np.float32))


def test_an_alarm_silences_those_that_follow_at_once() -> None:
    scores = np.array([0, 2, 2, 2, 0, 0, 2, 1, 0, 2.0])
    assert count_alarms(scores, 2.0, refractory=1) == 5
    assert count_alarms(scores, 2.0, refractory=3) == 3
    # A sound that lasts longer raises the next alarm when the device listens again.
    assert count_alarms(scores, 2.0, refractory=2) == 4
    assert count_alarms(scores, 1.0, refractory=5) == 2
    assert count_alarms(scores, 2.5, refractory=1) == 0


def slow_count(scores: np.ndarray, threshold: float, refractory: int) -> int:
    alarms, deaf = 0, 0
    for score in scores:
        if deaf == 0 and score >= threshold:
            alarms, deaf = alarms + 1, refractory
        deaf = max(0, deaf - 1)
    return alarms


@given(scores=SCORES, threshold=st.integers(-5, 6), refractory=st.integers(1, 8))
def test_alarms_are_counted_as_a_device_would(scores: np.ndarray, threshold: int, refractory: int) -> None:
    assert count_alarms(scores, threshold, refractory) == slow_count(scores, threshold, refractory)


@given(scores=SCORES, allowed=st.integers(0, 5), refractory=st.integers(1, 8))
def test_no_lower_threshold_keeps_the_ceiling(scores: np.ndarray, allowed: int, refractory: int) -> None:
    found = threshold_under(scores, allowed, refractory)
    assert count_alarms(scores, found, refractory) <= allowed
    lower = scores[scores < found]
    assert not len(lower) or count_alarms(scores, lower.max(), refractory) > allowed


def test_the_threshold_lies_midway_to_the_score_that_is_too_low() -> None:
    scores = np.array([1.0, 5, 3, 1], np.float32)
    assert threshold_under(scores, 1, refractory=1) == 4.0
    assert 5.0 < threshold_under(scores, 0, refractory=1) < 5.001
    assert threshold_under(scores, 9, refractory=1) == 1.0


@given(scores=SCORES, recall=st.floats(0.01, 1.0))
def test_the_threshold_of_a_recall_is_the_highest(scores: np.ndarray, recall: float) -> None:
    found = threshold_at_recall(scores, recall)
    assert (scores >= found).mean() >= recall - 1e-9
    assert (scores > found).mean() < recall
