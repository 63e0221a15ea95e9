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
    reader = RowReader(folder)
    recordings = [_recording(reader, number, row, values) for number, row in rows]
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


def columns_of(path: Path) -> tuple[str, ...]:
    """The names in a manifest's heading, unchecked."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return tuple(name.strip() for name in next(csv.reader(file), ()))
    except (UnicodeDecodeError, csv.Error):
        return ()


def _check_columns(path: Path, columns: list[str], required: Sequence[str]) -> None:
    missing = [name for name in required if name not in columns]
    if missing:
        found = ", ".join(repr(name) for name in columns) or "none"
        wanted = " and ".join(filter(None, (", ".join(required[:-1]), required[-1])))
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


def _recording(reader: RowReader, number: int, row: Mapping[str, str], values: Sequence[str]) -> Recording:
    path, label = reader.new_path(number, "path", row["path"]), row.get("label", "")
    if not label and not values:
        raise reader.error(number, "label", "must not be empty", label)
    return Recording(
        path=path,
        label=label,
        speaker=row.get("speaker", ""),
        group=row.get("group", ""),
        split=reader.split(number, row.get("split", "")),
        task=row.get("task", ""),
        text=row.get("text", ""),
        values=tuple(reader.value(number, name, row[name]) for name in values),
    )


@final
class RowReader:
    """Reads the fields of a manifest's rows, and holds what rows are checked against each other by.

    What breaks a rule is a `ValueError` that names file, row, field, rule and value.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._root = folder.resolve()
        self._row_of: dict[Path, int] = {}
        self._real_parents: dict[Path, Path] = {}

    def path(self, number: int, field: str, value: str) -> Path:
        """A file inside the folder."""
        if not value:
            raise self.error(number, field, "must not be empty", value)
        path = self._folder / value
        if not self._real(path).is_relative_to(self._root):
            raise self.error(number, field, f"must stay inside the data folder {self._root}", value)
        if not path.is_file():
            raise self.error(number, field, f"must be a file in {self._root}", value)
        return path

    def new_path(self, number: int, field: str, value: str) -> Path:
        """As `path`, of a file that no row before it names."""
        path = self.path(number, field, value)
        real = self._real(path)
        if real in self._row_of:
            raise self.error(number, field, f"must not repeat row {self._row_of[real]}", value)
        self._row_of[real] = number
        return path

    def _real(self, path: Path) -> Path:
        """As `path.resolve()`, which looks at every folder on the way, for thousands of files in few folders."""
        if path.name == ".." or path.is_symlink():
            return path.resolve()
        if path.parent not in self._real_parents:
            self._real_parents[path.parent] = path.parent.resolve()
        return self._real_parents[path.parent] / path.name

    def value(self, number: int, field: str, text: str) -> float:
        """A number in [-1, 1]."""
        value = as_number(text)
        if value is None or not -1 <= value <= 1:
            raise self.error(number, field, "must be a number in [-1, 1]", text)
        return value

    def split(self, number: int, value: str) -> str:
        """The name of a split, or nothing."""
        name = "validation" if value == "val" else value
        if name and not _SPLIT.fullmatch(name):
            raise self.error(number, "split", "must be train, validation, test or foldN", value)
        return name

    def error(self, number: int, field: str, rule: str, value: str) -> ValueError:
        """A rule that a field of a row breaks."""
        return ValueError(f"{self._folder / MANIFEST}, row {number}, field {field}: {rule}, not {value!r}")


def as_number(text: str) -> float | None:
    """The finite number that a field holds, if it does."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
