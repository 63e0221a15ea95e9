"""Mixing: the SNR by its definition, levels, clipping, noise that goes round and rooms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.audio import signal_noise_ratio

from trainables.corpora.mixtures import PEAK, Mixing, mixed

SAMPLES = 4000


def drawn(seed: int, scale: float = 0.1) -> np.ndarray:
    return np.asarray(np.random.default_rng(seed).normal(0, scale, SAMPLES), np.float32)


@given(st.integers(0, 99), st.floats(-30, 30), st.floats(-60, -1), st.floats(1e-3, 0.5))
def test_the_snr_is_that_of_plain_energies_to_a_hundredth_of_a_decibel(
    seed: int, snr_db: float, level_dbfs: float, scale: float
) -> None:
    speech, noise = drawn(seed, scale), drawn(seed + 100)
    noisy, clean = mixed(speech, noise, snr_db, level_dbfs)
    found = signal_noise_ratio(torch.tensor(noisy).double(), torch.tensor(clean).double())
    assert float(found) == pytest.approx(snr_db, abs=0.01)
    assert max(np.abs(noisy).max(), np.abs(clean).max()) <= PEAK + 1e-6
    # The clean part is the speech, louder or quieter.
    assert np.allclose(clean / np.abs(clean).max(), speech / np.abs(speech).max(), atol=1e-5)


def test_by_hand() -> None:
    noisy, clean = mixed(np.array([0.2, -0.2], np.float32), np.array([0.5, 0.5], np.float32), 0.0, -20.0)
    # At 0 dB the noise becomes .2, the sum .4 and 0 with an RMS of .2828; -20 dB asks for .1.
    assert noisy == pytest.approx([0.4 / 2.8284271, 0.0], abs=1e-6)
    assert clean == pytest.approx([0.2 / 2.8284271, -0.2 / 2.8284271], abs=1e-6)


def test_what_would_be_clipped_is_scaled_down_alike() -> None:
    speech = np.zeros(SAMPLES, np.float32)
    speech[5] = 1.0
    noisy, clean = mixed(speech, drawn(1), 20.0, -10.0)
    assert np.abs(noisy).max() == pytest.approx(PEAK, abs=1e-6) or np.abs(clean).max() == pytest.approx(PEAK, abs=1e-6)
    assert 10 * np.log10(np.sum(clean**2) / np.sum((noisy - clean) ** 2)) == pytest.approx(20.0, abs=0.01)
    assert 20 * np.log10(np.sqrt(np.mean(noisy**2))) < -10.0


def test_clips_are_whole_samples() -> None:
    assert Mixing(clip_seconds=1.5).samples == 24_000
