"""Log-power spectra in NumPy as the device computes them, and sound of masked spectra."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.front_end import FrontEnd


def log_powers(samples: NDArray[np.int16], front_end: FrontEnd) -> NDArray[np.float32]:
    """Features [frames, bins] of every window that lies wholly inside int16 samples [n]."""
    spectra = _spectra(samples, front_end)
    power = np.square(spectra.real) + np.square(spectra.imag)
    energy = np.log(power + np.float32(front_end.log_floor))
    return np.asarray((energy - np.float32(front_end.log_mean)) / np.float32(front_end.log_std), np.float32)


def masked_sound(samples: NDArray[np.int16], masks: NDArray[np.float32], front_end: FrontEnd) -> NDArray[np.float32]:
    """What masks [frames, bins] leave of int16 samples: a hop in [-1, 1] for each frame, as the device plays it.

    The first hop, which one window alone hears, fades in.
    """
    hop = front_end.hop_samples
    spectra = _spectra(samples, front_end)[: len(masks)] * masks
    windows = np.fft.irfft(spectra, n=front_end.n_fft).astype(np.float32) * root_hann(front_end.window_samples)
    before = np.concatenate([np.zeros((1, hop), np.float32), windows[:-1, hop:]])
    return np.asarray((windows[:, :hop] + before).reshape(-1), np.float32)


def _spectra(samples: NDArray[np.int16], front_end: FrontEnd) -> NDArray[np.complex64]:
    window, hop = front_end.window_samples, front_end.hop_samples
    if len(samples) < window:
        return np.empty((0, front_end.n_fft // 2 + 1), np.complex64)
    audio = np.divide(samples, 32768, dtype=np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(audio, window)[::hop]
    return np.asarray(np.fft.rfft(windows * root_hann(window), n=front_end.n_fft), np.complex64)


@lru_cache(maxsize=8)
def root_hann(window_samples: int) -> NDArray[np.float32]:
    """The square root of a periodic Hann window: twice in a row, half a window apart, it sums to 1."""
    turns = np.arange(window_samples) / window_samples
    return np.asarray(np.sin(np.pi * turns), np.float32)
