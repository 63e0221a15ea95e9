"""Audio classifiers as a person's training leaves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

NAMES = ("Down", "UP", "hat")
# A kind that shows no layers.
AST = "audio-spectrogram-transformer"


def save_classifier(folder: Path, names: tuple[str, ...] = NAMES, kind: str = "wav2vec2") -> Path:
    """A small classifier with random weights and a head for the labels `names`."""
    torch.manual_seed(0)
    small: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    labels: dict[str, Any] = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    config: Any
    if kind == AST:
        config = transformers.ASTConfig(**small, **labels, max_length=128, num_mel_bins=32)
        extractor: Any = transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=128)
    else:
        positions: dict[str, Any] = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
        config = transformers.Wav2Vec2Config(**small, **labels, **positions, conv_dim=(16,) * 7)
        extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    transformers.AutoModelForAudioClassification.from_config(config).save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder
