"""Adapter of folders that describe their recordings in a manifest.csv."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

from trainables.corpora.corpus import Recording

MANIFEST = "manifest.csv"

_REQUIRED = ("path", "label")
_SPLIT = re.compile(r"train|validation|test|fold\d+")


def read_manifest(folder: Path, task: str | None = None) -> tuple[Recording, ...]:
    """The recordings of `folder/manifest.csv`, or those of one task, in the order of their paths.

    Columns `path,label` are required, `task,split,speaker,group,text` optional, others ignored; paths are relative to
    the folder. What breaks a rule is a `ValueError` that names file, row, field, rule and value.
    """
    rows = _rows(folder / MANIFEST)
    if task is not None:
        rows = _of_task(folder / MANIFEST, rows, task)
    reader = _Reader(folder)
    recordings = [reader.recording(number, row) for number, row in rows]
    return tuple(sorted(recordings, key=lambda recording: recording.path.as_posix()))


def write_manifest(folder: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Describe the recordings of `folder`; every row has the columns of the first."""
    with (folder / MANIFEST).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Line number and fields of every row that is not blank."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", restkey="")
            columns = [(name or "").strip() for name in reader.fieldnames or []]
            _check_columns(path, columns)
            reader.fieldnames = columns
            rows = [(reader.line_num, {k: str(v).strip() for k, v in row.items()}) for row in reader]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: must be text in UTF-8 ({error.reason} at byte {error.start})") from error
    except csv.Error as error:
        raise ValueError(f"{path}: must be comma-separated text ({error})") from error
    if not rows:
        raise ValueError(f"{path}: holds no rows below its heading")
    return rows


def _check_columns(path: Path, columns: list[str]) -> None:
    missing = [name for name in _REQUIRED if name not in columns]
    if missing:
        found = ", ".join(repr(name) for name in columns) or "none"
        raise ValueError(
            f"{path}, row 1: the columns must include path and label; {', '.join(missing)} missing among {found}"
        )
    if len(set(columns)) < len(columns):
        twice = sorted({name for name in columns if columns.count(name) > 1})
        raise ValueError(f"{path}, row 1: column {', '.join(twice)!r} stands there more than once")


def _of_task(path: Path, rows: list[tuple[int, dict[str, str]]], task: str) -> list[tuple[int, dict[str, str]]]:
    if "task" not in rows[0][1]:
        raise ValueError(f"--task: {path} has no column 'task'; leave --task out")
    chosen = [(number, row) for number, row in rows if row["task"] == task]
    if not chosen:
        tasks = ", ".join(sorted({row["task"] for _, row in rows} - {""}))
        raise ValueError(f"--task: {path} holds no task {task!r}; there are {tasks or 'none'}")
    return chosen


@final
class _Reader:
    """Turns rows into recordings, and holds what rows are checked against each other by."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._root = folder.resolve()
        self._row_of: dict[Path, int] = {}

    def recording(self, number: int, row: Mapping[str, str]) -> Recording:
        path = self._path(number, row["path"])
        if not row["label"]:
            raise self._error(number, "label", "must not be empty", row["label"])
        return Recording(
            path=path,
            label=row["label"],
            speaker=row.get("speaker", ""),
            group=row.get("group", ""),
            split=self._split(number, row.get("split", "")),
            task=row.get("task", ""),
            text=row.get("text", ""),
        )

    def _path(self, number: int, value: str) -> Path:
        if not value:
            raise self._error(number, "path", "must not be empty", value)
        path = self._folder / value
        real = path.resolve()
        if not real.is_relative_to(self._root):
            raise self._error(number, "path", f"must stay inside the data folder {self._root}", value)
        if not path.is_file():
            raise self._error(number, "path", f"must be a file in {self._root}", value)
        if real in self._row_of:
            raise self._error(number, "path", f"must not repeat row {self._row_of[real]}", value)
        self._row_of[real] = number
        return path

    def _split(self, number: int, value: str) -> str:
        name = "validation" if value == "val" else value
        if name and not _SPLIT.fullmatch(name):
            raise self._error(number, "split", "must be train, validation, test or foldN", value)
        return name

    def _error(self, number: int, field: str, rule: str, value: str) -> ValueError:
        return ValueError(f"{self._folder / MANIFEST}, row {number}, field {field}: {rule}, not {value!r}")
