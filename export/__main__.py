"""The command `python -m export`: the front of a results folder, and one student out of it."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.front import Front
    from export.results import TrialRow

# Each module has main(argv) -> exit code and is imported only when its word is used.
RESERVED = {
    "profile": "export.profiler",
    "calibrate": "export.calibrator",
    "ambient": "export.ambient",
    "try": "export.trial_run",
}
DONE, FAILED, BAD_INPUT, PARTIAL = 0, 1, 2, 3
_SEED_COLUMNS = ("mean", "low", "high", "seeds", "p_nondominated")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command: 0 done, 1 failed, 2 bad input, 3 done without the folders that it names."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in RESERVED:
        return int(importlib.import_module(RESERVED[words[0]]).main(words[1:]))
    arguments = _parser().parse_args(words)
    try:
        return _export(arguments)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        print(f"error: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export",
        description="Print the Pareto front of a results folder, update its report, and export one student.",
        epilog="`python -m export profile FILE.tflite` prints what a .tflite costs on a board, `ambient MODEL WAV` "
        "chooses a student's threshold in a room, `try MODEL WAV` lets it decide; a results folder of such a name is "
        "./profile. Exit codes: 0 done, 1 failed, 2 bad input, 3 damaged or unfinished folders were left "
        "out.",
    )
    parser.add_argument("results", type=Path, metavar="RESULTS", help="the folder that a search wrote")
    parser.add_argument(
        "--pick",
        default="knee",
        metavar="RULE",
        help="knee: nearest to the best of every objective (default); best: highest score; smallest: arena, then "
        "flash; within:0.01: smallest within 0.01 of the best score; a trial's number; or final:NUMBER, the trial as "
        "search --final trained it at full length",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the student goes (default: RESULTS/export)")
    parser.add_argument("--overwrite", action="store_true", help="write into a folder that holds something else")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    return parser


def _export(arguments: argparse.Namespace) -> int:
    from export.front import find_front, pick, write_front_files
    from export.report import write_report
    from export.results import read_study, require_trained
    from export.student import check_output, export_student

    study = read_study(arguments.results)
    require_trained(study)
    front = find_front(study)
    _say_damaged(front)
    picked = pick(front, arguments.pick)
    folder = arguments.out or arguments.results / "export"
    check_output(front, folder, overwrite=arguments.overwrite)
    write_front_files(front)
    write_report(front, picked)
    listing = export_student(front, picked, arguments.pick, folder)
    print(_as_json(front, listing, folder) if arguments.json else _as_text(front, picked, arguments.pick, folder))
    return PARTIAL if front.study.damaged or front.retrained.left_out else DONE


def _say_damaged(front: Front) -> None:
    for number, fault in front.study.damaged.items():
        print(f"warning: trial {number} left out, its folder is damaged: {fault}", file=sys.stderr)
    for folder, fault in front.retrained.left_out.items():
        print(f"warning: {folder} left out: {fault}", file=sys.stderr)


def _as_json(front: Front, listing: dict[str, Any], folder: Path) -> str:
    from export.front import front_as_dict

    study = front.study
    rest = {
        "hypervolume": front.hypervolume,
        "counts": study.counts,
        "damaged": {str(number): fault for number, fault in study.damaged.items()},
        "left_out": dict(front.retrained.left_out),
        "export": {"folder": str(folder), **listing},
    }
    return json.dumps(front_as_dict(front) | rest, indent=1)


def _as_text(front: Front, picked: TrialRow, rule: str, folder: Path) -> str:
    study = front.study
    lines = [
        f"{study.run.recipe} on {study.run.board_name}: {study.summary()}",
        f"front: {len(front.members)} trials, hypervolume {front.hypervolume:.3f}",
        "",
        *_table(front, picked),
        *_gains(front),
        *_doubt(front),
        "",
        f"picked ({rule}): {_picked(front, picked)}",
        f"written: {folder}",
        f"report: {study.results.report_html}",
    ]
    return "\n".join(lines)


def _gains(front: Front) -> list[str]:
    from export.figures import beside_teacher, difference

    lines = []
    for number, member in front.retrained.members.items():
        said = [f"{difference(member.gain)} over labels alone, {member.gain.count} seeds"] if member.gains else []
        said += [f"F1 less the teacher's {beside_teacher(member)}"] if member.gaps else []
        lines += [f"trial {number} on test: {'; '.join(said)}"] if said else []
    return ["", *lines] if lines else []


def _doubt(front: Front) -> list[str]:
    from export.figures import confirming_command, doubt

    said = doubt(front)
    return [f"{said}; fresh seeds for the front:", f"  {confirming_command(front)}"] if said else []


def _picked(front: Front, picked: TrialRow) -> str:
    at_length = " at full length, one seed" if picked.final else ""
    return f"trial {picked.number}{at_length}" + ("" if front.member(picked.number) else ", which is not on the front")


def _table(front: Front, picked: TrialRow) -> list[str]:
    seeds = _SEED_COLUMNS if front.retrained.members else ()
    head = ("", "trial", "score", "float", *seeds, "decision ms", "Invoke ms (interval)", "arena KiB", "flash KiB")
    outside = picked.final or not front.member(picked.number)
    shown = [*front.members, *([picked] if outside else [])]
    rows = [head, *(_cells(front, row, row.name == picked.name) for row in shown)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _cells(front: Front, row: TrialRow, is_picked: bool) -> tuple[str, ...]:
    from export.figures import interval, score

    footprint = row.footprint
    return (
        "*" if is_picked else "",
        row.name,
        score(row.metrics.get("score_int8")),
        score(row.metrics.get("score_float")),
        *(_seed_cells(front, row) if front.retrained.members else ()),
        _quantity(footprint.get("decision_ms"), 1),
        interval(footprint),
        _quantity(footprint.get("arena_bytes"), 1024),
        _quantity(footprint.get("flash_bytes"), 1024),
    )


def _seed_cells(front: Front, row: TrialRow) -> tuple[str, ...]:
    from export.figures import probability, score

    confirmed = front.retrained.members.get(row.number)
    if row.final or confirmed is None:
        return tuple("-" for _ in _SEED_COLUMNS)
    mean = confirmed.score
    chance = probability(confirmed.p_nondominated)
    return score(mean.mean), score(mean.low), score(mean.high), str(mean.count), chance


def _quantity(value: Any, unit: float) -> str:
    return f"{value / unit:.1f}" if isinstance(value, int | float) else "-"


if __name__ == "__main__":
    sys.exit(main())
