"""The device's features in NumPy against those that students are trained on, and against torchaudio."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from export.front_end import compressed, features_of, mel_filters
from spaces.baby_cry import YAMNET_FRONT_END
from spaces.front_end import FrontEnd
from tests.conftest import spoken
from trainables import features

FRONT_ENDS = {
    "default": FrontEnd(),
    "20 mels": FrontEnd(hop_samples=320, mels=20, clip_seconds=1.5),
    "YAMNet's": YAMNET_FRONT_END,
    "short window": FrontEnd(window_samples=64, hop_samples=32, n_fft=64, mels=26),
}


def int16(level: float, seed: int = 0) -> np.ndarray:
    """Two seconds: a word, silence, noise."""
    noise = np.random.default_rng(seed).standard_normal(8000)
    audio = np.concatenate([spoken("up", seed, 0), np.zeros(9600), 0.1 * noise])
    return np.clip(np.round(level * audio * 32768), -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("front_end", FRONT_ENDS.values(), ids=FRONT_ENDS)
@pytest.mark.parametrize("level", [1.0, 0.01, 0.0])
def test_log_mels_are_those_of_training(front_end: FrontEnd, level: float) -> None:
    samples = int16(level)
    expected = features.log_mel(torch.from_numpy(samples.astype(np.float32) / 32768)[None], front_end)[0].numpy()
    found = features_of(samples, front_end)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("front_end", FRONT_ENDS.values(), ids=FRONT_ENDS)
def test_triangles_are_torchaudios(front_end: FrontEnd) -> None:
    np.testing.assert_allclose(mel_filters(front_end), features.mel_filters(front_end).numpy(), atol=2e-5)


def test_long_recordings_go_through_in_pieces_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = features_of(int16(1.0), FrontEnd())
    monkeypatch.setattr("export.front_end.CHUNK_FRAMES", 7)
    np.testing.assert_allclose(features_of(int16(1.0), FrontEnd()), whole, atol=1e-5)


def test_too_short_a_recording_has_no_frame() -> None:
    assert features_of(np.zeros(399, np.int16), FrontEnd()).shape == (0, 40)
    assert features_of(np.zeros(400, np.int16), FrontEnd()).shape == (1, 40)


def test_a_waveform_is_cut_into_whole_frames() -> None:
    front_end = FrontEnd(kind="waveform", hop_samples=64, window_samples=64)
    samples = int16(0.5)[:1000]
    np.testing.assert_array_equal(features_of(samples, front_end), compressed(samples[:960]).reshape(15, 64))


@settings(deadline=None)
@given(arrays(np.int16, 40))
def test_compression_is_the_mu_law_of_torchaudio(samples: np.ndarray) -> None:
    found = compressed(samples)
    assert ((np.sign(found) == np.sign(samples)) | (samples == 0)).all()
    codes = torchaudio.transforms.MuLawEncoding()(torch.from_numpy(samples.astype(np.float32) / 32768)).numpy()
    np.testing.assert_allclose((found + 1) / 2 * 255, codes, atol=0.51)
