"""Frozen pretrained encoders, and the head that turns their embeddings into a teacher's logits."""

from __future__ import annotations

from pathlib import Path

from trainables.teachers.encoder import Encoder

# The model_type of a configuration, and the class of `transformers` that holds the encoder.
TRANSFORMERS = {"wav2vec2": "Wav2Vec2Model", "hubert": "HubertModel", "wavlm": "WavLMModel", "whisper": "WhisperModel"}
CLASSIFIER = "classifier"


def open_encoder(spec: str) -> Encoder:
    """The encoder that `--teacher` names: `speech_embedding`, or such as `whisper:NAME_OR_FOLDER`, `yamnet:PATH`.

    Of `classifier:NAME_OR_FOLDER` it is what lies under the classifier's head.
    """
    kind, _, source = spec.partition(":")
    if kind == "speech_embedding" and not source:
        from trainables.teachers.speech_embedding import SpeechEmbedding

        return SpeechEmbedding()
    if kind in TRANSFORMERS and source:
        from trainables.teachers.transformer import Transformer

        return Transformer(kind, source)
    if kind == CLASSIFIER and source:
        from trainables.teachers.checkpoint import kind_of
        from trainables.teachers.transformer import Transformer

        found = kind_of(spec, source)
        if found not in TRANSFORMERS:
            raise ValueError(f"--teacher: {spec} holds a {found}; layers are had of {', '.join(TRANSFORMERS)}")
        return Transformer(found, source)
    if kind == "yamnet" and source:
        from trainables.teachers.yamnet import Yamnet

        return Yamnet(Path(source))
    known = ", ".join(f"{name}:NAME_OR_FOLDER" for name in (*TRANSFORMERS, "yamnet", CLASSIFIER))
    raise ValueError(f"--teacher: {spec!r} is unknown; use speech_embedding, {known}")
