"""What lies in the cache: its entries by kind, their last use, and which of them go when room is wanted."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Collection, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import final

from filelock import FileLock, Timeout

from trainables.cache_holds import forget_the_dead, gate, held

MARKER = ".complete.json"
DEFAULT_CAP_BYTES = 20 << 30
DISK_SHARE = 10
# Of a file that no lock guards: a writer needs seconds.
ABANDONED_SECONDS = 3600.0
_ROOMS = {"arrays": "*.array", "folders": "*", "records": "*.json"}
_UNIT = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
# Whatever `content_key` is asked for, by its first argument.
KINDS = {
    "assistant-logits": "outputs of a teaching assistant",
    "audio": "decoded clips of a corpus",
    "classifier-logits": "outputs of a classifier with its own head",
    "classifier-view-logits": "a classifier's outputs on clips in noise and rooms",
    "embeddings": "clips as a frozen encoder hears them",
    "enhancer": "weights of an enhancement teacher",
    "enhancer-masks": "masks of an enhancement teacher",
    "enhancer-weights": "weights of an enhancement teacher from a file",
    "espeak": "synthesised corpus: a word and others",
    "espeak-emotions": "synthesised corpus: emotions",
    "espeak-in-noise": "synthesised corpus: speech and noise",
    "espeak-running": "synthesised streams without the word",
    "fine-tuned": "outputs of a teacher whose top layers were trained",
    "footprint": "footprint of an architecture on a board",
    "gan-clips": "synthetic training clips",
    "gan-weights": "weights of what makes synthetic training clips",
    "inspected": "what is known of a folder's audio files",
    "layer-states": "states of a teacher's layers",
    "log-power": "log power spectra of mixtures of speech and noise",
    "log-mel": "log-mels of a corpus or stream",
    "micro": "features of a corpus or stream by TFLM's audio front end",
    "mixture-peaks": "peaks of mixtures of speech and noise",
    "mixtures": "mixtures of speech and noise",
    "noise": "recordings of noise, in a row",
    "own-noise": "noise of the corpus's own",
    "phase-sensitive": "what masks of speech are taught",
    "powers": "powers of recordings",
    "quality": "quality of enhanced speech",
    "rooms": "impulse responses of rooms",
    "statistics": "baseline on mere statistics",
    "statistics-values": "baseline of values on mere statistics",
    "states": "states below a teacher's trained layers",
    "stream": "decoded streams",
    "synthesised-cries": "synthesised corpus: cries",
    "synthesised-music": "synthesised corpus: music",
    "synthesised-rooms": "synthesised rooms",
    "teacher-costs": "footprint of a teacher on a board",
    "teacher-logits": "outputs of a teacher's cross-fitted heads",
    "template": "an architecture's .tflite, for any weights",
    "untemplated": "layers that no template can be made of",
    "value-given": "values that a teacher gives by itself",
    "value-logits": "outputs of a teacher of values",
    "value-maps": "where a teacher of values looks",
    "value-teacher": "weights of a teacher of values",
    "value-tokens": "states of a teacher of values",
    "view": "clips in noise and rooms",
    "view-embeddings": "clips in noise and rooms as an encoder hears them",
    "view-layer-states": "states of a teacher's layers in noise and rooms",
    "view-logits": "a teacher's outputs on clips in noise and rooms",
    "waveform": "clips as waveforms for a student",
    "yamnet-logits": "outputs of YAMNet",
}


@final
@dataclass(frozen=True)
class Entry:
    """One array, folder or record; `used` is when a process last opened it, in seconds since 1970."""

    key: str
    path: Path
    size_bytes: int
    used: float

    @property
    def kind(self) -> str:
        """What stands before the hash in its key."""
        return self.key.rpartition("-")[0] or self.key

    def remove(self) -> None:
        """Take it off the disk; a process that has mapped it keeps what it mapped."""
        if not self.path.is_dir():
            self.path.unlink(missing_ok=True)
            return
        # Renamed first: a folder that is half removed must not be taken for a whole one.
        going = self.path.with_name(f"{self.key}.{os.getpid()}.tmp")
        with suppress(FileNotFoundError):
            self.path.rename(going)
            shutil.rmtree(going, ignore_errors=True)


@final
@dataclass(frozen=True)
class Pruned:
    """What was removed: entries, and files that killed processes left unfinished; `in_use` would have gone too."""

    entries: tuple[Entry, ...] = ()
    unfinished: tuple[Entry, ...] = ()
    in_use: tuple[Entry, ...] = ()


@final
@dataclass(frozen=True)
class Want:
    """What is to go: entries unused since `before`, and the least recently used ones until `to_bytes` are left.

    Only those of `kinds`, if any are named; with kinds and nothing else all of them.
    """

    to_bytes: int | None = None
    before: float | None = None
    kinds: Collection[str] = ()

    def chosen(self, entries: Sequence[Entry], in_use: Collection[str]) -> tuple[list[Entry], list[Entry]]:
        """Of all entries those that go, least recently used first; and those that would, were their keys not in use."""
        left = sum(entry.size_bytes for entry in entries)
        everything = bool(self.kinds) and self.to_bytes is None and self.before is None
        go: list[Entry] = []
        stay: list[Entry] = []
        for entry in sorted(entries, key=lambda entry: entry.used):
            if self.kinds and entry.kind not in self.kinds:
                continue
            old = self.before is not None and entry.used < self.before
            if everything or old or (self.to_bytes is not None and left > self.to_bytes):
                (stay if entry.key in in_use else go).append(entry)
                left -= 0 if entry.key in in_use else entry.size_bytes
        return go, stay


def parse_bytes(text: str, name: str) -> int:
    """`20G` as bytes; K, M, G and T are powers of 1,024. Anything else is a `ValueError` that begins with `name`."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{name}: {text!r} is no size; give bytes, or a number with K, M, G or T, such as 20G")
    return int(float(match[1]) * _UNIT[match[2].upper()])


