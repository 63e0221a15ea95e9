"""The command `python -m export`: the front of a results folder, and one student out of it."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.format_names import FORMATS, format_names

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
    parser.add_argument(
        "results", type=Path, nargs="+", metavar="RESULTS", help="the folder that a search wrote, or several as one"
    )
    parser.add_argument(
        "--objectives",
        default="",
        metavar="NAME,NAME",
        help="the front over these figures of each trial instead of the search's: score, decision_ms, arena_bytes, "
        "flash_bytes, score_float, parameters, validation.NAME; NAME:min or NAME:max says which way",
    )
    parser.add_argument(
        "--budget", default="", metavar="CEILINGS", help="other ceilings, as in flash=512K,arena=200K,latency=50"
    )
    parser.add_argument(
        "--pick",
        default="knee",
        metavar="RULE",
        help="knee: nearest to the best of every objective (default); best: highest score; smallest: arena, then "
        "flash; within:0.01: smallest within 0.01 of the best score; a trial's number (FOLDER/NUMBER where there are "
        "several); or final:NUMBER, the trial as search --final trained it at full length",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where the student goes (default: RESULTS/export; of several folders nothing is written without it)",
    )
    parser.add_argument("--table", type=Path, metavar="FILE", help="write every trial to FILE.csv or FILE.parquet")
    parser.add_argument(
        "--formats",
        type=format_names,
        default=(),
        metavar="NAME,NAME",
        help=f"write the student in other formats, each compared with the INT8 .tflite: {', '.join(FORMATS)}",
    )
    parser.add_argument(
        "--beside",
        type=Path,
        metavar="FOLDER|FILE.tflite",
        help="with --formats espidf: a second student (an export, or an INT8 .tflite of the same features, such as its "
        "teacher's) that hears the same sound and is logged beside this one",
    )
    parser.add_argument("--overwrite", action="store_true", help="write into a folder that holds something else")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    return parser


def _export(arguments: argparse.Namespace) -> int:
    from export.front import find_front
    from export.picks import pick
    from export.reviewed import opened
    from export.trial_table import check_table, write_table

    if arguments.table:
        check_table(arguments.table)
    if arguments.beside and "espidf" not in arguments.formats:
        raise ValueError("--beside: only the firmware runs a second student; add --formats espidf")
    front = find_front(opened(arguments.results, arguments.objectives, arguments.budget))
    _say_damaged(front)
    picked = pick(front, arguments.pick)
    folder = _output_folder(arguments)
    listing = _written(front, picked, folder, arguments) if folder else None
    if arguments.table:
        write_table(front, arguments.table)
    if arguments.json:
        print(_as_json(front, listing, folder))
    else:
        _print_text(front, picked, folder, arguments)
    return PARTIAL if front.study.damaged or front.retrained.left_out or _refused(folder, arguments) else DONE


def _output_folder(arguments: argparse.Namespace) -> Path | None:
    if arguments.out or len(arguments.results) == 1:
        return Path(arguments.out or arguments.results[0] / "export")
    if arguments.formats:
        raise ValueError("--out: several results folders were given; say where the student goes")
    return None


def _written(front: Front, picked: TrialRow, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    from export.front import write_front_files
    from export.report import write_report
    from export.student import check_output, export_student

    check_output(front, folder, overwrite=arguments.overwrite)
    if front.study.as_searched:
        write_front_files(front)
        write_report(front, picked)
    return export_student(front, picked, arguments.pick, folder, arguments.formats, arguments.beside)


def _refused(folder: Path | None, arguments: argparse.Namespace) -> bool:
    """Whether a format that was asked for could not carry the student."""
    if not arguments.formats or folder is None:
        return False
    from export.formats import read_formats

    return any("reason" in facts for facts in read_formats(folder)["formats"].values())


def _print_text(front: Front, picked: TrialRow, folder: Path | None, arguments: argparse.Namespace) -> None:
    from export.front_text import front_as_text

    written = [f"written: {folder}"] if folder else []
    if front.study.as_searched:
        written.append(f"report: {front.study.results.report_html}")
    if arguments.table:
        written.append(f"table: {arguments.table}")
    if arguments.formats and folder:
        from export.formats import formats_as_text, read_formats

        written += ["", *formats_as_text(read_formats(folder))]
    print(front_as_text(front, picked, arguments.pick, written))


def _say_damaged(front: Front) -> None:
    if not front.study.as_searched:
        for warning in front.study.run.details.get("warnings") or ():
            print(f"warning: {warning}", file=sys.stderr)
    for number, fault in front.study.damaged.items():
        name = front.study.name_of(number)
        print(f"warning: trial {name} left out, its folder is damaged: {fault}", file=sys.stderr)
    for folder, fault in front.retrained.left_out.items():
        print(f"warning: {folder} left out: {fault}", file=sys.stderr)


def _as_json(front: Front, listing: dict[str, Any] | None, folder: Path | None) -> str:
    from export.front import front_as_dict

    study = front.study
    rest = {
        "counts": study.counts,
        "damaged": {study.name_of(number): fault for number, fault in study.damaged.items()},
        "left_out": dict(front.retrained.left_out),
        "export": None if listing is None else {"folder": str(folder), **listing},
    }
    return json.dumps(front_as_dict(front) | rest, indent=1)


if __name__ == "__main__":
    sys.exit(main())
