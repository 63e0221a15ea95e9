"""The command `python -m export profile`: a .tflite on a board, operator by operator."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from export.arena import lowering, peak
from export.build_options import add_build_options, board_of, calibration_of, read_file
from export.energy import energy_of
from export.exported import front_end_from
from export.footprint import Profile, invokes_per_decision, profile
from export.profile_page import page
from export.profile_plots import operator_row
from export.profile_table import comparison, table
from export.releases import convolutions_fall_back
from export.verdict import remarks
from spaces.front_end import FrontEnd


def main(argv: list[str]) -> int:
    """Run the command; 0 when it printed a profile, 2 for bad input."""
    arguments = _parser().parse_args(argv)
    try:
        print(_output(arguments), flush=True)
    except BrokenPipeError:
        # A reader such as `head` has seen enough; nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _output(arguments: argparse.Namespace) -> str:
    result, data = _profiled(arguments, arguments.file)
    if arguments.html:
        _write(arguments.html, page(data, result, arguments.file.name))
    if arguments.compare is None:
        return json.dumps(data, indent=1) if arguments.json else table(data, result.board)
    _, other = _profiled(arguments, arguments.compare)
    if arguments.json:
        return json.dumps({**data, "compared": other}, indent=1)
    return comparison(data, other, (arguments.file.name, arguments.compare.name))


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise ValueError(f"--html {path}: cannot be written: {error.strerror}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export profile", description="Flash, arena and latency of a .tflite."
    )
    parser.add_argument("file", type=Path, metavar="FILE.tflite")
    add_build_options(parser)
    parser.add_argument(
        "--calibration", type=Path, metavar="FILE.toml", help="a board's own factors, from export calibrate"
    )
    parser.add_argument("--json", action="store_true", help="one object instead of the table")
    parser.add_argument("--html", type=Path, metavar="FILE.html", help="also write a page with plots")
    parser.add_argument("--compare", type=Path, metavar="OTHER.tflite", help="a second model beside the first")
    parser.add_argument("--front-end", default="auto", metavar="auto|default|none|student.json")
    return parser


def _profiled(arguments: argparse.Namespace, file: Path) -> tuple[Profile, dict[str, Any]]:
    front_end = _front_end(arguments.front_end, file)
    result = profile(
        read_file(file),
        board_of(arguments),
        front_end,
        arena=arguments.arena,
        weights=arguments.weights,
        calibration=calibration_of(arguments.calibration),
        source=str(file),
    )
    data = as_json(result, front_end)
    data["calibration"] = str(arguments.calibration) if arguments.calibration else None
    return result, data


def _front_end(choice: str, model: Path) -> FrontEnd | None:
    """Front end to charge a decision with; "auto" takes the student.json beside the model, where there is one."""
    beside = model.with_name("student.json")
    if choice == "none" or (choice == "auto" and not beside.is_file()):
        return None
    if choice == "default":
        return FrontEnd()
    path = beside if choice == "auto" else Path(choice)
    return front_end_from(read_file(path), path)


def as_json(result: Profile, front_end: FrontEnd | None) -> dict[str, Any]:
    """One object: the footprint, the parts of the arena, the verdict and a row per operator."""
    footprint = result.footprint
    per_second = 1 / front_end.decision_seconds if front_end else 0.0
    energy = energy_of(footprint.decision_ms, per_second)
    return {
        **footprint.as_dict(),
        "arena_head_bytes": result.arena.head_bytes,
        "arena_tail_bytes": result.arena.tail_bytes,
        "arena_scratch_bytes": result.arena.scratch_bytes,
        "arena_recommended_bytes": result.arena.recommended_bytes,
        "energy_mj": energy.millijoules,
        "average_ma": energy.milliamperes if front_end else None,
        "invokes_per_decision": invokes_per_decision(result.model, front_end) if front_end else 1,
        "real_time_factor": footprint.decision_ms / 1000 * per_second if front_end else None,
        "runs": result.runs,
        "refusals": list(result.refusals),
        "remarks": [*remarks(result.model), *_release_remarks(result)],
        "fits": result.fits,
        "misfits": list(result.choice.misfits),
        "placement_reason": result.choice.reason,
        "arena_peak": [{"name": b.name, "kind": b.kind, "bytes": b.size_bytes} for b in peak(result.arena.blocks)[1]],
        "arena_lowering": _lowering(result),
        "operators": [operator_row(row, result.board.cpu_mhz) for row in result.rows],
    }


def _release_remarks(result: Profile) -> list[str]:
    """What this pair of releases makes slow, and which release does not."""
    lines = []
    board = result.board
    if convolutions_fall_back(board):
        pair = f"esp-nn {board.esp_nn} with esp-tflite-micro {board.tflm}"
        lines.append(f"{pair} runs every CONV_2D in plain C by mistake; esp-tflite-micro 1.3.7 mends it")
    checked = sum(row.work.heap_checks for row in result.rows)
    if checked:
        lines.append(f"esp-nn {board.esp_nn} checks the whole heap after {checked} of the convolutions; 1.2.7 does not")
    return lines


def _lowering(result: Profile) -> dict[str, Any] | None:
    found = lowering(result.arena.blocks)
    if found is None:
        return None
    block, left = found.without[0], found.head_bytes
    saved = result.arena.head_bytes - left
    return {"without": block.name, "kind": block.kind, "buffers": len(found.without), "saves_bytes": saved}
