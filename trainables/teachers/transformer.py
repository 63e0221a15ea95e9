"""Speech encoders of `transformers`, from a hub name or a folder: Wav2Vec2, HuBERT, WavLM, Whisper."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from trainables.teachers import TRANSFORMERS
from trainables.teachers.checkpoint import content_hash, kind_of, open_checkpoint
from trainables.teachers.computing import here
from trainables.teachers.encoder import Encoder
from trainables.teachers.top_layers import TopLayers

if TYPE_CHECKING:
    from trainables.teachers.head import Head

STEPS = 10
BATCH = 16
# What pretraining alone needs; whatever else is missing would be random numbers.
UNNEEDED = ("masked_spec_embed", "decoder.")

Heard = tuple[NDArray[np.float32], tuple[NDArray[np.float32], ...]]
Place = Callable[[Callable[[Tensor], None]], RemovableHandle]
Kept = Callable[[Tensor, NDArray[np.float32]], NDArray[np.float32]]


@final
class Transformer(Encoder):
    """`embed` gives [clips, 10, hidden size]: the last hidden states, averaged into ten equal stretches."""

    def __init__(self, kind: str, source: str) -> None:
        self.name = f"{kind}:{source}"
        found = kind_of(self.name, source)
        if found != kind:
            raise ValueError(f"--teacher: {self.name} holds a {found}, not a {kind}")
        checkpoint = open_checkpoint(self.name, source, TRANSFORMERS[kind])
        missing = sorted(name for name in checkpoint.missing if not name.startswith(UNNEEDED))
        if missing:
            raise ValueError(f"--teacher: {self.name} holds no whole {kind}: {missing[0]} is missing")
        self._extractor, model = checkpoint.extractor, checkpoint.model
        self._model = model.get_encoder() if kind == "whisper" else model
        self._layers: Any = self._model.layers if kind == "whisper" else self._model.encoder.layers
        self.layer_count = len(self._layers)
        self.parameters = sum(weight.numel() for weight in self._model.parameters())
        self.computing = here()
        precision = "" if self.computing.precision == "float32" else f" {self.computing.precision}"
        self.content_hash = content_hash(self._model, f"{STEPS} {self._extractor.to_json_string()}{precision}")

    @torch.no_grad()
    def embed(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Audio is 16 kHz; prepared as the model's own feature extractor says."""
        return np.concatenate([self._pooled(self._states(part), part) for part in _batches(audio)])

    def embed_layers(self, audio: NDArray[np.float32], layers: Sequence[int]) -> Heard:
        """States as the layers leave them, before any norm that follows the last; averaged as the embeddings are."""
        return self._watching(audio, [_left_by(self._layers[number - 1]) for number in layers], self._pooled)

    def embed_below(self, audio: NDArray[np.float32], count: int) -> Heard:
        """The embeddings, and all states [clips, steps, width] that the last `count` layers are given."""
        return self._watching(audio, [_given_to(self._layers[-count])], lambda states, _: states.float().cpu().numpy())

    def top_layers(self, count: int, head: Head, clip_samples: int) -> TopLayers:
        """A copy of the last `count` layers, and of what follows them, to be trained with `head`."""
        return TopLayers(self._model, self._layers, count, head, STEPS, self._heard(clip_samples))

    @torch.no_grad()
    def _watching(self, audio: NDArray[np.float32], places: Sequence[Place], kept: Kept) -> Heard:
        parts = []
        for part in _batches(audio):
            with _watched(places) as seen:
                final = self._states(part)
            parts.append([self._pooled(final, part), *(kept(states, part) for states in seen)])
        embeddings, *states = (np.concatenate(of_one) for of_one in zip(*parts, strict=True))
        return embeddings, tuple(states)

    def _states(self, audio: NDArray[np.float32]) -> Tensor:
        inputs = self._extractor(list(audio), sampling_rate=16_000, return_tensors="pt")
        self._model.to(self.computing.device)
        with self.computing.mixed():
            states: Tensor = self._model(next(iter(inputs.values())).to(self.computing.device)).last_hidden_state
        return states

    def _pooled(self, states: Tensor, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        heard = states[:, : self._heard(audio.shape[1])].float()
        pooled = functional.adaptive_avg_pool1d(heard.transpose(1, 2), STEPS).transpose(1, 2)
        result: NDArray[np.float32] = pooled.cpu().numpy()
        return result

    def _heard(self, samples: int) -> int | None:
        # Whisper hears half a minute, whatever the clip's length: the states behind its end are of silence.
        window = getattr(self._extractor, "n_samples", None)
        return math.ceil(self._model.config.max_source_positions * samples / window) if window else None


def _batches(audio: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [audio[at : at + BATCH] for at in range(0, len(audio), BATCH)]


def _left_by(layer: nn.Module) -> Place:
    # WavLM's layers hand on their position bias beside the states.
    return lambda take: layer.register_forward_hook(
        lambda _layer, _inputs, output: take(output[0] if isinstance(output, tuple) else output)
    )


def _given_to(layer: nn.Module) -> Place:
    return lambda take: layer.register_forward_pre_hook(lambda _layer, inputs: take(inputs[0]))


@contextlib.contextmanager
def _watched(places: Sequence[Place]) -> Iterator[list[Tensor]]:
    """The list that takes the states [clips, steps, width] at each of `places` in a pass within."""
    seen = [torch.empty(0)] * len(places)

    def take_at(at: int) -> Callable[[Tensor], None]:
        return lambda states: seen.__setitem__(at, states)

    with contextlib.ExitStack() as hooks:
        for at, place in enumerate(places):
            hooks.callback(place(take_at(at)).remove)
        yield seen
