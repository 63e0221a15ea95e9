"""Alarms of every threshold under every rule of votes, on streams of scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numba import njit

from export.decision import SCORE_LIMIT_STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NO_RELEASE = np.iinfo(np.int32).max
UNBOUNDED = np.iinfo(np.int32).max


@final
@dataclass(frozen=True)
class ScoredStream:
    """Scores [n] of a stream, one every `decision_seconds`, and its events: first and last decision of each.

    An event counts as heard where an alarm is raised within it, not where an earlier one still lasts; an alarm outside
    of all is a false one. A stream that is all event hides what an alarm that lasts costs: the device is deaf in it.
    """

    scores_steps: NDArray[np.int16]
    decision_seconds: float
    events: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        bounds = [-1, *(bound for first, last in self.events for bound in (first, last + 1)), len(self.scores_steps)]
        apart = all(first <= last for first, last in self.events) and bounds == sorted(bounds)
        if not apart or any(first < 0 for first, _ in self.events):
            raise ValueError("events: must lie in the stream, in their order, none before the end of another")
        if np.abs(self.scores_steps.astype(np.int32)).max(initial=0) > SCORE_LIMIT_STEPS:
            raise ValueError(f"scores: must lie within {SCORE_LIMIT_STEPS} steps of 0")

    @property
    def event_of(self) -> NDArray[np.int32]:
        """The event that each decision lies in [n], -1 for none."""
        inside = np.full(len(self.scores_steps), -1, np.int32)
        for number, (first, last) in enumerate(self.events):
            inside[first : last + 1] = number
        return inside

    @property
    def hours(self) -> float:
        """Hours outside of events."""
        return int((self.event_of < 0).sum()) * self.decision_seconds / 3600


@final
@dataclass(frozen=True)
class Rule:
    """Votes, streak and hold time of a sweep; the release lies `release_gap_steps` below each threshold, if at all."""

    votes_needed: int
    votes_window: int
    streak: int
    hold_decisions: int
    release_gap_steps: int | None = None


def vote_rules(
    hold_decisions: int,
    most_votes: int = 9,
    streaks: Sequence[int] = (1, 2),
    release_gap_steps: int | None = None,
) -> list[Rule]:
    """Every N of M up to `most_votes` with every streak that asks for more than the votes do; M of M is a streak."""
    found = [
        (needed, window, streak)
        for window in range(1, most_votes + 1)
        for needed in range(1, window + 1)
        for streak in streaks
        # One of several is one of one; a streak that the votes imply anyway is no rule of its own.
        if streak <= needed and not (needed == 1 < window) and not (streak > 1 and needed in (streak, window))
    ]
    return [Rule(*votes, max(hold_decisions, votes[1]), release_gap_steps) for votes in found]


@final
@dataclass(frozen=True)
class Sweep:
    """Counts [thresholds, rules] over all streams: false alarms, and events that were heard.

    A count above the sweep's `most_false_alarms` says only that, and its events are not whole.
    """

    thresholds_steps: NDArray[np.int32]
    rules: tuple[Rule, ...]
    false_alarms: NDArray[np.int32]
    heard: NDArray[np.int32]


def sweep(streams: Sequence[ScoredStream], rules: Sequence[Rule], most_false_alarms: int = UNBOUNDED) -> Sweep:
    """All thresholds from the lowest score to one above the highest under all rules.

    A count ends where it exceeds `most_false_alarms`: low thresholds then cost next to nothing.
    """
    lowest = min(int(one.scores_steps.min()) for one in streams)
    highest = max(int(one.scores_steps.max()) for one in streams)
    thresholds = np.arange(lowest, highest + 2, dtype=np.int32)
    table = np.array([_row(rule) for rule in rules], np.int32)
    false, heard = np.zeros((2, len(thresholds), len(rules)), np.int32)
    for one in streams:
        seen = np.full(len(one.events), -1, np.int64)
        _swept(one.scores_steps, one.event_of, seen, thresholds, table, most_false_alarms, false, heard)
    return Sweep(thresholds, tuple(rules), false, heard)


def _row(rule: Rule) -> tuple[int, ...]:
    gap = NO_RELEASE if rule.release_gap_steps is None else rule.release_gap_steps
    return rule.votes_needed, rule.votes_window, rule.streak, rule.hold_decisions, gap


def _count_alarms(
    scores: Any, event_of: Any, seen: Any, run: int, fired: Any, count: int, threshold: int, rule: Any, most: int
) -> tuple[int, int]:
    """False alarms and events heard of one threshold and rule; `fired` [count] are the decisions that vote.

    Only these are looked at: an alarm is raised on a vote, N of M votes are there where the vote N - 1 before lies
    within the window, and a streak where the vote so many before lies as far away.
    """
    needed, window, streak, hold, gap = rule
    false, heard, first, busy, ends = 0, 0, 0, False, 0
    for i in range(count):
        at = fired[i]
        if busy:
            if at < ends:
                continue
            if gap != NO_RELEASE:
                while ends < at and scores[ends] >= threshold - gap:
                    ends += 1
                if ends == at:
                    continue
                first = i
            busy = False
        oldest, straight = i - needed + 1, i - streak + 1
        if oldest < first or straight < first or fired[oldest] <= at - window or fired[straight] != at - streak + 1:
            continue
        busy, ends = True, at + hold
        event = event_of[at]
        if event < 0:
            false += 1
            if false > most:
                break
        elif seen[event] != run:
            seen[event] = run
            heard += 1
    return false, heard


_counted = njit(_count_alarms, cache=True)


def _sweep_stream(
    scores: Any, event_of: Any, seen: Any, thresholds: Any, rules: Any, most: int, false: Any, heard: Any
) -> None:
    """Add one stream's counts to `false` and `heard`; each threshold looks only at what reached the one before."""
    fired = np.arange(len(scores), dtype=np.int32)
    count = len(fired)
    for t in range(len(thresholds)):
        kept = 0
        for i in range(count):
            if scores[fired[i]] >= thresholds[t]:
                fired[kept] = fired[i]
                kept += 1
        count = kept
        for r in range(len(rules)):
            left = most - false[t, r]
            if left < 0:
                continue
            run = t * len(rules) + r
            found = _counted(scores, event_of, seen, run, fired, count, thresholds[t], rules[r], left)
            false[t, r] += found[0]
            heard[t, r] += found[1]


_swept = njit(_sweep_stream, cache=True)
