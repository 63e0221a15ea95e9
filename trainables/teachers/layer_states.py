"""Hidden states of a teacher's layers over a whole corpus, for students whose features are to match them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from trainables.cache import Array, Mapped, cached_array, content_key
from trainables.teachers import CLASSIFIER, TRANSFORMERS, embedded, open_encoder
from trainables.teachers.checkpoint import kind_of
from trainables.teachers.ensemble import members_of
from trainables.teachers.fine_tuning import fine_tuning_of

if TYPE_CHECKING:
    from spaces.candidate import Scalar
    from trainables.corpora.corpus import Corpus
    from trainables.recipe import Request
    from trainables.teachers.encoder import Encoder

States = tuple[NDArray[np.float16], ...]

# Those of sarpel/wakeword-training-platform.
PUBLISHED_LAYERS = (1, 2, 3)


@final
@dataclass(frozen=True)
class LayerStates:
    """Where the cache keeps the states of some layers: of a few bytes, so that it can go to every worker.

    The teacher heard clips of `clip_seconds`; `layers` are numbered from 1 up.
    """

    key: str
    clip_seconds: float
    layers: tuple[int, ...]

    def arrays(self) -> States:
        """For each layer [clips, steps, width], memory-mapped; a `RuntimeError` where this machine's cache has none."""
        return tuple(self.whole())

    def beside(self, clip_seconds: float) -> States:
        """As `arrays`; averaged over time for a student that hears clips of another length, whose steps differ."""
        states = self.arrays()
        if clip_seconds == self.clip_seconds:
            return states
        return tuple(layer.mean(axis=1, keepdims=True) for layer in states)

    def whole(self) -> Mapped:
        """[layers, clips, steps, width], memory-mapped."""
        return cached_array(self.key, self._absent)

    def _absent(self) -> Array:
        raise RuntimeError(f"cache: {self.key} is not there; the driver makes it and hands it to its workers")


def fixed_alignment(request: Request) -> Mapping[str, Scalar]:
    """No alignment is the one choice where the teacher shows no layers and none were named; see `Recipe.fixed`."""
    return {} if request.teacher_layers is not None or shows_layers(request.teacher) else {"alignment_weight": 0.0}


def aligns(request: Request) -> bool:
    """Whether any student of the study may be aligned."""
    return request.aligned and not fixed_alignment(request)


def asked_layer_states(request: Request, corpus: Corpus, clip_seconds: float) -> LayerStates | None:
    """As `kept_layer_states` of the request's teacher and layers; None where no student may be aligned."""
    if not aligns(request):
        return None
    return kept_layer_states(request.teacher, corpus, clip_seconds, request.teacher_layers)


def shows_layers(spec: str) -> bool:
    """False of a classifier that is none of the encoders whose layers can be had."""
    kind, _, source = _asked(spec).partition(":")
    return kind != CLASSIFIER or not source or kind_of(spec, source) in TRANSFORMERS


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
    encoder = open_encoder(_asked(spec))
    layers = checked_layers(encoder, layers)
    key = content_key("layer-states", encoder.content_hash, corpus.content_hash, clip_seconds, list(layers))
    embedded.states(key, encoder, corpus, clip_seconds, lambda audio: encoder.embed_layers(audio, layers))
    return LayerStates(key, clip_seconds, tuple(layers))


def _asked(spec: str) -> str:
    """The encoder whose layers those of the teacher are: the first of several, as it is before fine-tuning."""
    return fine_tuning_of(members_of(spec)[1][0])[0]


def checked_layers(encoder: Encoder, layers: Sequence[int] | None) -> Sequence[int]:
    """Those asked for, or the published ones that there are; others are a `ValueError`."""
    layers = PUBLISHED_LAYERS[: encoder.layer_count] if layers is None else layers
    encoder.check_layers(layers)
    return layers
