"""Adapter of class-per-folder layouts, Speech Commands' among them, and the choice of adapter for a data folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from trainables.corpora.audio import SUFFIXES, audio_files
from trainables.corpora.corpus import Recording
from trainables.corpora.manifest import MANIFEST, read_manifest

BACKGROUND_NOISE = "_background_noise_"

_SPEECH_COMMANDS = re.compile(r"(?P<speaker>.+)_nohash_\d+")
_LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}


def read_folder(folder: Path, task: str | None = None) -> tuple[Recording, ...]:
    """The recordings of a data folder, by its manifest.csv where it has one, else by its file names.

    A missing or empty folder, or `task` without a manifest, is a `ValueError`.
    """
    if not folder.is_dir():
        raise ValueError(f"--data: {folder} is {'no folder' if folder.exists() else 'not there'}")
    if (folder / MANIFEST).is_file():
        return read_manifest(folder, task)
    if task is not None:
        raise ValueError(f"--task: {folder} has no {MANIFEST} to pick a task from; leave --task out")
    return read_class_folders(folder)


def read_class_folders(folder: Path) -> tuple[Recording, ...]:
    """The audio files of `<label>/`, in the order of their paths.

    `<speaker>_nohash_<n>` names a speaker, as in Speech Commands (Warden 2018, arXiv:1804.03209), whose lists of
    validation and test files are kept where both lie in the folder; `_background_noise_` is no label.
    """
    splits = _official_splits(folder)
    labels = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    recordings = [
        Recording(path, label.name, speaker=_speaker(path), split=splits(f"{label.name}/{path.name}"))
        for label in labels
        if label.name != BACKGROUND_NOISE
        for path in audio_files(label.iterdir())
    ]
    if not recordings:
        raise ValueError(
            f"--data: {folder} holds neither {MANIFEST} nor audio as <label>/<clip>, {' or '.join(SUFFIXES)}"
        )
    return tuple(recordings)


def _speaker(path: Path) -> str:
    match = _SPEECH_COMMANDS.fullmatch(path.stem)
    return match["speaker"] if match else ""


def _official_splits(folder: Path) -> Callable[[str], str]:
    """The split of a file by its name; empty everywhere unless both lists are there."""
    lists = {split: folder / name for split, name in _LISTS.items()}
    if not all(path.is_file() for path in lists.values()):
        return lambda name: ""
    listed = {line: split for split, path in lists.items() for line in path.read_text(encoding="utf-8").split()}
    return lambda name: listed.get(name, "train")
