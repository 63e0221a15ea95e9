# ruff: noqa: T201 - a command
"""The command `python -m export ambient`: a threshold from the sound of a room in which the event does not occur."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.ambient_scores import Ambience, ambience
from export.decision_options import add_decision_options, hold_seconds, settings_under
from export.exported import STUDENT, open_student
from export.recordings import heard
from export.results import sha256, write_atomically
from export.student import LISTING

if TYPE_CHECKING:
    from export.ambient_events import EventChoice
    from export.exported import ExportedStudent

BAD_INPUT = 2
MARGIN = 0.05


def main(argv: list[str]) -> int:
    """Run the command; 0 when it printed a threshold, 2 for bad input."""
    arguments = _parser().parse_args(argv)
    try:
        print(_output(arguments))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export ambient",
        description="Choose the threshold of an exported student from the sound of a room, recorded where the device "
        "will stand, ten minutes or more, without the event: the highest score in it plus a margin; or, with "
        "--events, what hears most of them.",
    )
    add_decision_options(parser)
    parser.add_argument("recording", type=Path, metavar="WAV", help="the room, at the student's rate, one channel")
    parser.add_argument(
        "--margin",
        type=float,
        metavar="PROBABILITY",
        help=f"how far above the highest score the threshold lies (default: {MARGIN:g})",
    )
    parser.add_argument(
        "--events",
        type=Path,
        metavar="FOLDER",
        help="recordings with the event once in each: votes, threshold and hysteresis are then chosen to hear most of "
        "them under the ceiling, on one half, and judged on the other",
    )
    parser.add_argument(
        "--max-false-alarms-per-hour",
        type=float,
        default=1.0,
        metavar="RATE",
        help="the ceiling with --events (default: 1)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--write", action="store_true", help="put the decision into MODEL/student.json")
    return parser


def _output(arguments: argparse.Namespace) -> str:
    student = open_student(arguments.model, arguments.label)
    found = _ambience(student, arguments) if arguments.events is None else _choice(student, arguments)
    data = {"model": str(arguments.model), "recording": str(arguments.recording), **found.as_dict(), "written": False}
    if arguments.write:
        _write(student, found)
        data["written"] = True
    return json.dumps(data, indent=1) if arguments.json else "\n".join(_lines(data))


def _ambience(student: ExportedStudent, arguments: argparse.Namespace) -> Ambience:
    margin = MARGIN if arguments.margin is None else arguments.margin
    if not 0 <= margin < 1:
        raise ValueError(f"--margin: must be at least 0 and below 1, not {margin:g}")
    ends, scores, seconds = heard(student, arguments.recording)
    return ambience(student, ends, scores, seconds, margin, lambda steps: settings_under(student, steps, arguments))


def _choice(student: ExportedStudent, arguments: argparse.Namespace) -> EventChoice:
    from export.ambient_events import event_choice

    if arguments.margin is not None or arguments.votes is not None:
        raise ValueError("--events: chooses threshold and votes itself; leave out --margin and --votes")
    ceiling = arguments.max_false_alarms_per_hour
    if not 0 <= ceiling < math.inf:
        raise ValueError(f"--max-false-alarms-per-hour: must be at least 0, not {ceiling:g}")
    hold = hold_seconds(arguments)
    return event_choice(student, arguments.recording, arguments.events, ceiling, hold)


def _write(student: ExportedStudent, found: Ambience | EventChoice) -> None:
    """Put the decision into student.json, and the file's new hash into the listing of the export."""
    if found.refusal:
        raise ValueError(f"--write: {found.refusal}; nothing was written")
    path, listing = student.folder / STUDENT, student.folder / LISTING
    write_atomically(path, json.dumps({**student.document, "decision": found.decision()}, indent=2))
    if listing.is_file():
        listed = json.loads(listing.read_text(encoding="utf-8"))
        if STUDENT in listed.get("files", {}):
            listed["files"][STUDENT] = {"sha256": sha256(path), "bytes": path.stat().st_size}
            write_atomically(listing, json.dumps(listed, indent=1) + "\n")


def _lines(data: dict[str, Any]) -> list[str]:
    return [
        *(_ambience_lines(data) if "scores" in data else _choice_lines(data)),
        *(f"warning: {warning}" for warning in data["warnings"]),
        *([f"written: {data['model']}/{STUDENT}"] if data["written"] else []),
    ]


def _threshold(data: dict[str, Any]) -> str:
    return (
        f"threshold: probability {data['threshold_probability']:.5f}, {data['settings']['threshold_steps']} steps of "
        f"the output, {data['threshold_unit']} {data['threshold']:.6g} in {STUDENT}"
    )


def _ambience_lines(data: dict[str, Any]) -> list[str]:
    percentiles = "  ".join(f"{name} {one['probability']:.5f}" for name, one in data["scores"].items())
    loudest = ", ".join(f"{one['probability']:.5f} at {clock(one['seconds'])}" for one in data["highest"])
    return [
        f"{data['event']}: {data['minutes']:.1f} minutes, {data['decisions']} decisions",
        f"scores: {percentiles}",
        f"highest: {loudest}",
        _threshold(data),
        *(f"false alarms {_TOLD[name]}: {_rate(one)}" for name, one in data["false_alarms"].items() if one),
    ]


def _choice_lines(data: dict[str, Any]) -> list[str]:
    chosen = data["settings"]
    release = "none" if chosen["release_steps"] is None else f"{chosen['release_steps']} steps"
    return [
        f"{data['event']}: at most {data['max_false_alarms_per_hour']:g} false alarms per hour, by the first half of "
        "the room and every other event",
        _threshold(data),
        f"votes: {chosen['votes_needed']} of {chosen['votes_window']}, the last {chosen['streak']} of them all; hold "
        f"{chosen['hold_decisions']} decisions; release: {release}",
        *(_outcome(split, data[split]) for split in ("validation", "test")),
    ]


def _outcome(split: str, one: dict[str, Any]) -> str:
    recall = f"{one['heard']} of {one['events']} events ({one['recall_low']:.2f} to {one['recall_high']:.2f})"
    minutes = one["false_alarms"]["hours"] * 60
    return f"{split}: heard {recall}; false alarms in {minutes:.1f} minutes: {_rate(one['false_alarms'])}"


_TOLD = {
    "new": "with this threshold, which the recording itself chose",
    "held_out": "on the second half, with the threshold of the first",
    "stored": f"with the decision in {STUDENT} so far",
}


def _rate(one: dict[str, Any]) -> str:
    bounds = f"95 %: {one['per_hour_low']:.3g} to {one['per_hour_high']:.3g}"
    if not one["alarms"]:
        bounds = f"95 %: under {one['per_hour_high']:.3g}"
    return f"{one['alarms']}, {one['per_hour']:.3g} per hour ({bounds})"


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    tenths = math.floor(seconds * 10 + 0.5)
    return f"{tenths // 600:02d}:{tenths % 600 / 10:04.1f}"
