"""Adapters of sound-event collections: ESC-50 and AudioSet's lists of segments."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from trainables.corpora.audio import audio_files
from trainables.corpora.corpus import Recording
from trainables.corpora.folders import read_folder
from trainables.corpora.manifest import MANIFEST

ESC50 = Path("meta") / "esc50.csv"
SEGMENTS = "*segments*.csv"
# From AudioSet's ontology: "Crying, sobbing" and "Baby cry, infant cry".
AUDIOSET_CRIES = ("/m/0463cq4", "/t/dd00002")
CRY = "baby_cry"

_ESC50_COLUMNS = {"filename", "fold", "category"}
_VIDEO = re.compile(r"Y?(?P<id>[\w-]{11})(_[\d.]+)*")


def read_sounds(folder: Path, task: str | None = None) -> tuple[tuple[Recording, ...], tuple[str, ...]]:
    """The recordings of a folder with doubts about it as sentences; files that belong to no layout are a `ValueError`.

    A manifest.csv wins over ESC-50's list, that over AudioSet's, and all over a folder per class.
    """
    if task is not None or (folder / MANIFEST).is_file() or not folder.is_dir():
        return read_folder(folder, task), ()
    if (folder / ESC50).is_file():
        return read_esc50(folder), ()
    lists = sorted(folder.glob(SEGMENTS))
    return read_segments(folder, lists) if lists else (read_folder(folder), ())


def read_esc50(folder: Path) -> tuple[Recording, ...]:
    """`audio/` with the folds of `meta/esc50.csv` (Piczak, ESC-50); clips of one `src_file` are of one group."""
    path = folder / ESC50
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or not rows[0].keys() >= _ESC50_COLUMNS:
        raise ValueError(f"{path}: must hold rows with the columns {', '.join(sorted(_ESC50_COLUMNS))}")
    return tuple(
        Recording(
            path=folder / "audio" / row["filename"],
            label=row["category"],
            group=row.get("src_file") or "",
            split=f"fold{row['fold']}",
        )
        for row in sorted(rows, key=lambda row: row["filename"])
    )


def read_segments(folder: Path, lists: Sequence[Path]) -> tuple[tuple[Recording, ...], tuple[str, ...]]:
    """Clips that AudioSet's `lists` name, found anywhere in the folder as `[Y]<YTID>[_start[_end]]`.

    Lists whose names begin with `eval` are for test, others for training; one kind alone gives no splits. Clips that
    are not there are counted in a doubt; where none is, that is a `ValueError`.
    """
    rows = [(path, *row) for path in lists for row in _segments(path)]
    files = _files_by_video(folder)
    found = {row[1]: row for row in rows if row[1] in files}
    if not found:
        raise ValueError(f"--data: {folder} holds none of the {len(rows)} clips that {lists[0].name} lists")
    parted = len({_split(path) for path, _, _ in found.values()}) > 1
    recordings = tuple(
        Recording(files[video], label, group=video, split=_split(path) if parted else "")
        for path, video, label in sorted(found.values(), key=lambda row: row[1])
    )
    missing = len({row[1] for row in rows}) - len(found)
    doubt = f"{missing} of {missing + len(found)} clips that AudioSet's lists name are not there"
    return recordings, (doubt,) if missing else ()


def _segments(path: Path) -> Iterator[tuple[str, str]]:
    """Video and label of every row `YTID, start_seconds, end_seconds, "ids"` that is no comment."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.reader(file, skipinitialspace=True), start=1):
            if not row or row[0].startswith("#"):
                continue
            if len(row) != 4:
                raise ValueError(f'{path}, row {number}: must be YTID, start_seconds, end_seconds, "ids", not {row}')
            yield row[0], _label([name.strip() for name in row[3].split(",")])


def _label(ids: Sequence[str]) -> str:
    return CRY if set(ids) & set(AUDIOSET_CRIES) else ids[0]


def _split(path: Path) -> str:
    return "test" if path.name.startswith("eval") else "train"


def _files_by_video(folder: Path) -> dict[str, Path]:
    named = ((_VIDEO.fullmatch(path.stem), path) for path in audio_files(folder.rglob("*")))
    return {match["id"]: path for match, path in named if match}
