"""Wav2Vec2 on raw audio, from a hub name or a folder (Baevski et al., arXiv 2006.11477)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch

from trainables.teachers.encoder import Encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 10
BATCH = 16


@final
class Wav2Vec2(Encoder):
    """`embed` gives [clips, 10, hidden size]: the last hidden states, averaged into ten equal stretches."""

    def __init__(self, source: str) -> None:
        from transformers import AutoConfig, AutoFeatureExtractor, Wav2Vec2Model

        try:
            kind = AutoConfig.from_pretrained(source).model_type
            self._extractor = AutoFeatureExtractor.from_pretrained(source)
            load: Any = Wav2Vec2Model.from_pretrained
            model, loading = load(source, output_loading_info=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise ValueError(f"--teacher: wav2vec2:{source} cannot be loaded: {str(error).splitlines()[0]}") from error
        if kind != "wav2vec2":
            raise ValueError(f"--teacher: wav2vec2:{source} holds a {kind}, not a wav2vec2")
        # The mask is for pretraining; whatever else is missing would be random numbers.
        missing = sorted(set(loading["missing_keys"]) - {"masked_spec_embed"})
        if missing:
            raise ValueError(f"--teacher: wav2vec2:{source} holds no Wav2Vec2: {missing[0]} is missing")
        self._model = model.eval()
        self.name = f"wav2vec2:{source}"
        self.content_hash = _hash(self._model, f"{STEPS} {self._extractor.to_json_string()}")

    @torch.no_grad()
    def embed(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Audio is 16 kHz; normalised per clip where the model's own feature extractor says so."""
        parts = [self._embed(audio[at : at + BATCH]) for at in range(0, len(audio), BATCH)]
        return np.concatenate(parts)

    def _embed(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        inputs = self._extractor(list(audio), sampling_rate=16_000, return_tensors="pt")
        hidden = self._model(inputs.input_values).last_hidden_state
        pooled = torch.nn.functional.adaptive_avg_pool1d(hidden.transpose(1, 2), STEPS).transpose(1, 2)
        result: NDArray[np.float32] = pooled.numpy()
        return result


def _hash(model: torch.nn.Module, settings: str) -> str:
    digest = hashlib.sha256(settings.encode())
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
