"""Hidden states of a teacher's layers over a whole corpus, for students whose features are to match them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from trainables.cache import Array, Mapped, cached_array, content_key, filled_array
from trainables.teachers import open_encoder
from trainables.teachers.embedded import clip_samples, embeddings_key, half, portions
from trainables.teachers.ensemble import members_of

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus
    from trainables.teachers.encoder import Encoder

States = tuple[NDArray[np.float16], ...]

# Those of sarpel/wakeword-training-platform.
PUBLISHED_LAYERS = (1, 2, 3)


@final
@dataclass(frozen=True)
class LayerStates:
    """Where the cache keeps the states of some layers: of a few bytes, so that it can go to every worker.

    The teacher heard clips of `clip_seconds`.
    """

    key: str
    clip_seconds: float

    def arrays(self) -> States:
        """For each layer [clips, steps, width], memory-mapped; a `RuntimeError` where this machine's cache has none."""
        return tuple(self.whole())

    def whole(self) -> Mapped:
        """[layers, clips, steps, width], memory-mapped."""
        return cached_array(self.key, self._absent)

    def _absent(self) -> Array:
        raise RuntimeError(f"cache: {self.key} is not there; the driver makes it and hands it to its workers")


def layer_states(spec: str, corpus: Corpus, clip_seconds: float, layers: Sequence[int] | None = None) -> States:
    """For each of `layers`, in that order, float16 [clips, steps, width] of every clip, memory-mapped.

    Layer 1 is the transformer's lowest (0 would be what its convolutions give it); an encoder that shows no layers has
    its embedding as layer 1. Of several teachers the first is asked: another's layer of that number stands elsewhere.
    Of a teacher that is fine-tuned, the states are those before: each fold's own would be a space of its own. None
    means the source's three, or as many of them as there are; others are a `ValueError` that names those there are.
    """
    return kept_layer_states(spec, corpus, clip_seconds, layers).arrays()


def kept_layer_states(
    spec: str, corpus: Corpus, clip_seconds: float, layers: Sequence[int] | None = None
) -> LayerStates:
    """As `layer_states`, made where they are missing and left in the cache."""
    encoder = open_encoder(members_of(spec)[1][0])
    layers = PUBLISHED_LAYERS[: encoder.layer_count] if layers is None else layers
    encoder.check_layers(layers)
    key = content_key("layer-states", encoder.content_hash, corpus.content_hash, clip_seconds, list(layers))
    _stored(key, encoder, corpus, clip_seconds, layers)
    return LayerStates(key, clip_seconds)


def _stored(key: str, encoder: Encoder, corpus: Corpus, clip_seconds: float, layers: Sequence[int]) -> Mapped:
    """[layers, clips, steps, width]; the embeddings that the pass gives beside them are kept too."""
    silence = np.zeros((1, clip_samples(corpus, clip_seconds)), np.float32)
    _, steps, width = encoder.embed_layers(silence, layers[:1])[1][0].shape

    def fill(states: Mapped) -> None:
        embedded = []
        for rows, audio in portions(encoder, corpus, clip_seconds):
            embeddings, heard = encoder.embed_layers(audio, layers)
            embedded.append(half(embeddings, encoder.name))
            states[:, rows] = np.stack([half(layer, encoder.name) for layer in heard])
        cached_array(embeddings_key(encoder, corpus, clip_seconds), lambda: np.concatenate(embedded))

    return filled_array(key, (len(layers), len(corpus.clips), steps, width), np.float16, fill)
