"""Settings of a decision chosen on validation streams, and what they do on any streams, with intervals."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from export.decision import DecisionSettings, Event, decisions
from export.decision_sweep import Sweep, sweep
from export.false_alarms import LEVEL, FalseAlarms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from export.decision_sweep import Rule, ScoredStream

RESAMPLES = 2000
PIECE_SECONDS = 60.0


def choose_settings(
    validation: Sequence[ScoredStream], rules: Sequence[Rule], false_alarms_per_hour: float
) -> DecisionSettings:
    """The settings that hear most events with at most so many false alarms per hour on the streams.

    Among equals: fewest false alarms, then the shortest window of votes, then no hysteresis, then the middle of the
    thresholds that do the same, which carries over better than their ends. Streams without events, or all events, are a
    `ValueError`.
    """
    hours = sum(one.hours for one in validation)
    if not any(one.events for one in validation) or not hours:
        raise ValueError("streams: recall and false alarms need both events and time without one")
    allowed = math.floor(false_alarms_per_hour * hours + 1e-9)
    return _best(sweep(validation, rules, allowed), allowed)


def _best(counts: Sweep, allowed: int) -> DecisionSettings:
    kept = counts.false_alarms <= allowed
    heard = np.where(kept, counts.heard, -1)
    false = np.where(heard == heard.max(), counts.false_alarms, allowed + 1)
    equal = false == false.min()
    column = min(np.flatnonzero(equal.any(axis=0)), key=lambda r: _effort(counts.rules[r]))
    rows = np.flatnonzero(equal[:, column])
    # Thresholds that do the same may lie apart: of the first that hang together, the middle.
    together = rows[: np.flatnonzero(np.diff(rows, append=rows[-1] + 2) > 1)[0] + 1]
    return settings_of(int(counts.thresholds_steps[together[len(together) // 2]]), counts.rules[column])


def _effort(rule: Rule) -> tuple[int, ...]:
    gap = rule.release_gap_steps
    return rule.votes_window, rule.votes_needed, rule.streak, -1 if gap is None else gap


def settings_of(threshold_steps: int, rule: Rule) -> DecisionSettings:
    """The settings of one cell of a sweep."""
    gap = rule.release_gap_steps
    return DecisionSettings(
        threshold_steps,
        None if gap is None else max(-256, threshold_steps - gap),
        rule.votes_needed,
        rule.votes_window,
        rule.streak,
        rule.hold_decisions,
    )


@final
@dataclass(frozen=True)
class Outcome:
    """What settings do on streams; `low` and `high` bound with 95 % confidence.

    By bootstrap: of the recall over events, of the rate over minutes of the streams. Where all are alike nothing can
    be drawn anew: then by the exact one-sided bounds of the binomial and of Poisson.
    """

    events: int
    heard: int
    recall_low: float
    recall_high: float
    false_alarms: FalseAlarms
    per_hour_low: float
    per_hour_high: float

    @property
    def recall(self) -> float:
        """Share of the events that were heard."""
        return self.heard / self.events if self.events else math.nan

    def as_dict(self) -> dict[str, Any]:
        """Plain values; `false_alarms` holds Poisson's bounds."""
        return {**asdict(self), "recall": self.recall, "false_alarms": self.false_alarms.as_dict()}


def outcome(streams: Sequence[ScoredStream], settings: DecisionSettings, seed: int = 0) -> Outcome:
    """Recall and false alarms of settings, chosen here or elsewhere, with intervals."""
    parts = [_alarms(one, settings) for one in streams]
    heard = np.concatenate([part[0] for part in parts])
    false, seconds = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    alarms = FalseAlarms(int(false.sum()), sum(one.hours for one in streams))
    rng = np.random.default_rng(seed)
    return Outcome(
        len(heard),
        int(heard.sum()),
        *_recall_interval(heard, rng),
        alarms,
        *_rate_interval(false, seconds / 3600, alarms, rng),
    )


def _alarms(
    stream: ScoredStream, settings: DecisionSettings
) -> tuple[NDArray[np.bool_], NDArray[np.signedinteger], NDArray[np.floating]]:
    """Whether each event was heard; false alarms, and seconds outside of events, of each minute."""
    raised = np.array([event == Event.ALARM for event in decisions(stream.scores_steps, settings)], bool)
    inside = stream.event_of
    heard = np.isin(np.arange(len(stream.events)), inside[raised])
    minute = (np.arange(len(raised)) * stream.decision_seconds // PIECE_SECONDS).astype(np.int64)
    outside = inside < 0
    seconds = np.bincount(minute, outside) * stream.decision_seconds
    return heard, np.bincount(minute[raised & outside], minlength=len(seconds)), seconds


def _recall_interval(heard: NDArray[np.bool_], rng: np.random.Generator) -> tuple[float, float]:
    if not len(heard):
        return 0.0, 1.0
    extreme = (1 - LEVEL) ** (1 / len(heard))
    if heard.all() or not heard.any():
        return (extreme, 1.0) if heard.all() else (0.0, 1 - extreme)
    means = rng.binomial(len(heard), heard.mean(), RESAMPLES) / len(heard)
    return _percentiles(means)


def _rate_interval(
    false: NDArray[np.signedinteger], hours: NDArray[np.floating], alarms: FalseAlarms, rng: np.random.Generator
) -> tuple[float, float]:
    if not alarms.alarms or len(false) == 1:
        return alarms.low, alarms.high
    drawn = rng.integers(0, len(false), (RESAMPLES, len(false)))
    return _percentiles(false[drawn].sum(axis=1) / np.maximum(hours[drawn].sum(axis=1), 1e-12))


def _percentiles(values: NDArray[np.floating]) -> tuple[float, float]:
    rest = (1 - LEVEL) / 2 * 100
    low, high = np.percentile(values, [rest, 100 - rest])
    return float(low), float(high)
