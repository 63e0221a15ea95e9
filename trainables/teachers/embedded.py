"""A corpus as a frozen encoder hears it: each clip once, kept in the cache."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainables.cache import Array, Mapped, content_key, filled_array, stacked_array
from trainables.corpora.audio import load_audio

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus
    from trainables.teachers.encoder import Encoder

# A multiple of every encoder's batch, so that a clip is heard in the same company however it is called.
PORTION = 64

# Audio [clips, samples] to embeddings, and states [clips, steps, width] of some places, all of one shape.
Hear = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], tuple[NDArray[np.float32], ...]]]

PROGRESS = logging.getLogger(__name__)


def embeddings_key(encoder: Encoder, corpus: Corpus, clip_seconds: float) -> str:
    """The cache's key of what `embeddings` gives."""
    return content_key("embeddings", encoder.content_hash, corpus.content_hash, clip_samples(corpus, clip_seconds))


def embeddings(encoder: Encoder, corpus: Corpus, clip_seconds: float) -> Mapped:
    """Float16 [clips, steps, width] of every clip, memory-mapped."""

    def heard() -> Iterator[Array]:
        for _, audio in portions(encoder.name, corpus, clip_seconds):
            yield half(encoder.embed(audio), encoder.name)

    return stacked_array(embeddings_key(encoder, corpus, clip_seconds), len(corpus.clips), heard)


def states(key: str, encoder: Encoder, corpus: Corpus, clip_seconds: float, hear: Hear) -> Mapped:
    """Float16 [places, clips, steps, width]: what `hear` gives beside the embeddings, which are kept too."""
    silence = np.zeros((1, clip_samples(corpus, clip_seconds)), np.float32)
    places = hear(silence)[1]

    def fill(kept: Mapped) -> None:
        def both() -> Iterator[Array]:
            for rows, audio in portions(encoder.name, corpus, clip_seconds):
                embedding, heard = hear(audio)
                kept[:, rows] = np.stack([half(place, encoder.name) for place in heard])
                yield half(embedding, encoder.name)

        beside(embeddings_key(encoder, corpus, clip_seconds), len(corpus.clips), both)

    return filled_array(key, (len(places), len(corpus.clips), *places[0].shape[1:]), np.float16, fill)


def beside(key: str, rows: int, both: Callable[[], Iterator[Array]]) -> None:
    """Run through `both()`, which does something else with each portion of `rows` rows, and keep these if need be."""
    run = []

    def noted() -> Iterator[Array]:
        run.append(True)
        yield from both()

    stacked_array(key, rows, noted)
    if not run:
        deque(both(), maxlen=0)


def portions(name: str, corpus: Corpus, clip_seconds: float) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Rows of some clips after others, and their audio [clips, samples] in [-1, 1); tells how far `name` has come."""
    audio = load_audio(corpus, clip_samples(corpus, clip_seconds))
    said = 0
    for at in range(0, len(audio), PORTION):
        rows = slice(at, min(at + PORTION, len(audio)))
        yield rows, np.divide(audio[rows], 32768, dtype=np.float32)
        if (tenths := 10 * rows.stop // len(audio)) > said:
            said = tenths
            PROGRESS.info("%s: heard %d of %d clips", name, rows.stop, len(audio))


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
