"""Music rated for valence and arousal as people have it: a manifest, or DEAM's songs and annotations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trainables.corpora.audio import SUFFIXES
from trainables.corpora.corpus import Recording
from trainables.corpora.manifest import MANIFEST, as_number, read_manifest, table_rows

VALUES = ("valence", "arousal")
ANNOTATIONS = "static_annotations_averaged_songs_*.csv"
AUDIO_FOLDERS = ("MEMD_audio", "audio")

_COLUMNS = ("song_id", "valence_mean", "arousal_mean")
# DEAM's raters had nine points.
_LEAST, _MOST = 1.0, 9.0


def read_music(folder: Path, task: str | None = None) -> tuple[tuple[Recording, ...], tuple[str, ...]]:
    """The rated recordings of a folder, values in [-1, 1], and doubts about it as sentences.

    A manifest.csv (path, valence, arousal, and if wanted group and split) wins over DEAM's layout: songs in MEMD_audio/
    or audio/ that are named by their number, and the annotations averaged per song, wherever below the folder they lie
    (Aljanabi, Yang and Soleymani, PLoS ONE 12, 2017). What is missing or wrong is a `ValueError`.
    """
    if not folder.is_dir():
        raise ValueError(f"--data: {folder} is {'no folder' if folder.exists() else 'not there'}")
    if (folder / MANIFEST).is_file():
        return read_manifest(folder, task, VALUES), ()
    if task is not None:
        raise ValueError(f"--task: {folder} has no {MANIFEST} to pick a task from; leave --task out")
    return _read_deam(folder)


def _read_deam(folder: Path) -> tuple[tuple[Recording, ...], tuple[str, ...]]:
    tables = sorted(folder.rglob(ANNOTATIONS))
    if not tables:
        raise ValueError(f"--data: {folder} holds neither {MANIFEST} nor DEAM's {ANNOTATIONS}")
    ratings = _ratings(tables)
    songs = _songs(folder)
    both = sorted(set(ratings) & set(songs))
    if not both:
        raise ValueError(f"--data: none of the {len(songs)} songs in {folder} is one of the {len(ratings)} annotated")
    recordings = [Recording(songs[song], "", values=ratings[song]) for song in both]
    in_order = sorted(recordings, key=lambda recording: recording.path.as_posix())
    return tuple(in_order), _left_out(set(songs) - set(ratings), set(ratings) - set(songs))


def _songs(folder: Path) -> dict[int, Path]:
    """Audio files by the number that is their name."""
    homes = [path for name in AUDIO_FOLDERS for path in sorted(folder.rglob(name)) if path.is_dir()]
    songs: dict[int, Path] = {}
    for path in sorted(path for home in homes for path in home.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.stem.isdecimal():
            if int(path.stem) in songs:
                raise ValueError(f"--data: song {int(path.stem)} is there twice, {songs[int(path.stem)]} and {path}")
            songs[int(path.stem)] = path
    if not songs:
        kinds = ", ".join(SUFFIXES)
        raise ValueError(f"--data: {folder} has no songs such as {AUDIO_FOLDERS[0]}/2.mp3 ({kinds}; named by number)")
    return songs


def _ratings(tables: list[Path]) -> dict[int, tuple[float, ...]]:
    ratings: dict[int, tuple[float, ...]] = {}
    for path in tables:
        for number, row in table_rows(path, _COLUMNS):
            song = row["song_id"]
            if not song.isdecimal():
                raise _error(path, number, "song_id", "must be a whole number", song)
            values = tuple(_scaled(path, number, row, name) for name in _COLUMNS[1:])
            if ratings.setdefault(int(song), values) != values:
                raise _error(path, number, "song_id", "must not be annotated twice, and otherwise", song)
    return ratings


def _scaled(path: Path, number: int, row: Mapping[str, str], field: str) -> float:
    value = as_number(row[field])
    if value is None:
        raise _error(path, number, field, f"must be a number from {_LEAST:g} to {_MOST:g}", row[field])
    middle, half = (_MOST + _LEAST) / 2, (_MOST - _LEAST) / 2
    return min(max((value - middle) / half, -1.0), 1.0)


def _left_out(without_ratings: set[int], without_audio: set[int]) -> tuple[str, ...]:
    counts = ((without_ratings, "songs have no annotation"), (without_audio, "annotated songs have no audio"))
    return tuple(f"{len(songs)} {what} and are left out, such as {min(songs)}" for songs, what in counts if songs)


def _error(path: Path, number: int, field: str, rule: str, value: str) -> ValueError:
    return ValueError(f"{path}, row {number}, field {field}: {rule}, not {value!r}")
