"""A corpus as a frozen encoder hears it: each clip once, kept in the cache."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from trainables.cache import Array, Mapped, cached_array, content_key
from trainables.corpora.audio import load_audio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainables.corpora.corpus import Corpus
    from trainables.teachers.encoder import Encoder

# A multiple of every encoder's batch, so that a clip is heard in the same company however it is called.
PORTION = 64
PROGRESS = logging.getLogger(__name__)


def embeddings_key(encoder: Encoder, corpus: Corpus, clip_seconds: float) -> str:
    """The cache's key of what `embeddings` gives."""
    return content_key("embeddings", encoder.content_hash, corpus.content_hash, clip_samples(corpus, clip_seconds))


def embeddings(encoder: Encoder, corpus: Corpus, clip_seconds: float) -> Mapped:
    """Float16 [clips, steps, width] of every clip, memory-mapped."""

    def heard() -> Array:
        return np.concatenate(
            [half(encoder.embed(audio), encoder.name) for _, audio in portions(encoder, corpus, clip_seconds)]
        )

    return cached_array(embeddings_key(encoder, corpus, clip_seconds), heard)


def portions(encoder: Encoder, corpus: Corpus, clip_seconds: float) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """The rows of some clips after others, with their audio [clips, samples] in [-1, 1); says how far it has come."""
    audio = load_audio(corpus, clip_samples(corpus, clip_seconds))
    said = 0
    for at in range(0, len(audio), PORTION):
        rows = slice(at, min(at + PORTION, len(audio)))
        yield rows, np.divide(audio[rows], 32768, dtype=np.float32)
        if (tenths := 10 * rows.stop // len(audio)) > said:
            said = tenths
            PROGRESS.info("%s: heard %d of %d clips", encoder.name, rows.stop, len(audio))


def clip_samples(corpus: Corpus, clip_seconds: float) -> int:
    """A clip's length."""
    return round(clip_seconds * corpus.sample_rate_hz)


def half(states: NDArray[np.float32], name: str) -> NDArray[np.float16]:
    """As float16; a `ValueError` where a value is beyond it or no number."""
    with np.errstate(over="ignore"):
        halved = states.astype(np.float16)
    if not np.isfinite(halved).all():
        raise ValueError(f"--teacher: {name} gives states beyond 65,504, or none that are numbers: use another")
    return halved
