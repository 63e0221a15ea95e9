"""One student's files in an output folder, each with its hash."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from export.front import write_front_files
from export.model_card import CARD, card, described
from export.results import TFLITE, read_object, sha256, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from export.front import Front
    from export.results import Results, TrialRow

EXPORT_SCHEMA = 1
LISTING = "export.json"
STUDENT_FILES = (TFLITE, "student.json", "metrics.json", "evaluation.json")
REPORT = "report.html"
FRONT_FILES = ("front.json", "front.csv")


def check_output(front: Front, folder: Path, *, overwrite: bool) -> None:
    """A `ValueError` for a folder that holds more than an earlier export, unless `overwrite`; always for a trial's."""
    for kept in (kept for results in _all_results(front) for kept in _trials_of(results)):
        if folder.resolve().is_relative_to(kept.resolve()):
            raise ValueError(f"--out: {folder} lies among the trials of the results folder; choose another")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out: {folder} is a file, not a folder")
    foreign = sorted(_entries(folder) - {name.split("/")[0] for name in _earlier_export(folder)})
    if foreign and not overwrite:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise ValueError(f"--out: {folder} holds {foreign[0]}{more}; choose an empty folder or add --overwrite")


def _all_results(front: Front) -> list[Results]:
    gathered = [row.source.results for row in front.study.trials if row.source]
    return list(dict.fromkeys([front.study.results, *gathered]))


def _trials_of(results: Results) -> Sequence[Path]:
    return results.trials, results.confirmations, results.twins, results.finals


def export_student(
    front: Front, row: TrialRow, rule: str, folder: Path, formats: Sequence[str] = (), beside: Path | None = None
) -> dict[str, Any]:
    """Write the student, its card, its front's report and its `formats` to `folder`; return the content of export.json.

    Files of an earlier export that are not written again are removed, unless they were changed since.
    """
    folder.mkdir(parents=True, exist_ok=True)
    earlier = _earlier_export(folder)
    source = front.study.results.of(row)
    for name in STUDENT_FILES:
        _copy(source / name, folder / name)
    write_atomically(folder / CARD, card(described(front, row)))
    names = [*STUDENT_FILES, CARD, *_front_files(front, row, folder)]
    if formats:
        from export.formats import write_formats

        names += write_formats(source, row.footprint, formats, folder, beside)
    listing = _listing(front, row, rule, folder, names)
    _remove(folder, earlier, keep=names)
    write_atomically(folder / LISTING, json.dumps(listing, indent=1) + "\n")
    return listing


def _front_files(front: Front, row: TrialRow, folder: Path) -> list[str]:
    """The report that lies in the results folder; of a study looked at again, the front that only this folder holds."""
    if front.study.as_searched:
        _copy(front.study.results.report_html, folder / REPORT)
        return [REPORT]
    write_front_files(front, folder)
    if row.source is not None:
        return [*FRONT_FILES]
    from export.report import report

    write_atomically(folder / REPORT, report(front, row))
    return [*FRONT_FILES, REPORT]


def _copy(source: Path, target: Path) -> None:
    if target.exists() and target.samefile(source):
        return
    partial = target.with_name(f"{target.name}.tmp")
    shutil.copyfile(source, partial)
    partial.replace(target)


def _listing(front: Front, row: TrialRow, rule: str, folder: Path, names: Iterable[str]) -> dict[str, Any]:
    run = front.study.run
    files = {name: folder / name for name in names}
    return {
        "schema": EXPORT_SCHEMA,
        "recipe": run.recipe,
        **({"results": str(row.source.results.folder)} if row.source else {}),
        "trial": row.source.number if row.source else row.number,
        "pick": rule,
        "board": run.board_name,
        "files": {name: {"sha256": sha256(path), "bytes": path.stat().st_size} for name, path in files.items()},
    }


def _entries(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()


def _earlier_export(folder: Path) -> dict[str, str]:
    """Hash by name of the files that an earlier export listed, itself among them; nothing where there was none."""
    try:
        listing = read_object(folder / LISTING)
        files = {name: str(facts["sha256"]) for name, facts in listing["files"].items()}
        return {LISTING: "", **files} if listing.get("schema") == EXPORT_SCHEMA else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _remove(folder: Path, earlier: dict[str, str], keep: Iterable[str]) -> None:
    for name in earlier.keys() - {*keep, LISTING}:
        path = folder / name
        inside = path.resolve().is_relative_to(folder.resolve())
        if inside and path.is_file() and sha256(path) == earlier[name]:
            path.unlink()
            _remove_empty(path.parent, folder)


def _remove_empty(inner: Path, folder: Path) -> None:
    while inner != folder and not any(inner.iterdir()):
        inner.rmdir()
        inner = inner.parent
