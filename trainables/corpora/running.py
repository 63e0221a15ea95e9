"""Recordings without the event, each used once and whole, joined end to end."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np

from trainables.cache import content_key, filled_array
from trainables.corpora.audio import (
    SUFFIXES,
    AudioFile,
    audio_files,
    decode,
    fit_length,
    inspect_audio,
    resample,
    to_int16,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainables.cache import Mapped
    from trainables.corpora.corpus import Corpus

_VERSION = 1
HELD_OUT = ("validation", "test")


@final
@dataclass(frozen=True)
class Piece:
    """Samples `first` to `last` of one file, counted at the file's own rate."""

    path: Path
    audio_hash: str
    sample_rate_hz: int
    first: int
    last: int

    @property
    def seconds(self) -> float:
        """Length."""
        return (self.last - self.first) / self.sample_rate_hz

    def samples(self, rate_hz: int) -> int:
        """Length at another rate."""
        return math.ceil((self.last - self.first) * rate_hz / self.sample_rate_hz)


@final
@dataclass(frozen=True)
class Running:
    """A stream of distinct pieces in a fixed order."""

    pieces: tuple[Piece, ...]
    sample_rate_hz: int

    @property
    def samples(self) -> int:
        """Length at the stream's rate."""
        return sum(piece.samples(self.sample_rate_hz) for piece in self.pieces)

    @property
    def hours(self) -> float:
        """Length."""
        return self.samples / self.sample_rate_hz / 3600

    @property
    def content_hash(self) -> str:
        """SHA-256 over the pieces in order, not where the files lie."""
        heard = [(piece.audio_hash, piece.first, piece.last) for piece in self.pieces]
        return hashlib.sha256(json.dumps(heard).encode()).hexdigest()

    @property
    def audio_key(self) -> str:
        """The cache's key of what `audio` gives."""
        return content_key("stream", _VERSION, self.content_hash, self.sample_rate_hz)

    def audio(self) -> Mapped:
        """Read-only int16 [samples], decoded once; levels stay as they are."""

        def fill(stream: Mapped) -> None:
            at = 0
            for piece in self.pieces:
                length = piece.samples(self.sample_rate_hz)
                heard = decode(piece.path)[0][piece.first : piece.last]
                resampled = resample(heard, piece.sample_rate_hz, self.sample_rate_hz)
                stream[at : at + length] = to_int16(fit_length(resampled, length))
                at += length

        return filled_array(self.audio_key, (self.samples,), np.int16, fill)


def negatives(corpus: Corpus, split: str) -> tuple[Piece, ...]:
    """The negatives of one split, copies of one another only once; an all-zero recording is none."""
    pieces: dict[str, Piece] = {}
    for at in corpus.indices(split):
        clip = corpus.clips[at]
        if clip.label == corpus.labels[0] and not clip.silent:
            frames = round(clip.seconds * clip.sample_rate_hz)
            pieces.setdefault(clip.audio_hash, Piece(clip.path, clip.audio_hash, clip.sample_rate_hz, 0, frames))
    return tuple(pieces.values())


def recordings(folder: Path, corpus: Corpus) -> tuple[dict[str, tuple[Piece, ...]], tuple[str, ...]]:
    """The recordings under `folder`, held out as validation and test, with warnings about those left out.

    Whole files go to the split that has less, the longest first; a single one is cut in the middle. Copies, and what
    the corpus holds already, are left out. A folder without a readable recording is a `ValueError`.
    """
    folder = folder.resolve()
    paths = audio_files(folder.rglob("*"))
    files = inspect_audio(folder, paths)
    known = {clip.audio_hash for clip in corpus.clips}
    kept: dict[str, Piece] = {}
    warnings = []
    for path, file in files.items():
        why = _why_not(file, known | kept.keys())
        if why:
            warnings.append(f"--streams: {path} is left out: {why}")
        else:
            kept[file.audio_hash] = Piece(path, file.audio_hash, file.sample_rate_hz, 0, file.frames)
    if not kept:
        raise ValueError(
            f"--streams: {folder} holds no recording to use ({', '.join(SUFFIXES)}); {len(paths)} files seen"
        )
    return _halves(list(kept.values())), tuple(warnings)


def _why_not(file: AudioFile, known: set[str]) -> str:
    if file.problem:
        return f"it {file.problem}"
    if file.silent:
        return "it is silent"
    return "the same audio is in use already" if file.audio_hash in known else ""


def _halves(pieces: Sequence[Piece]) -> dict[str, tuple[Piece, ...]]:
    if len(pieces) == 1:
        (one,) = pieces
        middle = one.last // 2
        ends = ((0, middle), (middle, one.last))
        cut = [Piece(one.path, one.audio_hash, one.sample_rate_hz, *end) for end in ends]
        return {split: (piece,) for split, piece in zip(HELD_OUT, cut, strict=True)}
    halves: dict[str, list[Piece]] = {split: [] for split in HELD_OUT}
    for piece in sorted(pieces, key=lambda piece: (-piece.seconds, piece.audio_hash)):
        min(halves.values(), key=lambda half: sum(other.seconds for other in half)).append(piece)
    return {split: tuple(half) for split, half in halves.items()}
