"""What a room without the event says of a student's threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from export.decision import SCORE_LIMIT_STEPS, DecisionSettings, Event, decisions, decisions_in
from export.exported import ExportedStudent
from export.false_alarms import FalseAlarms

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

WANTED_MINUTES = 10
PERCENTILES = {"median": 50.0, "90 %": 90.0, "99 %": 99.0, "99.9 %": 99.9, "highest": 100.0}
SHOWN_PEAKS = 5
PEAK_SECONDS = 2.0


@final
@dataclass(frozen=True)
class Ambience:
    """Scores of a room, the decision that they choose, and its false alarms.

    `held_out` are those on the second half of a threshold that the first half alone chose; `stored` those of the
    decision that the student had. `margin_kept` is False where no threshold lies so far above the highest score.
    """

    student: ExportedStudent
    ends_seconds: NDArray[np.float64]
    scores_steps: NDArray[np.int16]
    seconds: float
    margin: float
    settings: DecisionSettings
    margin_kept: bool
    new: FalseAlarms
    held_out: FalseAlarms
    stored: FalseAlarms | None
    warnings: tuple[str, ...]

    @property
    def refusal(self) -> str:
        """Why it should not be written, if so."""
        return "" if self.margin_kept else self.warnings[0]

    def decision(self) -> dict[str, Any]:
        """What student.json then holds as its decision."""
        facts = {"minutes": self.seconds / 60, "margin": self.margin, "false_alarms": self.new.as_dict()}
        return self.student.decision_with(self.settings) | {"ambient": facts}

    def as_dict(self) -> dict[str, Any]:
        """One object of plain values."""
        student, steps = self.student, self.settings.threshold_steps
        return {
            "event": student.event,
            "minutes": self.seconds / 60,
            "decisions": len(self.scores_steps),
            "threshold": student.threshold(steps),
            "threshold_unit": student.threshold_unit,
            "threshold_probability": student.rule.probability(steps),
            "margin": self.margin,
            "margin_kept": self.margin_kept,
            "settings": self.settings.as_dict(),
            "scores": {name: self._score(rank) for name, rank in PERCENTILES.items()},
            "highest": self._peaks(),
            "false_alarms": {
                "new": self.new.as_dict(),
                "held_out": self.held_out.as_dict(),
                "stored": self.stored.as_dict() if self.stored else None,
            },
            "warnings": list(self.warnings),
        }

    def _score(self, rank: float) -> dict[str, float]:
        steps = int(np.percentile(self.scores_steps, rank, method="higher"))
        return {"steps": steps, "probability": self.student.rule.probability(steps)}

    def _peaks(self) -> list[dict[str, float]]:
        """The highest scores that lie apart, for a person to listen to."""
        left = self.scores_steps.astype(np.int32)
        apart = decisions_in(PEAK_SECONDS, self.student.decision_seconds)
        found = []
        for _ in range(min(SHOWN_PEAKS, -(-len(left) // (2 * apart)))):
            at = int(left.argmax())
            steps = int(self.scores_steps[at])
            probability = self.student.rule.probability(steps)
            found.append({"seconds": float(self.ends_seconds[at]), "steps": steps, "probability": probability})
            left[max(0, at - apart) : at + apart + 1] = -SCORE_LIMIT_STEPS - 1
        return found


def ambience(
    student: ExportedStudent,
    ends_seconds: NDArray[np.float64],
    scores_steps: NDArray[np.int16],
    seconds: float,
    margin: float,
    settings_at: Callable[[int], DecisionSettings],
) -> Ambience:
    """The threshold above all scores [n] of a room; `settings_at` makes a decision of a threshold in steps."""

    def settings(scores: NDArray[np.int16]) -> DecisionSettings:
        return settings_at(threshold_above(student, scores, margin)[0])

    chosen, kept = settings(scores_steps), threshold_above(student, scores_steps, margin)[1]
    half = max(1, len(scores_steps) // 2)
    hours, later = seconds / 3600, max(1, len(scores_steps) - half) * student.decision_seconds / 3600
    stored = student.stored_settings()
    return Ambience(
        student,
        ends_seconds,
        scores_steps,
        seconds,
        margin,
        chosen,
        kept,
        new=_counted(scores_steps, chosen, hours),
        held_out=_counted(scores_steps[half:], settings(scores_steps[:half]), later),
        stored=_counted(scores_steps, stored, hours) if stored else None,
        warnings=tuple(_warnings(student, scores_steps, seconds, margin, kept)),
    )


def threshold_above(student: ExportedStudent, scores_steps: NDArray[np.int16], margin: float) -> tuple[int, bool]:
    """The threshold so far above the highest score in probability, and whether there is one.

    Where there is none: one step above the highest.
    """
    highest = int(scores_steps.max())
    wanted = student.rule.steps_at_probability(student.rule.probability(highest) + margin)
    kept = highest < wanted <= SCORE_LIMIT_STEPS if margin else highest < SCORE_LIMIT_STEPS
    return (max(wanted, highest + 1) if kept else highest + 1), kept


def _counted(scores_steps: NDArray[np.int16], settings: DecisionSettings, hours: float) -> FalseAlarms:
    return FalseAlarms(sum(event == Event.ALARM for event in decisions(scores_steps, settings)), hours)


def _warnings(
    student: ExportedStudent, scores_steps: NDArray[np.int16], seconds: float, margin: float, kept: bool
) -> list[str]:
    found = []
    if not kept:
        highest = student.rule.probability(int(scores_steps.max()))
        found.append(
            f"no threshold lies {margin:g} above the room's highest score, {highest:.4g}: record it without "
            f"{student.event!r}, or choose a smaller --margin"
        )
    if seconds < WANTED_MINUTES * 60:
        least = FalseAlarms(0, seconds / 3600).high
        found.append(
            f"{seconds / 60:.1f} minutes bound the rate only by {least:.3g} per hour; record {WANTED_MINUTES} or more"
        )
    return found
