"""Adapter of folders that describe their recordings in a manifest.csv."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

from trainables.corpora.corpus import Recording

MANIFEST = "manifest.csv"

_SPLIT = re.compile(r"train|validation|test|fold\d+")


def read_manifest(folder: Path, task: str | None = None, values: Sequence[str] = ()) -> tuple[Recording, ...]:
    """The recordings of `folder/manifest.csv`, or those of one task, in the order of their paths.

    Columns `path,label` are required, `task,split,speaker,group,text` optional, others ignored; paths are relative to
    the folder. Columns of `values`, numbers in [-1, 1], are required in place of the label where they are named. What
    breaks a rule is a `ValueError` that names file, row, field, rule and value.
    """
    rows = table_rows(folder / MANIFEST, ("path", *(values or ("label",))))
    if task is not None:
        rows = _of_task(folder / MANIFEST, rows, task)
    reader = _Reader(folder, values)
    recordings = [reader.recording(number, row) for number, row in rows]
    return tuple(sorted(recordings, key=lambda recording: recording.path.as_posix()))


def write_manifest(folder: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Describe the recordings of `folder`; every row has the columns of the first."""
    with (folder / MANIFEST).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def table_rows(path: Path, required: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Line number and fields of every row that is not blank, without the spaces around names and fields.

    A file that is no CSV in UTF-8, lacks a required column or holds no row is a `ValueError`.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", restkey="")
            columns = [(name or "").strip() for name in reader.fieldnames or []]
            _check_columns(path, columns, required)
            reader.fieldnames = columns
            rows = [(reader.line_num, {k: str(v).strip() for k, v in row.items()}) for row in reader]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: must be text in UTF-8 ({error.reason} at byte {error.start})") from error
    except csv.Error as error:
        raise ValueError(f"{path}: must be comma-separated text ({error})") from error
    if not rows:
        raise ValueError(f"{path}: holds no rows below its heading")
    return rows


def _check_columns(path: Path, columns: list[str], required: Sequence[str]) -> None:
    missing = [name for name in required if name not in columns]
    if missing:
        found = ", ".join(repr(name) for name in columns) or "none"
        wanted = f"{', '.join(required[:-1])} and {required[-1]}"
        lacking = f"{', '.join(missing)} missing among {found}"
        raise ValueError(f"{path}, row 1: the columns must include {wanted}; {lacking}")
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

    def __init__(self, folder: Path, values: Sequence[str]) -> None:
        self._folder, self._values = folder, values
        self._root = folder.resolve()
        self._row_of: dict[Path, int] = {}

    def recording(self, number: int, row: Mapping[str, str]) -> Recording:
        path = self._path(number, row["path"])
        label = row.get("label", "")
        if not label and not self._values:
            raise self._error(number, "label", "must not be empty", label)
        return Recording(
            path=path,
            label=label,
            speaker=row.get("speaker", ""),
            group=row.get("group", ""),
            split=self._split(number, row.get("split", "")),
            task=row.get("task", ""),
            text=row.get("text", ""),
            values=tuple(self._value(number, name, row[name]) for name in self._values),
        )

    def _value(self, number: int, field: str, text: str) -> float:
        value = as_number(text)
        if value is None or not -1 <= value <= 1:
            raise self._error(number, field, "must be a number in [-1, 1]", text)
        return value

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


def as_number(text: str) -> float | None:
    """The finite number that a field holds, if it does."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
