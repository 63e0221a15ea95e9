"""One student's files in an output folder, each with its hash."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from export.results import TFLITE, sha256, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from export.front import Front
    from export.results import TrialRow

EXPORT_SCHEMA = 1
LISTING = "export.json"
STUDENT_FILES = (TFLITE, "student.json", "metrics.json", "evaluation.json")
REPORT = "report.html"


def check_output(front: Front, folder: Path, *, overwrite: bool) -> None:
    """A `ValueError` for a folder that holds more than an earlier export, unless `overwrite`; always for a trial's."""
    results = front.study.results
    if any(
        folder.resolve().is_relative_to(kept.resolve())
        for kept in (results.trials, results.confirmations, results.twins, results.finals)
    ):
        raise ValueError(f"--out: {folder} lies among the trials of the results folder; choose another")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out: {folder} is a file, not a folder")
    foreign = sorted(_entries(folder) - _earlier_export(folder))
    if foreign and not overwrite:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise ValueError(f"--out: {folder} holds {foreign[0]}{more}; choose an empty folder or add --overwrite")


def export_student(front: Front, row: TrialRow, rule: str, folder: Path) -> dict[str, Any]:
    """Copy the student's files and the report of the results folder to `folder`; return what export.json then holds."""
    results = front.study.results
    folder.mkdir(parents=True, exist_ok=True)
    sources = {name: results.of(row) / name for name in STUDENT_FILES} | {REPORT: results.report_html}
    for name, source in sources.items():
        _copy(source, folder / name)
    listing = _listing(front, row, rule, {name: folder / name for name in sources})
    write_atomically(folder / LISTING, json.dumps(listing, indent=1) + "\n")
    return listing


def _copy(source: Path, target: Path) -> None:
    if target.exists() and target.samefile(source):
        return
    partial = target.with_name(f"{target.name}.tmp")
    shutil.copyfile(source, partial)
    partial.replace(target)


def _listing(front: Front, row: TrialRow, rule: str, files: Mapping[str, Path]) -> dict[str, Any]:
    run = front.study.run
    return {
        "schema": EXPORT_SCHEMA,
        "recipe": run.recipe,
        "trial": row.number,
        "pick": rule,
        "board": run.board_name,
        "files": {name: {"sha256": sha256(path), "bytes": path.stat().st_size} for name, path in files.items()},
    }


def _entries(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()


def _earlier_export(folder: Path) -> set[str]:
    try:
        listing = json.loads((folder / LISTING).read_text(encoding="utf-8"))
        return {LISTING, *listing["files"]} if listing.get("schema") == EXPORT_SCHEMA else set()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()
