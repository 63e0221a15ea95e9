"""A decision chosen among recordings of an event and the sound of a room, and its figures on the other half."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from export.decision import DecisionSettings, decisions_in
from export.decision_choice import Outcome, choose_settings, outcome
from export.decision_sweep import ScoredStream, vote_rules
from export.exported import ExportedStudent
from export.false_alarms import FalseAlarms
from export.listening import Listener
from export.recordings import blocks

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES = (".wav", ".flac", ".ogg")
FEWEST = 4
# How long after an event an alarm may come, and the least of the room between two.
TAIL_SECONDS, APART_SECONDS = 1.0, 5.0
# Hysteresis is tried with releases so far below the threshold.
RELEASE_LOG_ODDS = (1.0, 3.0)


@final
@dataclass(frozen=True)
class EventChoice:
    """Settings chosen on the first half of a room and every other event; `test` is of the rest and chose nothing."""

    student: ExportedStudent
    settings: DecisionSettings
    ceiling_per_hour: float
    validation: Outcome
    test: Outcome
    warnings: tuple[str, ...]

    @property
    def refusal(self) -> str:
        """Why it should not be written, if so."""
        return "" if self.validation.heard else self.warnings[-1]

    def decision(self) -> dict[str, Any]:
        """What student.json then holds as its decision."""
        return self.student.decision_with(self.settings) | {
            "chosen": {"max_false_alarms_per_hour": self.ceiling_per_hour, "test": self.test.as_dict()}
        }

    def as_dict(self) -> dict[str, Any]:
        """One object of plain values."""
        student, steps = self.student, self.settings.threshold_steps
        return {
            "event": student.event,
            "max_false_alarms_per_hour": self.ceiling_per_hour,
            "threshold": student.threshold(steps),
            "threshold_unit": student.threshold_unit,
            "threshold_probability": student.rule.probability(steps),
            "settings": self.settings.as_dict(),
            "validation": self.validation.as_dict(),
            "test": self.test.as_dict(),
            "warnings": list(self.warnings),
        }


def event_choice(
    student: ExportedStudent, room: Path, folder: Path, ceiling_per_hour: float, hold_seconds: float
) -> EventChoice:
    """The votes, threshold and hysteresis that hear most events at so many false alarms per hour of the room.

    Events are laid into the room's sound; the halves share neither events nor minutes.
    """
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if len(files) < FEWEST:
        kinds = ", ".join(SUFFIXES)
        raise ValueError(f"--events: {folder} holds {len(files)} recordings ({kinds}); at least {FEWEST} are needed")
    sound = np.concatenate(list(blocks(room, student.front_end.sample_rate_hz)))
    halves = [[room_with_events(student, half, files[first::2])] for first, half in enumerate(np.array_split(sound, 2))]
    step = student.rule.output_scale
    gaps = (None, *(round(log_odds / step) for log_odds in RELEASE_LOG_ODDS))
    hold = decisions_in(hold_seconds, student.decision_seconds)
    rules = [rule for gap in gaps for rule in vote_rules(hold, release_gap_steps=gap)]
    chosen = choose_settings(halves[0], rules, ceiling_per_hour)
    validation, test = (outcome(half, chosen) for half in halves)
    doubts = tuple(_warnings(validation, ceiling_per_hour))
    return EventChoice(student, chosen, ceiling_per_hour, validation, test, doubts)


def room_with_events(student: ExportedStudent, room: NDArray[np.int16], files: list[Path]) -> ScoredStream:
    """The scores of a room into which events were laid at even distances, heard in one piece.

    In one piece, because an alarm that lasts makes the device deaf: events that are each heard from the start would
    reward a low threshold whose first alarm never ends.
    """
    rate_hz = student.front_end.sample_rate_hz
    pieces = np.array_split(room, len(files) + 1)
    if len(pieces[-1]) < APART_SECONDS * rate_hz:
        least = 2 * (len(files) + 1) * APART_SECONDS / 60
        raise ValueError(f"WAV: too short for so many events; {2 * len(files)} need {least:.1f} minutes of room")
    sound, spans, at = [pieces[0]], [], len(pieces[0])
    for file, after in zip(files, pieces[1:], strict=True):
        event = np.concatenate(list(blocks(file, rate_hz)))
        spans.append((at / rate_hz, (at + len(event)) / rate_hz + TAIL_SECONDS))
        sound += [event, after]
        at += len(event) + len(after)
    ends, scores = Listener(student).hear(np.concatenate(sound))
    inside = [np.flatnonzero((ends > first) & (ends <= last)) for first, last in spans]
    events = tuple((int(found[0]), int(found[-1])) for found in inside if len(found))
    return ScoredStream(scores, student.decision_seconds, events)


def _warnings(validation: Outcome, ceiling_per_hour: float) -> list[str]:
    hours = validation.false_alarms.hours
    found = []
    if ceiling_per_hour * hours < 1:
        least = FalseAlarms(0, hours).high
        found.append(
            f"{hours * 60:.1f} minutes of validation allow no alarm at {ceiling_per_hour:g} per hour, and none bounds "
            f"the rate only by {least:.3g} per hour"
        )
    if not validation.heard:
        found.append(f"no settings hear any event under {ceiling_per_hour:g} false alarms per hour")
    return found
