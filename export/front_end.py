"""The device's features without torch, from recordings of any length or from sound that comes in pieces."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, final

import numpy as np

from export.overlap_add import log_powers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.front_end import FrontEnd

MU = np.float32(255)
CHUNK_FRAMES = 4096


def features_of(samples: NDArray[np.int16], front_end: FrontEnd) -> NDArray[np.float32]:
    """Features [frames, values per frame] of every frame that lies wholly inside int16 samples [n], from the first on.

    The kind micro begins from silence; of the others nothing before a frame matters. Those that a student is trained on
    are the same up to 1e-3, a small part of an INT8 step: the transforms round in another order, which counts most just
    above the floor (6e-4 at most, 5e-7 in the mean of ten minutes of sound).
    """
    if front_end.kind == "micro":
        return features_in_pieces(front_end).hear(samples)
    if front_end.kind == "waveform":
        whole = len(samples) // front_end.hop_samples * front_end.hop_samples
        return compressed(samples[:whole]).reshape(-1, front_end.hop_samples)
    if front_end.kind == "log_power":
        return log_powers(samples, front_end)
    count = max(0, 1 + (len(samples) - front_end.window_samples) // front_end.hop_samples)
    parts = [_log_mel(samples, at, min(count, at + CHUNK_FRAMES), front_end) for at in range(0, count, CHUNK_FRAMES)]
    return np.concatenate([np.empty((0, front_end.mels), np.float32), *parts])


class RunningFeatures(Protocol):
    """Features of sound that comes in pieces of any length; how it is cut changes nothing."""

    def hear(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        """The frames [n, values per frame] that int16 samples [m] complete."""


def features_in_pieces(front_end: FrontEnd) -> RunningFeatures:
    """Features of a sound from its beginning on."""
    if front_end.kind == "micro":
        from export.micro_front_end import MicroFrames

        return MicroFrames(front_end)
    return _Windows(front_end)


@final
class _Windows:
    """Frames that depend on their own window alone: the samples that later windows need are kept."""

    def __init__(self, front_end: FrontEnd) -> None:
        self._front_end = front_end
        self._rest, self._skipped = np.empty(0, np.int16), 0

    def hear(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        joined = np.concatenate([self._rest, samples])
        audio, hop = joined[self._skipped :], self._front_end.hop_samples
        features = features_of(audio, self._front_end)
        self._rest = audio[len(features) * hop :]
        # Where windows lie apart, the next one may begin beyond what has been heard.
        self._skipped = max(0, self._skipped + len(features) * hop - len(joined))
        return features


def _log_mel(samples: NDArray[np.int16], first: int, end: int, front_end: FrontEnd) -> NDArray[np.float32]:
    hop, window = front_end.hop_samples, front_end.window_samples
    audio = np.divide(samples[first * hop : (end - 1) * hop + window], 32768, dtype=np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(audio, window)[::hop]
    spectrum = np.fft.rfft(frames * _hann(window), n=front_end.n_fft)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    summed = np.sqrt(power) if front_end.spectrum_power == 1 else power
    energy = np.log(summed @ mel_filters(front_end) + np.float32(front_end.log_floor))
    return np.asarray((energy - np.float32(front_end.log_mean)) / np.float32(front_end.log_std), np.float32)


@lru_cache(maxsize=8)
def _hann(window_samples: int) -> NDArray[np.float32]:
    # Periodic, as torch.hann_window.
    turns = np.arange(window_samples) / window_samples
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * turns), np.float32)


@lru_cache(maxsize=8)
def mel_filters(front_end: FrontEnd) -> NDArray[np.float32]:
    """Triangles [n_fft / 2 + 1, mels] on the HTK scale, without area normalisation, as torchaudio draws them."""
    bins = np.linspace(0, front_end.sample_rate_hz // 2, front_end.n_fft // 2 + 1)
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (front_end.low_hz, front_end.high_hz))
    edges = 700 * (10 ** (np.linspace(low, high, front_end.mels + 2) / 2595) - 1)
    distance = edges[None] - bins[:, None]
    width = np.diff(edges)
    rising, falling = -distance[:, :-2] / width[:-1], distance[:, 2:] / width[1:]
    return np.asarray(np.maximum(0, np.minimum(rising, falling)), np.float32)


def compressed(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """int16 samples of any shape to -1..1 by the mu-law of telephones (ITU-T G.711), mu = 255, continuous.

    In eight bits a voice at -40 dBFS keeps as many steps as one at -10: linear codes would leave it two of them. A
    device needs one sample at a time, no level of the clip.
    """
    level = np.abs(samples.astype(np.float32)) * np.float32(MU / 32768)
    return np.asarray(np.copysign(np.log1p(level) / np.log1p(MU), samples), np.float32)
