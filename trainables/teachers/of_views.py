"""What a teacher says of the training clips in views, each clip by the head that never saw its speaker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from trainables.cache import Array, Mapped, cached_array, content_key, filled_array, stacked_array
from trainables.teachers import CLASSIFIER, open_encoder
from trainables.teachers.cross_fitted import units
from trainables.teachers.embedded import PORTION, beside, clip_samples, embeddings, embeddings_key, half
from trainables.teachers.ensemble import joined, members_of
from trainables.teachers.fine_tuning import fine_tuning_of
from trainables.teachers.head import HEAD_VERSION, cross_fitted_view_logits
from trainables.teachers.layer_states import LayerStates, checked_layers

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
    said = [_said(member, corpus, clip_seconds, seed, views) for member in members]
    return np.stack([joined(rule, of_one) for of_one in zip(*said, strict=True)]) if rule else said[0]


def refuse_views(spec: str) -> None:
    """Raise a `ValueError` where a member is fine-tuned: its copies are gone when they have scored the clips."""
    tuned = [member for member in members_of(spec)[1] if fine_tuning_of(member)[1] is not None]
    if tuned:
        raise ValueError(f"--teacher: {tuned[0]} cannot score clips in noise and rooms; add --set view_share=0")


def _said(spec: str, corpus: Corpus, clip_seconds: float, seed: int, views: Sequence[ClipView]) -> NDArray[np.float32]:
    kind, _, source = spec.partition(":")
    if kind != CLASSIFIER:
        return _view_logits(open_encoder(spec), corpus, clip_seconds, seed, views)
    from trainables.teachers.classifier import Classifier

    classifier, train = Classifier(source), corpus.indices("train")
    samples = clip_samples(corpus, clip_seconds)
    return np.stack([classifier.view_logits(view.key, _sound(view, train, samples), corpus.labels) for view in views])


def _view_logits(
    encoder: Encoder, corpus: Corpus, clip_seconds: float, seed: int, views: Sequence[ClipView]
) -> NDArray[np.float32]:
    train = corpus.indices("train")

    def logits() -> Array:
        clean = embeddings(encoder, corpus, clip_seconds)[train]
        heard = [_embedded(encoder, view, train, clip_samples(corpus, clip_seconds)) for view in views]
        target, groups = corpus.targets()[train], units(corpus)[train]
        return cross_fitted_view_logits(clean, target, groups, len(corpus.labels), seed, heard)

    fitted = embeddings_key(encoder, corpus, clip_seconds)
    key = content_key("view-logits", HEAD_VERSION, fitted, seed, [view.key for view in views])
    return np.array(cached_array(key, logits))


def _embedded(encoder: Encoder, view: ClipView, train: NDArray[np.int64], samples: int) -> Mapped:
    """Float16 [training clips, steps, width]."""

    def heard() -> Iterator[Array]:
        for rows in _portions(train):
            yield half(encoder.embed(_sound(view, rows, samples)), encoder.name)

    return stacked_array(_embeddings_key(encoder, view, samples), len(train), heard)


def view_layer_states(
    spec: str, corpus: Corpus, clip_seconds: float, view: ClipView, layers: Sequence[int] | None = None
) -> LayerStates:
    """As `kept_layer_states`, of the training clips in a view; the rows of other clips are zeros."""
    encoder = open_encoder(fine_tuning_of(members_of(spec)[1][0])[0])
    layers = checked_layers(encoder, layers)
    train, samples = corpus.indices("train"), clip_samples(corpus, clip_seconds)
    _, steps, width = encoder.embed_layers(_sound(view, train[:1], samples), layers[:1])[1][0].shape

    def fill(states: Mapped) -> None:
        def both() -> Iterator[Array]:
            for rows in _portions(train):
                embeddings, heard = encoder.embed_layers(_sound(view, rows, samples), layers)
                states[:, rows] = np.stack([half(layer, encoder.name) for layer in heard])
                yield half(embeddings, encoder.name)

        # What the pass gives beside the states need not be heard again.
        beside(_embeddings_key(encoder, view, samples), len(train), both)

    key = content_key("view-layer-states", encoder.content_hash, view.key, samples, list(layers))
    filled_array(key, (len(layers), len(corpus.clips), steps, width), np.float16, fill)
    return LayerStates(key, clip_seconds, tuple(layers))


def _embeddings_key(encoder: Encoder, view: ClipView, samples: int) -> str:
    return content_key("view-embeddings", encoder.content_hash, view.key, samples)


def _portions(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[at : at + PORTION] for at in range(0, len(rows), PORTION)]


def _sound(view: ClipView, rows: NDArray[np.int64], samples: int) -> NDArray[np.float32]:
    return np.divide(view.heard(rows, samples), 32768, dtype=np.float32)
