"""Synthetic clips of a corpus: made by a conditional GAN that has heard its training split, once for all trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from trainables.cache import cached_array, content_key, filled_array
from trainables.conditional_gan import GanSettings, Generator, generated, trained_generator
from trainables.features import corpus_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.front_end import FrontEnd
    from trainables.cache import Mapped
    from trainables.corpora.corpus import Corpus

# Counts every change that alters a clip, so that older entries in the cache are not taken for new ones.
VERSION = 1
# Clips of the training split that the GAN hears, drawn where there are more: a quarter of an hour on one core.
MOST_CLIPS = 2_000
CHUNK_CLIPS = 100
# Percentiles of the training features that tanh's -1 and 1 stand for: a rare peak must not flatten all the rest.
RANGE_PERCENTILES = (0.1, 99.9)


class SyntheticClips(NamedTuple):
    """Features [clips, frames, mels] on the scale of the corpus's own, and the values [clips, n] asked for."""

    features: NDArray[np.float32]
    values: NDArray[np.float32]


def synthetic_clips(
    corpus: Corpus, front_end: FrontEnd, count: int, seed: int, settings: GanSettings | None = None
) -> SyntheticClips:
    """`count` clips under conditions drawn evenly from [-1, 1], from the cache once the GAN is trained.

    The GAN hears training clips alone. Fewer clips are the first of more. A front end without mels, or one that leaves
    fewer than 16 frames or mels, is a `ValueError`.
    """
    if front_end.kind != "log_mel":
        raise ValueError(f"synthetic clips: a GAN of log-mels makes no {front_end.kind}; use synthetic_clips=0")
    settings = settings or GanSettings()
    identity = (VERSION, corpus.content_hash, front_end, settings, seed)
    chunks = -(-count // CHUNK_CLIPS)
    values = np.concatenate(
        [_random(seed, at).uniform(-1, 1, (CHUNK_CLIPS, len(corpus.labels))) for at in range(chunks)]
    )
    conditions = values.astype(np.float32)[:count]

    def fill(features: Mapped) -> None:
        low, high = feature_range(corpus, front_end)
        generator = _generator(corpus, front_end, settings, seed, content_key("gan-weights", *identity))
        for at in range(chunks):
            rows = slice(at * CHUNK_CLIPS, (at + 1) * CHUNK_CLIPS)
            made = generated(generator, conditions[rows], _random(seed, at, 1))
            features[rows] = (made + 1) / 2 * (high - low) + low

    shape = (count, front_end.frames, front_end.mels)
    return SyntheticClips(filled_array(content_key("gan-clips", *identity, count), shape, np.float32, fill), conditions)


def feature_range(corpus: Corpus, front_end: FrontEnd) -> tuple[np.float32, np.float32]:
    """What lies between is all that a synthetic clip can hold."""
    low, high = np.percentile(_heard(corpus, front_end), RANGE_PERCENTILES)
    return np.float32(low), np.float32(high)


def heard_rows(corpus: Corpus) -> NDArray[np.int64]:
    """The training clips that the GAN hears, ascending."""
    rows = corpus.indices("train")
    if len(rows) <= MOST_CLIPS:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, MOST_CLIPS, replace=False))


def _heard(corpus: Corpus, front_end: FrontEnd) -> NDArray[np.float32]:
    return np.asarray(corpus_features(corpus, front_end)[heard_rows(corpus)])


def _generator(corpus: Corpus, front_end: FrontEnd, settings: GanSettings, seed: int, key: str) -> Generator:
    """The trained generator, its weights in the cache."""

    def train() -> NDArray[np.float32]:
        low, high = feature_range(corpus, front_end)
        features = np.clip((_heard(corpus, front_end) - low) / (high - low) * 2 - 1, -1, 1).astype(np.float32)
        trained = trained_generator(features, corpus.values()[heard_rows(corpus)], settings, seed)
        return np.concatenate([part.numpy().ravel() for part in _parts(trained)])

    weights = torch.from_numpy(np.array(cached_array(key, train)))
    with torch.random.fork_rng():
        generator = Generator(front_end.frames, front_end.mels, len(corpus.labels)).eval()
    parts = _parts(generator)
    for part, values in zip(parts, weights.split([part.numel() for part in parts]), strict=True):
        part.copy_(values.view_as(part))
    return generator


def _parts(generator: Generator) -> list[torch.Tensor]:
    """Weights and running statistics, in a fixed order; counters decide nothing."""
    return [part for part in generator.state_dict().values() if part.is_floating_point()]


def _random(seed: int, chunk: int, what: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, 13, chunk, what])
