"""What a teacher says of the training clips in views, each clip by the head that never saw its speaker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trainables.cache import Array, Mapped, cached_array, content_key
from trainables.teachers import open_encoder
from trainables.teachers.cross_fitted import units
from trainables.teachers.embedded import PORTION, embeddings, embeddings_key, half
from trainables.teachers.ensemble import joined, members_of
from trainables.teachers.head import HEAD_VERSION, cross_fitted_view_logits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainables.corpora.corpus import Corpus
    from trainables.corpora.views import ClipView
    from trainables.teachers.encoder import Encoder


def view_logits(
    spec: str, corpus: Corpus, clip_seconds: float, seed: int, views: Sequence[ClipView]
) -> NDArray[np.float32]:
    """Logits [views, training clips, classes] of the teacher that `taught_by` names, in the order of the rows.

    Its heads are fitted on the clips without noise. Each view is embedded once and kept in the cache.
    """
    rule, members = members_of(spec)
    said = [_view_logits(open_encoder(member), corpus, clip_seconds, seed, views) for member in members]
    return np.stack([joined(rule, of_one) for of_one in zip(*said, strict=True)]) if rule else said[0]


def _view_logits(
    encoder: Encoder, corpus: Corpus, clip_seconds: float, seed: int, views: Sequence[ClipView]
) -> NDArray[np.float32]:
    train = corpus.indices("train")

    def logits() -> Array:
        clean = embeddings(encoder, corpus, clip_seconds)[train]
        heard = [_embedded(encoder, view, train) for view in views]
        target, groups = corpus.targets()[train], units(corpus)[train]
        return cross_fitted_view_logits(clean, target, groups, len(corpus.labels), seed, heard)

    fitted = embeddings_key(encoder, corpus, clip_seconds)
    key = content_key("view-logits", HEAD_VERSION, fitted, seed, [view.key for view in views])
    return np.array(cached_array(key, logits))


def _embedded(encoder: Encoder, view: ClipView, train: NDArray[np.int64]) -> Mapped:
    """Float16 [training clips, steps, width]."""

    def heard() -> Array:
        audio = view.audio()
        portions = [train[at : at + PORTION] for at in range(0, len(train), PORTION)]
        states = [encoder.embed(np.divide(audio[rows], 32768, dtype=np.float32)) for rows in portions]
        return half(np.concatenate(states), encoder.name)

    return cached_array(content_key("view-embeddings", encoder.content_hash, view.key), heard)