def cap_bytes(folder: Path) -> int:
    """How large the cache may grow: $POTSTILL_CACHE_CAP, else 20 GiB or, if that is less, a tenth of its disk."""
    given = os.environ.get("POTSTILL_CACHE_CAP")
    if given:
        return parse_bytes(given, "POTSTILL_CACHE_CAP")
    return min(DEFAULT_CAP_BYTES, shutil.disk_usage(folder).total // DISK_SHARE)


def entries_of(folder: Path) -> list[Entry]:
    """Everything finished in a cache."""
    paths = [path for room, pattern in _ROOMS.items() for path in (folder / room).glob(pattern)]
    # What is known of audio files, and the weights of a teacher in training, lie beside the rooms.
    paths += [path for path in folder.glob("*-*") if path.is_file()]
    found = [_entry(path) for path in paths if path.suffix != ".tmp"]
    return [entry for entry in found if entry is not None]


def _entry(path: Path) -> Entry | None:
    try:
        stat = path.stat()
        if not path.is_dir():
            return Entry(path.name.partition(".")[0], path, stat.st_size, max(stat.st_atime, stat.st_mtime))
        marker = (path / MARKER).stat()
        size = int(json.loads((path / MARKER).read_text(encoding="utf-8"))["bytes"])
        return Entry(path.name, path, size, max(marker.st_atime, marker.st_mtime))
    except FileNotFoundError:
        # Removed meanwhile, or a folder without its marker, which the next reader makes again.
        return None
    except (ValueError, KeyError, TypeError):
        return Entry(path.name, path, 0, stat.st_mtime)


def unfinished_of(folder: Path, remove: bool = False) -> list[Entry]:
    """What processes began to write and, being killed, never finished; what is being written now is not among it."""
    paths = [path for place in (folder, *(folder / room for room in _ROOMS)) for path in place.glob("*.tmp")]
    return [entry for path in paths if (entry := _abandoned(folder, path, remove)) is not None]


def _abandoned(folder: Path, path: Path, remove: bool) -> Entry | None:
    lock = folder / "locks" / f"{path.stem}.lock"
    if not lock.is_file() and time.time() - _changed(path) < ABANDONED_SECONDS:
        return None
    # Removed under its key's lock: who writes next uses the same name.
    try:
        with FileLock(lock, timeout=0) if lock.is_file() else nullcontext():
            entry = Entry(path.name, path, _bytes(path), _changed(path))
            if remove:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            return entry
    except (Timeout, FileNotFoundError):
        return None


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _bytes(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def prune(folder: Path, want: Want) -> Pruned:
    """Remove what is wanted away and not in use, and what killed processes left; safe beside any reader or writer.

    A reader says what it opens before it opens it, and while this goes on it waits: so no entry goes that a process
    still reads, and who comes later finds it gone and makes it again.
    """
    with gate(folder, alone=True):
        forget_the_dead(folder)
        gone, in_use = want.chosen(entries_of(folder), held(folder))
        for entry in gone:
            entry.remove()
        unfinished = unfinished_of(folder, remove=True)
    return Pruned(tuple(gone), tuple(unfinished), tuple(in_use))


def keep_under_cap(folder: Path) -> None:
    """After something was written: remove what was used least recently, if the cache has outgrown its cap.

    Only arrays and folders go: records are small, and a footprint costs seconds.
    """
    cap = cap_bytes(folder)
    # What was made is there, whether or not something else can be removed.
    with suppress(OSError):
        entries = entries_of(folder)
        if sum(entry.size_bytes for entry in entries) > cap:
            large = {entry.kind for entry in entries if entry.path.parent.name in ("arrays", "folders")}
            prune(folder, Want(to_bytes=cap, kinds=large))
