"""YAMNet as teacher: SavedModels made here, the real .tflite where POTSTILL_YAMNET names it."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trainables.teachers import open_encoder
from trainables.teachers.yamnet import CLASSES, CRY_CLASSES, PATCH_SAMPLES, Yamnet, logits_of_scores

YAMNET = os.environ.get("POTSTILL_YAMNET")


def energies(audio: np.ndarray, width: int) -> np.ndarray:
    """What the small model below computes, in numpy: the energy of `width` stretches of a patch."""
    stretches = audio[: PATCH_SAMPLES // width * width].reshape(width, -1)
    return np.asarray(np.square(stretches).mean(axis=1))


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Waveform in; scores [1, 521], embeddings [1, 1024] and a spectrogram out, as the published model has them."""
    tensorflow: Any = importlib.import_module("tensorflow")

    class Model(tensorflow.Module):  # type: ignore[misc]
        @tensorflow.function(input_signature=[tensorflow.TensorSpec([None], tensorflow.float32)])  # type: ignore[untyped-decorator]
        def __call__(self, waveform: Any) -> tuple[Any, Any, Any]:
            def stretches(width: int) -> Any:
                kept = waveform[: PATCH_SAMPLES // width * width]
                return tensorflow.reduce_mean(tensorflow.square(tensorflow.reshape(kept, (width, -1))), axis=1)[None]

            return stretches(CLASSES), stretches(1024), tensorflow.zeros((96, 64))

    folder = tmp_path_factory.mktemp("yamnet")
    tensorflow.saved_model.save(Model(), str(folder))
    return folder


def test_a_saved_model_gives_scores_and_embeddings(saved_model: Path) -> None:
    model = Yamnet(saved_model)
    audio = np.random.default_rng(0).normal(0, 0.1, (2, PATCH_SAMPLES)).astype(np.float32)
    expected = np.stack([energies(clip, CLASSES) for clip in audio])
    np.testing.assert_allclose(model.scores(audio), expected, rtol=1e-4)
    embedded = model.embed(audio)
    assert embedded.shape == (2, 1, 1024)
    np.testing.assert_allclose(embedded[:, 0], np.stack([energies(clip, 1024) for clip in audio]), rtol=1e-4)


def test_longer_audio_is_heard_in_half_overlapping_patches(saved_model: Path) -> None:
    model = Yamnet(saved_model)
    audio = np.random.default_rng(1).normal(0, 0.1, (1, 2 * PATCH_SAMPLES)).astype(np.float32)
    patches = [audio[0, start : start + PATCH_SAMPLES] for start in (0, PATCH_SAMPLES // 2, PATCH_SAMPLES)]
    np.testing.assert_allclose(model.embed(audio)[0], [energies(patch, 1024) for patch in patches], rtol=1e-4)
    np.testing.assert_allclose(
        model.scores(audio)[0], np.mean([energies(patch, CLASSES) for patch in patches], axis=0), rtol=1e-4
    )
    short = np.full((1, 100), 0.5, np.float32)
    padded = np.pad(short[0], (0, PATCH_SAMPLES - 100))
    np.testing.assert_allclose(model.scores(short)[0], energies(padded, CLASSES), rtol=1e-4)


def test_a_model_with_other_outputs_is_refused(tmp_path: Path) -> None:
    tensorflow: Any = importlib.import_module("tensorflow")

    class Model(tensorflow.Module):  # type: ignore[misc]
        @tensorflow.function(input_signature=[tensorflow.TensorSpec([None], tensorflow.float32)])  # type: ignore[untyped-decorator]
        def __call__(self, waveform: Any) -> Any:
            return waveform[None, :10]

    tensorflow.saved_model.save(Model(), str(tmp_path))
    with pytest.raises(ValueError, match="has no output of 521 scores, so it is no YAMNet"):
        Yamnet(tmp_path)


def test_paths_that_hold_no_model_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"yamnet:.*absent is not there; name YAMNet's"):
        open_encoder(f"yamnet:{tmp_path / 'absent'}")
    with pytest.raises(ValueError, match=r"must be a \.tflite, a folder that holds saved_model\.pb, or the \.h5"):
        open_encoder(f"yamnet:{tmp_path}")
    (tmp_path / "broken.tflite").write_bytes(b"no flatbuffer")
    with pytest.raises(ValueError, match=r"cannot be read as \.tflite"):
        open_encoder(f"yamnet:{tmp_path / 'broken.tflite'}")


def test_a_saved_model_that_does_not_load_is_named(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"no protocol buffer")
    with pytest.raises(ValueError, match=r"--teacher: yamnet:.* cannot be loaded"):
        Yamnet(tmp_path)


@given(arrays(np.float32, 7, elements=st.floats(-15, 7, width=32)))
def test_logits_are_what_the_sigmoid_was_taken_of(logits: np.ndarray) -> None:
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    found = logits_of_scores(scores.astype(np.float32))
    np.testing.assert_allclose(np.asarray(found, float), np.asarray(logits, float), atol=1e-3)


def test_saturated_scores_have_finite_logits() -> None:
    found = logits_of_scores(np.array([0.0, 1.0], np.float32))
    assert np.isfinite(found).all()
    assert found[0] == pytest.approx(-found[1], rel=1e-3)


@pytest.mark.skipif(YAMNET is None, reason="POTSTILL_YAMNET names no YAMNet .tflite")
def test_the_real_yamnet_knows_silence_from_a_cry_like_sweep() -> None:
    model = Yamnet(Path(str(YAMNET)))
    seconds = np.arange(PATCH_SAMPLES) / 16_000
    phase = 2 * np.pi * np.cumsum(440 + 120 * np.sin(np.pi * seconds / 0.975)) / 16_000
    cry = sum(np.sin(n * phase) / n**0.5 for n in range(1, 12)) * np.sin(np.pi * seconds / 0.975)
    audio = np.stack([0.1 * cry, np.zeros(PATCH_SAMPLES)]).astype(np.float32)
    scores = model.scores(audio)
    assert scores.shape == (2, CLASSES)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[1].argmax() == 494  # "Silence" in YAMNet's class map.
    assert scores[0, list(CRY_CLASSES)].sum() > scores[1, list(CRY_CLASSES)].sum()
    assert model.embed(audio).shape == (2, 1, CLASSES)
