"""Speech encoders of `transformers`, from a hub name or a folder: Wav2Vec2, HuBERT, WavLM, Whisper."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from trainables.teachers import TRANSFORMERS
from trainables.teachers.encoder import Encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch.utils.hooks import RemovableHandle

STEPS = 10
BATCH = 16
# What pretraining alone needs; whatever else is missing would be random numbers.
UNNEEDED = {"masked_spec_embed"}
# Of a configuration, what only tells where it lay and who wrote it.
ELSEWHERE = {"_name_or_path", "transformers_version", "architectures", "dtype"}


@final
class Transformer(Encoder):
    """`embed` gives [clips, 10, hidden size]: the last hidden states, averaged into ten equal stretches."""

    def __init__(self, kind: str, source: str) -> None:
        import transformers

        self.name = f"{kind}:{source}"
        try:
            found = transformers.AutoConfig.from_pretrained(source).model_type
            self._extractor: Any = transformers.AutoFeatureExtractor.from_pretrained(source)
            load: Any = getattr(transformers, TRANSFORMERS[kind]).from_pretrained
            model, loading = load(source, output_loading_info=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise ValueError(f"--teacher: {self.name} cannot be loaded: {str(error).splitlines()[0]}") from error
        if found != kind:
            raise ValueError(f"--teacher: {self.name} holds a {found}, not a {kind}")
        missing = sorted(set(loading["missing_keys"]) - UNNEEDED)
        if missing:
            raise ValueError(f"--teacher: {self.name} holds no whole {kind}: {missing[0]} is missing")
        self._model = (model.get_encoder() if kind == "whisper" else model).eval()
        self._layers: Any = self._model.layers if kind == "whisper" else self._model.encoder.layers
        self.layer_count = len(self._layers)
        self.content_hash = _hash(self._model, f"{STEPS} {self._extractor.to_json_string()}")

    @torch.no_grad()
    def embed(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Audio is 16 kHz; prepared as the model's own feature extractor says."""
        return np.concatenate([self._pooled(self._states(part), part) for part in _batches(audio)])

    @torch.no_grad()
    def embed_layers(
        self, audio: NDArray[np.float32], layers: Sequence[int]
    ) -> tuple[NDArray[np.float32], tuple[NDArray[np.float32], ...]]:
        """States as the layers leave them, before any norm that follows the last; averaged as the embeddings are."""
        parts = []
        for part in _batches(audio):
            with _watched([self._layers[number - 1] for number in layers]) as seen:
                final = self._states(part)
            parts.append([self._pooled(states, part) for states in (final, *seen)])
        embeddings, *states = (np.concatenate(of_one) for of_one in zip(*parts, strict=True))
        return embeddings, tuple(states)

    def _states(self, audio: NDArray[np.float32]) -> torch.Tensor:
        inputs = self._extractor(list(audio), sampling_rate=16_000, return_tensors="pt")
        states: torch.Tensor = self._model(next(iter(inputs.values()))).last_hidden_state
        return states

    def _pooled(self, states: torch.Tensor, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        heard = states[:, : self._heard(audio.shape[1])]
        pooled: NDArray[np.float32] = (
            functional.adaptive_avg_pool1d(heard.transpose(1, 2), STEPS).transpose(1, 2).numpy()
        )
        return pooled

    def _heard(self, samples: int) -> int | None:
        # Whisper hears half a minute, whatever the clip's length: the states behind its end are of silence.
        window = getattr(self._extractor, "n_samples", None)
        return math.ceil(self._model.config.max_source_positions * samples / window) if window else None


def _batches(audio: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [audio[at : at + BATCH] for at in range(0, len(audio), BATCH)]


@contextlib.contextmanager
def _watched(layers: Sequence[nn.Module]) -> Iterator[list[torch.Tensor]]:
    """The list that takes what each of `layers` gives [clips, steps, width] in a pass within."""
    seen = [torch.empty(0)] * len(layers)

    def watch(at: int, layer: nn.Module) -> RemovableHandle:
        def take(_layer: nn.Module, _inputs: Any, output: Any) -> None:
            # WavLM's layers hand on their position bias beside the states.
            seen[at] = output[0] if isinstance(output, tuple) else output

        return layer.register_forward_hook(take)

    with contextlib.ExitStack() as hooks:
        for at, layer in enumerate(layers):
            hooks.callback(watch(at, layer).remove)
        yield seen


def _hash(model: Any, settings: str) -> str:
    # Of the configuration too: where the norms stand, say, no weight tells.
    config = {name: value for name, value in model.config.to_dict().items() if name not in ELSEWHERE}
    digest = hashlib.sha256(f"{settings} {json.dumps(config, sort_keys=True, default=str)}".encode())
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
