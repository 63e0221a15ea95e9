"""False alarms per hour of a detector on streams without the event, at thresholds chosen on validation."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from export.decision import HOLD_SECONDS, decisions_in
from export.false_alarms import FalseAlarms
from trainables.alarms import count_alarms, threshold_at_recall, threshold_under

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.front_end import FrontEnd
    from trainables.corpora.corpus import Corpus
    from trainables.corpora.running import Running
    from trainables.recipe import Judgement

RECALLS = (0.9, 0.95)
CEILING_PER_HOUR = 1.0
CURVE_POINTS = 40


def check_ceiling(per_hour: float | None) -> None:
    """Raise a `ValueError` for a ceiling below zero."""
    if per_hour is not None and not 0 <= per_hour < math.inf:
        raise ValueError(f"--max-false-alarms-per-hour: must be at least 0, not {per_hour:g}")


def ceiling_doubts(streams: Mapping[str, Running], per_hour: float | None) -> tuple[str, ...]:
    """A warning where validation is too short to tell the ceiling from no alarm; without streams a `ValueError`."""
    if per_hour is None:
        return ()
    if not streams:
        raise ValueError("--max-false-alarms-per-hour: there is no stream to count on; --streams names recordings")
    hours = streams["validation"].hours
    if per_hour * hours >= 1:
        return ()
    least = FalseAlarms(0, hours).high
    few = f"{hours * 60:.1f} minutes of validation allow no alarm at {per_hour:g}/h, and none bounds the rate only by"
    return (f"--max-false-alarms-per-hour: {few} {least:.2g}/h (95 %)",)


def stream_facts(corpus: Corpus, streams: Mapping[str, Running]) -> dict[str, Any]:
    """What run.json says of the streams, and a content hash of corpus and streams together."""
    if not streams:
        return {}
    parts = [corpus.content_hash, *(streams[split].content_hash for split in sorted(streams))]
    minutes = {
        split: {"minutes": round(one.hours * 60, 2), "recordings": len(one.pieces)} for split, one in streams.items()
    }
    return {"streams": minutes, "content_hash": hashlib.sha256(" ".join(parts).encode()).hexdigest()}


def stream_lines(streams: Mapping[str, Running]) -> tuple[str, ...]:
    """The minutes of each stream and what they can say."""
    told = [
        f"{split} {one.hours * 60:.1f} minutes (none would mean under {FalseAlarms(0, one.hours).high:.2g}/h)"
        for split, one in streams.items()
    ]
    return (f"false alarms are counted on distinct recordings: {', '.join(told)}",) if told else ()


@final
@dataclass(frozen=True)
class Heard:
    """Scores of one split: of its clips with the event [n], and of every decision on its stream [decisions]."""

    positives: NDArray[np.floating]
    stream: NDArray[np.floating]
    hours: float
    refractory: int

    def recall(self, threshold: float) -> float:
        """Share of the clips that reach the threshold."""
        return float((self.positives >= threshold).mean())

    def false_alarms(self, threshold: float) -> FalseAlarms:
        """Alarms on the stream."""
        return FalseAlarms(count_alarms(self.stream, threshold, self.refractory), self.hours)

    def threshold_under(self, per_hour: float) -> float:
        """The lowest threshold with so few alarms on the stream."""
        return threshold_under(self.stream, math.floor(per_hour * self.hours + 1e-9), self.refractory)


def refractory_decisions(front_end: FrontEnd, hop: int) -> int:
    """Decisions in `HOLD_SECONDS`, one every `hop` frames."""
    seconds = hop * front_end.hop_samples / front_end.sample_rate_hz
    return decisions_in(HOLD_SECONDS, seconds)


def epoch_value(heard: Heard, per_hour: float, f1: float) -> float:
    """Recall under the ceiling, and F1 for what that leaves equal, as one number that orders epochs by both in turn.

    F1 counts less than half a clip's recall. Where no threshold keeps the ceiling and any recall, it decides alone.
    """
    return heard.recall(heard.threshold_under(per_hour)) + 0.5 * f1 / len(heard.positives)


def alarm_figures(heard: Heard, threshold: float, ceiling_threshold: float) -> dict[str, float]:
    """One split in metrics.json: its minutes, the rate at the threshold with its bounds, the recall at the ceiling."""
    seen = heard.false_alarms(threshold)
    return {
        "stream_minutes": heard.hours * 60,
        "false_alarms_per_hour": seen.per_hour,
        "false_alarms_per_hour_low": seen.low,
        "false_alarms_per_hour_high": seen.high,
        "recall_at_ceiling": heard.recall(ceiling_threshold),
        "false_alarms_per_hour_at_ceiling": heard.false_alarms(ceiling_threshold).per_hour,
    }


def judged_on_streams(judgement: Judgement, heard: Mapping[str, Heard], ceiling: float | None) -> Judgement:
    """The judgement with rates, bounds and recalls at the ceiling, of both splits.

    With a ceiling, its threshold takes the place of the one with the highest F1, if any clip of validation reaches it.
    """
    validation = heard["validation"]
    under = validation.threshold_under(CEILING_PER_HOUR if ceiling is None else ceiling)
    threshold = judgement.decision["threshold"]
    if ceiling is not None and validation.recall(under) > 0:
        threshold = under
    points = operating_points(validation, threshold, CEILING_PER_HOUR if ceiling is None else ceiling)
    figures = {split: alarm_figures(one, threshold, under) for split, one in heard.items()}
    return replace(
        judgement,
        validation={**judgement.validation, **figures["validation"]},
        test={**judgement.test, **figures["test"]},
        decision={**judgement.decision, "threshold": threshold, "refractory_seconds": HOLD_SECONDS},
        rows=[*judgement.rows, *alarm_rows(heard, points), alarm_curve(heard["test"])],
    )


def operating_points(validation: Heard, chosen: float, per_hour: float) -> dict[str, float]:
    """Thresholds by what they are chosen for, on validation alone."""
    recalls = {f"recall {recall:g}": threshold_at_recall(validation.positives, recall) for recall in RECALLS}
    return {
        "in student.json": chosen,
        **recalls,
        f"at most {per_hour:g}/h": validation.threshold_under(per_hour),
    }


def alarm_rows(heard: Mapping[str, Heard], points: Mapping[str, float]) -> list[Mapping[str, Any]]:
    """The table of evaluation.json: both splits at every point."""
    validation, test = heard["validation"], heard["test"]
    none = FalseAlarms(0, test.hours).high
    title = (
        f"False alarms on {test.hours * 60:.1f} distinct minutes of test; thresholds are of validation's "
        f"{validation.hours * 60:.1f} minutes and clips; no alarm would mean under {none:.2g}/h (95 %)"
    )
    columns = ["point", "threshold", "recall, validation", "alarms/h, validation", "recall", "miss rate"]
    return [
        {
            "type": "table",
            "title": title,
            "columns": [*columns, "alarms", "alarms/h", "95 % low", "95 % high"],
            "rows": [_row(name, threshold, validation, test) for name, threshold in points.items()],
        }
    ]


def alarm_curve(test: Heard) -> Mapping[str, Any]:
    """Recall against alarms per hour over the thresholds that test's clips with the event reach.

    No alarm is drawn as half a one: its axis is logarithmic.
    """
    reached = np.unique(test.positives)
    thresholds = reached[np.unique(np.linspace(0, len(reached) - 1, CURVE_POINTS).round().astype(int))][::-1]
    alarms = [test.false_alarms(float(threshold)).alarms for threshold in thresholds]
    return {
        "type": "curve",
        "title": "Recall against false alarms on test, INT8",
        "x_name": "false alarms per hour, none as half a one",
        "y_name": "recall",
        "x": [round(max(count, 0.5) / test.hours, 3) for count in alarms],
        "y": [round(test.recall(float(threshold)), 4) for threshold in thresholds],
        "x_scale": "log",
    }


def _row(name: str, threshold: float, validation: Heard, test: Heard) -> list[Any]:
    before, seen, recall = validation.false_alarms(threshold), test.false_alarms(threshold), test.recall(threshold)
    shown = [validation.recall(threshold), before.per_hour, recall, 1 - recall]
    rounded = [round(value, 4) for value in (threshold, *shown)]
    return [name, *rounded, seen.alarms, *(round(value, 2) for value in (seen.per_hour, seen.low, seen.high))]
