"""Recordings that an exported student hears: files of its rate with one channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soundfile

from export.listening import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from export.exported import ExportedStudent

BLOCK_SECONDS = 10


def heard(student: ExportedStudent, path: Path) -> tuple[NDArray[np.float64], NDArray[np.int16], float]:
    """Seconds [n] and scores in steps [n] of all decisions on a recording, and its length in seconds.

    Another rate, several channels, less than one clip, or a file that is no sound are a `ValueError`.
    """
    listener, samples = Listener(student), 0
    parts = []
    for block in blocks(path, student.front_end.sample_rate_hz):
        parts.append(listener.hear(block))
        samples += len(block)
    seconds = samples / student.front_end.sample_rate_hz
    if not sum(len(scores) for _, scores in parts):
        raise ValueError(
            f"{path}: lasts {seconds:.2f} s; the student hears {student.front_end.clip_seconds:g} s at once"
        )
    ends, scores = (np.concatenate(values) for values in zip(*parts, strict=True))
    return ends, scores, seconds


def blocks(path: Path, rate_hz: int) -> Iterator[NDArray[np.int16]]:
    """int16 samples of a recording, piece by piece; a `ValueError` as for `heard`."""
    try:
        with soundfile.SoundFile(path) as file:
            if file.samplerate != rate_hz:
                raise ValueError(f"{path}: has {file.samplerate} Hz; the student hears {rate_hz} Hz: resample it")
            if file.channels != 1:
                raise ValueError(f"{path}: has {file.channels} channels; the student hears one: extract one")
            yield from file.blocks(BLOCK_SECONDS * rate_hz, dtype="int16")
    except soundfile.LibsndfileError as error:
        told = "No such file" if not path.exists() else error.error_string
        raise ValueError(f"{path}: cannot be read: {told}") from None
