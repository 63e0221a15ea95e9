"""The decision of a device: votes, streak, hold time and hysteresis over a student's scores, in integers."""

from __future__ import annotations

import enum
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# A score is a difference of two int8 outputs, or stands for one: see decision_score.py.
SCORE_LIMIT_STEPS = 255
UNREACHABLE_STEPS = SCORE_LIMIT_STEPS + 1
MOST_VOTES = 32
LONGEST_HOLD_DECISIONS = 0xFFFF
# One sound stays in a window of a second for as long, and a device that has just woken listens to something else.
HOLD_SECONDS = 2.0
_VOTES = (1 << MOST_VOTES) - 1


class Event(enum.IntEnum):
    """What one decision says: nothing heard, an alarm raised just now, or an alarm that still lasts."""

    IDLE = 0
    ALARM = 1
    ACTIVE = 2


@final
@dataclass(frozen=True)
class DecisionSettings:
    """Settings of the decision; scores and thresholds count whole steps of the student's INT8 output.

    A decision votes for the event where its score is at least `threshold_steps`. An alarm is raised where
    `votes_needed` of the last `votes_window` decisions voted for it, the last `streak` of them all. It lasts
    `hold_decisions`, its own included, in which no other is raised, and, with hysteresis, until a score falls below
    `release_steps`; votes from before such a release count for no new alarm. A hold time of at least the window sees
    to it that no vote counts for two alarms. `release_steps` None: the alarm ends with the hold time.
    """

    threshold_steps: int
    release_steps: int | None = None
    votes_needed: int = 1
    votes_window: int = 1
    streak: int = 1
    hold_decisions: int = 1

    def __post_init__(self) -> None:
        limit, release = UNREACHABLE_STEPS, self.release_steps
        _whole("threshold_steps", self.threshold_steps, -limit, limit)
        _whole("votes_window", self.votes_window, 1, MOST_VOTES)
        _whole("votes_needed", self.votes_needed, 1, self.votes_window, "votes_window")
        _whole("streak", self.streak, 1, self.votes_window, "votes_window")
        if release is not None:
            _whole("release_steps", release, -limit, self.threshold_steps, "threshold_steps")
        _whole("hold_decisions", self.hold_decisions, self.votes_window, LONGEST_HOLD_DECISIONS, least="votes_window")

    def as_dict(self) -> dict[str, int | None]:
        """Plain integers by name, as student.json holds them."""
        return asdict(self)


def settings_from(values: Mapping[str, Any]) -> DecisionSettings:
    """Settings from what `as_dict` gave; a `ValueError` names a field that is unknown, missing or wrong."""
    unknown = sorted(set(values) - set(DecisionSettings.__dataclass_fields__))
    if unknown or "threshold_steps" not in values:
        wrong = f"has no {unknown[0]}" if unknown else "needs threshold_steps"
        raise ValueError(f"settings: the decision {wrong}; it has {', '.join(DecisionSettings.__dataclass_fields__)}")
    return DecisionSettings(**values)


def _whole(name: str, value: object, low: int, high: int, most: str = "", least: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        bounds = f"{low}{f' ({least})' if least else ''} to {high}{f' ({most})' if most else ''}"
        raise ValueError(f"{name}: must be a whole number from {bounds}, not {value!r}")


@final
@dataclass(frozen=True)
class DecisionState:
    """What a decision leaves to the next: votes as bits, the youngest lowest; decisions still held; an alarm's life."""

    votes: int = 0
    held_decisions: int = 0
    active: bool = False


def decide(state: DecisionState, settings: DecisionSettings, score_steps: int) -> tuple[DecisionState, Event]:
    """One decision on a score of at most 255 steps either way; the C function `potstill_decide` does the same."""
    votes = (state.votes << 1 | (score_steps >= settings.threshold_steps)) & _VOTES
    if state.active:
        held = max(state.held_decisions - 1, 0)
        release = settings.release_steps
        if held or (release is not None and score_steps >= release):
            return DecisionState(votes, held, True), Event.ACTIVE
        votes = votes if release is None else 0
    if _raised(votes, settings):
        return DecisionState(votes, settings.hold_decisions, True), Event.ALARM
    return DecisionState(votes), Event.IDLE


def _raised(votes: int, settings: DecisionSettings) -> bool:
    streak = (1 << settings.streak) - 1
    counted = votes & ((1 << settings.votes_window) - 1)
    return votes & streak == streak and counted.bit_count() >= settings.votes_needed


def decisions(scores_steps: Iterable[int], settings: DecisionSettings) -> Iterator[Event]:
    """The decision on every score of a stream that the device hears from its first."""
    state = DecisionState()
    for score in scores_steps:
        state, event = decide(state, settings, int(score))
        yield event


def decisions_in(seconds: float, decision_seconds: float) -> int:
    """Decisions that a time takes up, one every `decision_seconds`; at least one."""
    return max(1, math.ceil(seconds / decision_seconds - 1e-9))
