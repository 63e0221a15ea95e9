"""Alarms of a sweep against the decision itself, and the settings that are chosen by them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from export.decision import DecisionSettings, Event, decisions
from export.decision_choice import choose_settings, outcome, settings_of
from export.decision_sweep import Rule, ScoredStream, sweep, vote_rules


@st.composite
def streams(draw: st.DrawFn) -> ScoredStream:
    values = draw(st.lists(st.integers(-6, 6), min_size=2, max_size=120))
    ends = sorted(draw(st.sets(st.integers(0, len(values) - 1), max_size=8)))
    events = tuple(zip(ends[::2], ends[1::2], strict=False))
    return ScoredStream(np.array(values, np.int16), 0.5, events)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    window = draw(st.integers(1, 8))
    needed, streak = draw(st.integers(1, window)), draw(st.integers(1, window))
    return Rule(needed, window, streak, draw(st.integers(window, 12)), draw(st.none() | st.integers(0, 5)))


def counted(stream: ScoredStream, chosen: DecisionSettings) -> tuple[int, int]:
    raised = [at for at, event in enumerate(decisions(stream.scores_steps, chosen)) if event == Event.ALARM]
    hit = {n for n, (first, last) in enumerate(stream.events) for at in raised if first <= at <= last}
    false = [at for at in raised if not any(first <= at <= last for first, last in stream.events)]
    return len(false), len(hit)


@given(heard=st.lists(streams(), min_size=1, max_size=3), tried=st.lists(rules(), min_size=1, max_size=4))
@settings(deadline=None)
def test_a_sweep_counts_what_the_decision_raises(heard: list[ScoredStream], tried: list[Rule]) -> None:
    found = sweep(heard, tried)
    for t, threshold in enumerate(found.thresholds_steps):
        for r, rule in enumerate(tried):
            counts = np.array([counted(one, settings_of(int(threshold), rule)) for one in heard]).sum(axis=0)
            assert (found.false_alarms[t, r], found.heard[t, r]) == tuple(counts)


@given(heard=st.lists(streams(), min_size=1, max_size=3), most=st.integers(0, 3))
@settings(deadline=None)
def test_a_bounded_sweep_is_the_whole_one_up_to_its_bound(heard: list[ScoredStream], most: int) -> None:
    tried = vote_rules(4, most_votes=4)
    whole, bounded = sweep(heard, tried), sweep(heard, tried, most)
    kept = whole.false_alarms <= most
    np.testing.assert_array_equal(bounded.false_alarms <= most, kept)
    np.testing.assert_array_equal(bounded.heard[kept], whole.heard[kept])


def noisy(seed: int, events: int = 30) -> ScoredStream:
    """Single loud decisions all over, events of five quieter ones: votes tell them apart, no threshold does."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(-90, -20, 6000)
    scores[rng.choice(6000, 150, replace=False)] = rng.integers(40, 120, 150)
    starts = np.arange(1, events + 1) * 180
    for start in starts:
        scores[start : start + 5] = rng.integers(0, 30, 5)
    spans = tuple((int(start), int(start) + 9) for start in starts)
    return ScoredStream(scores.astype(np.int16), 0.1, spans)


def test_votes_are_chosen_where_no_threshold_does() -> None:
    chosen = choose_settings([noisy(0)], vote_rules(10), false_alarms_per_hour=6.0)
    assert chosen.votes_needed > 1
    validation, test = outcome([noisy(0)], chosen), outcome([noisy(1)], chosen)
    assert validation.recall == 1.0
    assert validation.false_alarms.per_hour <= 6.0
    assert test.recall > 0.8
    alone = choose_settings([noisy(0)], [Rule(1, 1, 1, 10)], false_alarms_per_hour=6.0)
    assert outcome([noisy(0)], alone).recall < 0.3


def test_the_middle_of_equal_thresholds_is_chosen() -> None:
    stream = ScoredStream(np.array([-10, -10, 50, -10, 10, -10], np.int16), 3600.0, ((2, 2),))
    assert choose_settings([stream], [Rule(1, 1, 1, 1)], 0.0) == DecisionSettings(31)


def test_fewer_votes_are_chosen_where_more_do_no_better() -> None:
    stream = ScoredStream(np.array([-10, 50, 50, 50, -10], np.int16), 3600.0, ((1, 3),))
    assert choose_settings([stream], vote_rules(9), 0.0).votes_window == 1


def test_a_ceiling_that_nothing_keeps_leaves_the_threshold_that_no_score_reaches() -> None:
    stream = ScoredStream(np.array([255, -10, 255], np.int16), 3600.0, ((2, 2),))
    assert choose_settings([stream], [Rule(1, 1, 1, 1)], 0.0) == DecisionSettings(256)


def test_intervals_of_the_recall_cover_and_shrink() -> None:
    some = outcome([noisy(1)], DecisionSettings(15, votes_needed=3, votes_window=5, hold_decisions=10))
    assert 0 < some.heard < some.events
    exact = binomtest(some.heard, some.events).proportion_ci(method="wilson")
    assert (some.recall_low, some.recall_high) == pytest.approx((exact.low, exact.high), abs=0.06)
    assert outcome([noisy(1)], DecisionSettings(15, votes_needed=3, votes_window=5, hold_decisions=10)) == some


def test_where_all_are_alike_the_bounds_are_exact() -> None:
    silent = ScoredStream(np.full(36000, -50, np.int16), 0.1)
    nothing = outcome([silent], DecisionSettings(0))
    assert (nothing.per_hour_low, nothing.per_hour_high) == pytest.approx((0.0, 2.9957), abs=1e-3)
    all_heard = outcome([noisy(0)], DecisionSettings(-20))
    assert all_heard.recall_low == pytest.approx(0.05 ** (1 / 30))
    assert binomtest(30, 30, all_heard.recall_low, "greater").pvalue == pytest.approx(0.05, abs=1e-6)
    assert outcome([noisy(0)], DecisionSettings(256)).recall_high == pytest.approx(1 - 0.05 ** (1 / 30))


def test_alarms_that_come_in_bursts_widen_the_interval() -> None:
    spread, bursts = np.full(36000, -50, np.int16), np.full(36000, -50, np.int16)
    spread[np.arange(60) * 600] = 50
    bursts[np.arange(60) * 10 + 6000] = 50
    apart, together = (outcome([ScoredStream(one, 0.1)], DecisionSettings(0)) for one in (spread, bursts))
    assert apart.false_alarms == together.false_alarms
    assert together.per_hour_high - together.per_hour_low > 60 > apart.per_hour_high - apart.per_hour_low


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"events": ((3, 9),)}, "events: must lie in the stream"),
        ({"events": ((2, 1),)}, "events: must lie in the stream"),
        ({"events": ((-1, 1),)}, "events: must lie in the stream"),
        ({"events": ((1, 2), (2, 3))}, "events: must lie in the stream, in their order, none before the end of ano"),
        ({"scores_steps": np.array([256], np.int16)}, "scores: must lie within 255 steps of 0"),
    ],
)
def test_streams_that_make_no_sense_are_refused(change: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(ScoredStream(np.zeros(4, np.int16), 0.1), **change)  # type: ignore[arg-type]


def test_a_choice_needs_events_and_time_without_them() -> None:
    silent = ScoredStream(np.zeros(9, np.int16), 0.1)
    for stream in (silent, replace(silent, events=((0, 8),))):
        with pytest.raises(ValueError, match="streams: recall and false alarms need both events and time without one"):
            choose_settings([stream], vote_rules(3), 1.0)
