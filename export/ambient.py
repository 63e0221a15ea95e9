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
from export.decision_options import add_decision_options
from export.exported import STUDENT, open_student
from export.recordings import heard
from export.results import sha256, write_atomically
from export.student import LISTING

if TYPE_CHECKING:
    from export.exported import ExportedStudent

BAD_INPUT = 2


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
        "will stand, ten minutes or more, without the event: the highest score in it plus a margin.",
    )
    add_decision_options(parser)
    parser.add_argument("recording", type=Path, metavar="WAV", help="the room, at the student's rate, one channel")
    parser.add_argument(
        "--margin",
        type=float,
        default=0.05,
        metavar="PROBABILITY",
        help="how far above the highest score the threshold lies (default: 0.05)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--write", action="store_true", help="put the decision into MODEL/student.json")
    return parser


def _output(arguments: argparse.Namespace) -> str:
    if not 0 <= arguments.margin < 1:
        raise ValueError(f"--margin: must be at least 0 and below 1, not {arguments.margin:g}")
    student = open_student(arguments.model, arguments.label)
    found = ambience(student, *heard(student, arguments.recording), arguments)
    data = {"model": str(arguments.model), "recording": str(arguments.recording), **found.as_dict(), "written": False}
    if arguments.write:
        _write(student, found)
        data["written"] = True
    return json.dumps(data, indent=1) if arguments.json else _table(data)


def _write(student: ExportedStudent, found: Ambience) -> None:
    """Put the decision into student.json, and the file's new hash into the listing of the export."""
    if not found.margin_kept:
        raise ValueError(f"--write: {found.warnings[0]}; nothing was written")
    path, listing = student.folder / STUDENT, student.folder / LISTING
    write_atomically(path, json.dumps({**student.document, "decision": found.decision()}, indent=2))
    if listing.is_file():
        listed = json.loads(listing.read_text(encoding="utf-8"))
        if STUDENT in listed.get("files", {}):
            listed["files"][STUDENT] = {"sha256": sha256(path), "bytes": path.stat().st_size}
            write_atomically(listing, json.dumps(listed, indent=1) + "\n")


def _table(data: dict[str, Any]) -> str:
    scores = data["scores"]
    percentiles = "  ".join(f"{name} {one['probability']:.5f}" for name, one in scores.items())
    loudest = ", ".join(f"{one['probability']:.5f} at {clock(one['seconds'])}" for one in data["highest"])
    lines = [
        f"{data['event']}: {data['minutes']:.1f} minutes, {data['decisions']} decisions",
        f"scores: {percentiles}",
        f"highest: {loudest}",
        f"threshold: probability {data['threshold_probability']:.5f}, {data['settings']['threshold_steps']} steps of "
        f"the output, {data['threshold_unit']} {data['threshold']:.6g} in {STUDENT}",
        *(_rate(name, one) for name, one in data["false_alarms"].items() if one),
        *(f"warning: {warning}" for warning in data["warnings"]),
        *([f"written: {data['model']}/{STUDENT}"] if data["written"] else []),
    ]
    return "\n".join(lines)


_TOLD = {
    "new": "with this threshold, which the recording itself chose",
    "held_out": "on the second half, with the threshold of the first",
    "stored": f"with the decision in {STUDENT} so far",
}


def _rate(name: str, one: dict[str, Any]) -> str:
    bounds = f"95 %: {one['per_hour_low']:.3g} to {one['per_hour_high']:.3g}"
    if not one["alarms"]:
        bounds = f"95 %: under {one['per_hour_high']:.3g}"
    return f"false alarms {_TOLD[name]}: {one['alarms']}, {one['per_hour']:.3g} per hour ({bounds})"


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    tenths = math.floor(seconds * 10 + 0.5)
    return f"{tenths // 600:02d}:{tenths % 600 / 10:04.1f}"
