"""Hidden states of a teacher's layers: those that transformers itself gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from trainables.cache import cache_folder
from trainables.corpora.audio import load_audio
from trainables.corpora.corpus import Corpus
from trainables.teachers import embedded, open_encoder
from trainables.teachers.cross_fitted import taught_by
from trainables.teachers.layer_states import LayerStates, kept_layer_states, layer_states
from trainables.teachers.transformer import Transformer

SmallEncoder = Callable[[str], Path]


def reference(folder: Path, audio: np.ndarray) -> tuple[torch.Tensor, ...]:
    """Every hidden state that the whole model records, from the input of the first layer up."""
    extractor: Any = transformers.AutoFeatureExtractor.from_pretrained(folder)
    model: Any = transformers.AutoModel.from_pretrained(folder).eval()
    encoder = model.get_encoder() if hasattr(model, "decoder") else model
    inputs = extractor(list(audio), sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        hidden: tuple[torch.Tensor, ...] = encoder(next(iter(inputs.values())), output_hidden_states=True).hidden_states
    return hidden


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm", "wavlm-stable", "whisper"])
def test_states_are_those_that_transformers_records(kind: str, small_encoder: SmallEncoder, corpus: Corpus) -> None:
    folder = small_encoder(kind)
    second, first = layer_states(f"{kind.removesuffix('-stable')}:{folder}", corpus, 1.0, (2, 1))
    assert first.shape == second.shape == (108, 10, 32)
    assert first.dtype == np.float16
    hidden = reference(folder, np.divide(load_audio(corpus, 16_000)[:4], 32768, dtype=np.float32))
    # A second is 49 states, or 50 of Whisper: the first stretch covers five of them.
    for found, expected in ((first, hidden[1]), (second, hidden[2])):
        np.testing.assert_allclose(found[:4, 0], expected[:, :5].mean(1).numpy(), atol=2e-3, rtol=2e-3)


def test_states_are_mapped_from_a_cache_that_a_worker_reads_by_key(small_encoder: SmallEncoder, corpus: Corpus) -> None:
    spec = f"wav2vec2:{small_encoder('wav2vec2')}"
    kept = kept_layer_states(spec, corpus, 1.0, (1, 3))
    for found, again in zip(
        LayerStates(kept.key, 1.0, (1, 3)).arrays(), layer_states(spec, corpus, 1.0, (1, 3)), strict=True
    ):
        assert isinstance(found.base, np.memmap)
        np.testing.assert_array_equal(found, again)
    with pytest.raises(RuntimeError, match="cache: layer-states-none is not there; the driver makes it"):
        LayerStates("layer-states-none", 1.0, (1,)).arrays()


def test_one_pass_gives_states_and_embeddings(
    small_encoder: SmallEncoder, corpus: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = f"hubert:{small_encoder('hubert')}"
    alone = taught_by(spec, corpus, 1.0, 0).logits
    monkeypatch.setenv("POTSTILL_CACHE", str(tmp_path))
    layer_states(spec, corpus, 1.0, (1,))
    assert len(list((cache_folder() / "arrays").glob("embeddings-*.array"))) == 1
    monkeypatch.setattr(Transformer, "embed", None)
    np.testing.assert_array_equal(taught_by(spec, corpus, 1.0, 0).logits, alone)


def test_an_encoder_without_layers_shows_its_embedding(corpus: Corpus) -> None:
    (states,) = layer_states("speech_embedding", corpus, 1.0, (1,))
    audio = np.divide(load_audio(corpus, 16_000)[:3], 32768, dtype=np.float32)
    np.testing.assert_array_equal(states[:3], open_encoder("speech_embedding").embed(audio).astype(np.float16))
    with pytest.raises(ValueError, match="speech_embedding has layer 1, the embedding, each to be named once; 1, 2"):
        layer_states("speech_embedding", corpus, 1.0, (1, 2))


@pytest.mark.parametrize(("layers", "asked"), [((0,), "0"), ((4,), "4"), ((), "none"), ((1, 1), "1, 1")])
def test_layers_that_there_are_not_are_refused(
    layers: tuple[int, ...], asked: str, small_encoder: SmallEncoder, corpus: Corpus
) -> None:
    with pytest.raises(ValueError, match=f"--teacher: wav2vec2:.* has layers 1 to 3, each to be named once; {asked} "):
        layer_states(f"wav2vec2:{small_encoder('wav2vec2')}", corpus, 1.0, layers)


def test_of_several_teachers_the_first_is_asked(small_encoder: SmallEncoder, corpus: Corpus) -> None:
    spec = f"wav2vec2:{small_encoder('wav2vec2')}"
    (joint,) = layer_states(f"mean({spec}, speech_embedding)", corpus, 1.0, (2,))
    (alone,) = layer_states(spec, corpus, 1.0, (2,))
    np.testing.assert_array_equal(joint, alone)


@pytest.mark.parametrize("value", [1e5, np.nan])
def test_states_that_no_float16_holds_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="--teacher: mine gives states beyond 65,504, or none that are numbers"):
        embedded.half(np.array([1.0, value], np.float32), "mine")


def test_progress_is_told_in_tenths(corpus: Corpus, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", embedded.__name__):
        rows = [rows for rows, _ in embedded.portions("mine", corpus, 0.5)]
    assert [row.stop for row in rows] == [64, 108]
    assert caplog.messages == [f"mine: heard {clips} of 108 clips" for clips in (64, 108)]


def test_encoders_that_differ_in_their_configuration_alone_are_two(small_encoder: SmallEncoder) -> None:
    first, second = (open_encoder(f"wavlm:{small_encoder(kind)}") for kind in ("wavlm", "wavlm-stable"))
    assert first.content_hash != second.content_hash
