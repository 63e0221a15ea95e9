"""Frozen pretrained encoders, and the head that turns their embeddings into a teacher's logits."""

from __future__ import annotations

from pathlib import Path

from trainables.teachers.encoder import Encoder

KINDS = ("speech_embedding", "wav2vec2", "yamnet")


def open_encoder(spec: str) -> Encoder:
    """The encoder that `--teacher` names: `speech_embedding`, `wav2vec2:NAME_OR_FOLDER` or `yamnet:PATH`."""
    kind, _, source = spec.partition(":")
    if kind == "speech_embedding" and not source:
        from trainables.teachers.speech_embedding import SpeechEmbedding

        return SpeechEmbedding()
    if kind == "wav2vec2" and source:
        from trainables.teachers.wav2vec2 import Wav2Vec2

        return Wav2Vec2(source)
    if kind == "yamnet" and source:
        from trainables.teachers.yamnet import Yamnet

        return Yamnet(Path(source))
    raise ValueError(
        f"--teacher: {spec!r} is unknown; use speech_embedding, wav2vec2:NAME_OR_FOLDER or yamnet:FILE_OR_FOLDER"
    )
