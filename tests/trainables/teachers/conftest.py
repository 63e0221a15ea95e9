"""Encoders of three small layers, saved as a person's checkpoints would be, and a corpus that they hear."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from trainables.corpora.corpus import Corpus
from trainables.corpora.wakeword_task import open_corpus

KINDS = ("wav2vec2", "hubert", "wavlm", "whisper")
LAYERS = 3
SmallEncoder = Callable[[str], Path]


@pytest.fixture(scope="session")
def small_encoder(tmp_path_factory: pytest.TempPathFactory) -> SmallEncoder:
    """The folder of the small encoder of a kind; `wavlm-stable` has its norm behind the last layer."""
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            torch.manual_seed(0)
            _model(kind).save_pretrained(made[kind])
            _extractor(kind).save_pretrained(made[kind])
        return made[kind]

    return folder


@pytest.fixture(scope="session")
def corpus(speech_folder: Path) -> Corpus:
    """36 clips of the word beside 72 of others, by 12 speakers."""
    return open_corpus(speech_folder, "up")


def _model(kind: str) -> Any:
    if kind == "whisper":
        return transformers.WhisperModel(transformers.WhisperConfig(**whisper_settings()))
    name, _, stable = kind.partition("-")
    prefix = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM"}[name]
    config = getattr(transformers, f"{prefix}Config")(**wave_settings(), do_stable_layer_norm=bool(stable))
    return getattr(transformers, f"{prefix}Model")(config)


def _extractor(kind: str) -> Any:
    if kind == "whisper":
        return transformers.WhisperFeatureExtractor(chunk_length=2)
    return transformers.Wav2Vec2FeatureExtractor(do_normalize=True)


def wave_settings() -> dict[str, Any]:
    """Without dropout, so that a plain loop draws the same random numbers."""
    silent = dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "layerdrop"), 0.0)
    return {
        "hidden_size": 32,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "conv_dim": (32,) * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 2,
        **silent,
    }


def whisper_settings() -> dict[str, Any]:
    """It hears two seconds, 100 states."""
    encoder = {"d_model": 32, "encoder_layers": LAYERS, "encoder_attention_heads": 2, "encoder_ffn_dim": 64}
    decoder = {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 64, "vocab_size": 64}
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    return {**encoder, **decoder, **tokens, "max_source_positions": 100}
