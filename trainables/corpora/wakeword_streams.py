"""The streams without the word that a corpus allows: distinct minutes of its held-out splits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainables.corpora.audio import inspect_audio
from trainables.corpora.espeak_running import running_folder
from trainables.corpora.running import HELD_OUT, Piece, Running, negatives, recordings

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

LEAST_SECONDS = 10.0


def open_streams(corpus: Corpus, folder: Path | None, seed: int) -> tuple[dict[str, Running], tuple[str, ...]]:
    """Streams by held-out split, and warnings.

    Those of the recordings in `folder`; without one, each split's negatives end to end, and of the synthesised corpus
    running speech of the split's voices besides. Where that is under ten seconds there are none.
    """
    if folder is not None:
        halves, warnings = recordings(folder, corpus)
        return _within_reason({split: Running(half, corpus.sample_rate_hz) for split, half in halves.items()}, warnings)
    more = _running_speech(corpus.labels[1], seed) if corpus.synthetic else {}
    streams = {
        split: Running((*negatives(corpus, split), *more.get(split, ())), corpus.sample_rate_hz) for split in HELD_OUT
    }
    return _within_reason(streams, ())


def _running_speech(word: str, seed: int) -> dict[str, tuple[Piece, ...]]:
    folder = running_folder(word, seed)
    files = inspect_audio(folder, sorted(folder.rglob("*.wav")))
    pieces: dict[str, list[Piece]] = {split: [] for split in HELD_OUT}
    for path, file in files.items():
        pieces[path.parent.name].append(Piece(path, file.audio_hash, file.sample_rate_hz, 0, file.frames))
    return {split: tuple(members) for split, members in pieces.items()}


def _within_reason(
    streams: dict[str, Running], warnings: tuple[str, ...]
) -> tuple[dict[str, Running], tuple[str, ...]]:
    short = [split for split, stream in streams.items() if stream.hours * 3600 < LEAST_SECONDS]
    if not short:
        return streams, warnings
    few = f"{short[0]} holds under {LEAST_SECONDS:g} s without the word: no false alarms per hour are counted"
    return {}, (*warnings, f"streams: {few}; --streams names a folder of recordings")
