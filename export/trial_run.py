# ruff: noqa: T201 - a command
"""The command `python -m export try`: what an exported student decides on a recording or at the microphone."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from export.ambient import clock
from export.decision import DecisionSettings, DecisionState, Event, decide
from export.decision_options import add_decision_options, settings_under
from export.exported import ExportedStudent, open_student
from export.false_alarms import FalseAlarms
from export.listening import Listener
from export.microphone import microphone
from export.recordings import blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

BAD_INPUT = 2


@final
@dataclass(frozen=True)
class Decided:
    """One decision: seconds since the start, score in steps with its probability, and what it says."""

    seconds: float
    steps: int
    probability: float
    event: Event


def main(argv: list[str]) -> int:
    """Run the command; 0 at the end of the recording or after Ctrl-C, 2 for bad input."""
    arguments = _parser().parse_args(argv)
    try:
        _try(arguments)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export try", description="Let an exported student decide on a recording or on live sound."
    )
    add_decision_options(parser)
    parser.add_argument("recording", type=Path, nargs="?", metavar="WAV", help="at the student's rate, one channel")
    parser.add_argument("--mic", action="store_true", help="the microphone instead, until Ctrl-C")
    parser.add_argument("--threshold", type=float, metavar="PROBABILITY", help="instead of the one in student.json")
    parser.add_argument("--all", action="store_true", help="print every decision, not only alarms")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    return parser


def _try(arguments: argparse.Namespace) -> None:
    if (arguments.recording is None) != arguments.mic:
        raise ValueError("WAV, --mic: name a recording or add --mic, one of the two")
    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        raise ValueError(f"--threshold: must be a probability from 0 to 1, not {arguments.threshold:g}")
    student = open_student(arguments.model, arguments.label)
    steps = None if arguments.threshold is None else student.rule.steps_at_probability(arguments.threshold)
    settings = settings_under(student, steps, arguments)
    rate_hz = student.front_end.sample_rate_hz
    sound = microphone(rate_hz) if arguments.mic else blocks(arguments.recording, rate_hz)
    shown = _told(student, decided(student, settings, sound), arguments)
    if not shown and not arguments.mic:
        clip = student.front_end.clip_seconds
        raise ValueError(f"{arguments.recording}: too short; the student hears {clip:g} s at once")
    if arguments.json:
        print(json.dumps(_as_dict(student, settings, shown, arguments), indent=1))
    elif shown:
        print(_summary(student, settings, shown))


def decided(
    student: ExportedStudent, settings: DecisionSettings, sound: Iterable[NDArray[np.int16]]
) -> Iterator[Decided]:
    """Every decision on sound that comes in pieces, as soon as it is made."""
    listener, state = Listener(student), DecisionState()
    for piece in sound:
        for seconds, score in zip(*listener.hear(piece), strict=True):
            state, event = decide(state, settings, int(score))
            yield Decided(float(seconds), int(score), student.rule.probability(int(score)), event)


def _told(student: ExportedStudent, found: Iterable[Decided], arguments: argparse.Namespace) -> list[Decided]:
    """Print decisions while they come, and return them all."""
    kept: list[Decided] = []
    try:
        for one in found:
            kept.append(one)
            if not arguments.json and (arguments.all or one.event == Event.ALARM):
                print(_line(student, one), flush=True)
    except KeyboardInterrupt:
        # The way to end listening to a microphone.
        pass
    return kept


def _line(student: ExportedStudent, one: Decided) -> str:
    word = {Event.ALARM: f"  {student.event}", Event.ACTIVE: "  ..."}.get(one.event, "")
    return f"{clock(one.seconds)}  {one.probability:.4f}{word}"


def _summary(student: ExportedStudent, settings: DecisionSettings, shown: list[Decided]) -> str:
    rate = _rate(student, shown)
    highest = max(shown, key=lambda one: one.steps)
    threshold = student.rule.probability(settings.threshold_steps)
    return (
        f"{rate.alarms} alarms in {clock(rate.hours * 3600)}, {rate.per_hour:.3g} per hour (95 %: {rate.low:.3g} to "
        f"{rate.high:.3g}); highest score {highest.probability:.4f} at {clock(highest.seconds)}; threshold "
        f"{threshold:.4f}, {settings.votes_needed} of {settings.votes_window} votes, hold "
        f"{settings.hold_decisions * student.decision_seconds:.2g} s"
    )


def _rate(student: ExportedStudent, shown: list[Decided]) -> FalseAlarms:
    return FalseAlarms(sum(one.event == Event.ALARM for one in shown), len(shown) * student.decision_seconds / 3600)


def _as_dict(
    student: ExportedStudent, settings: DecisionSettings, shown: list[Decided], arguments: argparse.Namespace
) -> dict[str, Any]:
    kept = [one for one in shown if arguments.all or one.event == Event.ALARM]
    return {
        "model": str(arguments.model),
        "recording": str(arguments.recording) if arguments.recording else None,
        "event": student.event,
        "settings": settings.as_dict(),
        "decision_seconds": student.decision_seconds,
        "decisions": len(shown),
        "alarms": sum(one.event == Event.ALARM for one in shown),
        "rows": [{**asdict(one), "event": one.event.name.lower()} for one in kept],
    }
