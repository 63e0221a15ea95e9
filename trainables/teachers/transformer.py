"""Speech encoders of `transformers`, from a hub name or a folder: Wav2Vec2, HuBERT, WavLM, Whisper."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch

from trainables.teachers import TRANSFORMERS
from trainables.teachers.encoder import Encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 10
BATCH = 16
# What pretraining alone needs; whatever else is missing would be random numbers.
UNNEEDED = {"masked_spec_embed"}


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
        self.parameters = sum(weight.numel() for weight in self._model.parameters())
        self.content_hash = _hash(self._model, f"{STEPS} {self._extractor.to_json_string()}")

    @torch.no_grad()
    def embed(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Audio is 16 kHz; prepared as the model's own feature extractor says."""
        parts = [self._embed(audio[at : at + BATCH]) for at in range(0, len(audio), BATCH)]
        return np.concatenate(parts)

    def _embed(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        inputs = self._extractor(list(audio), sampling_rate=16_000, return_tensors="pt")
        hidden = self._model(next(iter(inputs.values()))).last_hidden_state[:, : self._heard(audio.shape[1])]
        pooled = torch.nn.functional.adaptive_avg_pool1d(hidden.transpose(1, 2), STEPS).transpose(1, 2)
        result: NDArray[np.float32] = pooled.numpy()
        return result

    def _heard(self, samples: int) -> int | None:
        # Whisper hears half a minute, whatever the clip's length: the states behind its end are of silence.
        window = getattr(self._extractor, "n_samples", None)
        return math.ceil(self._model.config.max_source_positions * samples / window) if window else None


def _hash(model: torch.nn.Module, settings: str) -> str:
    digest = hashlib.sha256(settings.encode())
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
