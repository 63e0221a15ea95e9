"""Synthesised noise, rooms and microphones, and the mixing of speech into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from trainables.corpora.audio import Samples

RATE_HZ = 16_000
KINDS = ("white", "pink", "babble", "hum", "clatter")

_TRACK_SECONDS = 20
_ROOMS = 24
_FFT = 1 << 15
_TALKERS = 5


@final
class Surroundings:
    """Tracks of every kind of noise and a set of rooms, drawn once and cut from for each clip.

    `babble` sums five of the `talkers`, whose texts should not hold the wake word. Splits that must share nothing each
    have their own.
    """

    def __init__(self, random: np.random.Generator, talkers: Sequence[Samples]) -> None:
        self._tracks = noise_tracks(random, talkers)
        assert tuple(self._tracks) == KINDS
        self._rooms = [np.fft.rfft(room, _FFT) for room in rooms(random)]

    def noise(self, kind: str, length: int, random: np.random.Generator) -> Samples:
        """A cut of `length` samples with an RMS of 1."""
        start = random.integers(len(self._tracks[kind]) - length)
        return _unit_rms(self._tracks[kind][start : start + length])

    def in_room(self, dry: Samples, random: np.random.Generator) -> Samples:
        """`dry` as heard in one of the rooms, at its length."""
        if len(dry) > _FFT // 2:
            raise ValueError(f"acoustics: at most {_FFT // 2} samples, not {len(dry)}")
        room = self._rooms[random.integers(len(self._rooms))]
        return np.asarray(np.fft.irfft(np.fft.rfft(dry, _FFT) * room, _FFT)[: len(dry)], np.float32)


def noise_tracks(random: np.random.Generator, talkers: Sequence[Samples]) -> dict[str, Samples]:
    """20 s of every kind of noise with an RMS of 1; without talkers there is no babble."""
    length = _TRACK_SECONDS * RATE_HZ
    tracks = {"white": random.standard_normal(length), "pink": _coloured(random, length, -0.5)}
    if talkers:
        tracks["babble"] = _babble(random, length, talkers)
    tracks["hum"] = _hum(random, length)
    tracks["clatter"] = _clatter(random, length)
    return {kind: _unit_rms(track) for kind, track in tracks.items()}


def rooms(random: np.random.Generator) -> list[NDArray[np.float64]]:
    """Impulse responses of 24 rooms: the direct sound, six reflections, a tail that falls 60 dB in .08 to .4 s."""
    return [_room(random) for _ in range(_ROOMS)]


def mix(speech: Samples, noise: Samples, active: slice, snr_db: float) -> Samples:
    """Speech plus noise, where the RMS of the `active` speech is `snr_db` above that of the noise."""
    level = _rms(speech[active]) * 10 ** (-snr_db / 20)
    return speech + noise * np.float32(level / max(_rms(noise), 1e-12))


def microphone(samples: Samples, random: np.random.Generator) -> Samples:
    """As a cheap microphone hears it: up to 7 dB of tilt per decade, less bass, and a peak of -30 to -1 dBFS."""
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    tilt = (np.maximum(hz, 50.0) / 1000) ** random.uniform(-0.35, 0.35)
    corner = random.uniform(20, 180)
    shaped = np.fft.irfft(spectrum * tilt * hz / np.sqrt(hz**2 + corner**2), len(samples))
    peak = 10 ** (random.uniform(-30, -1) / 20)
    return np.asarray(shaped * peak / max(np.abs(shaped).max(), 1e-9), np.float32)


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def _unit_rms(samples: NDArray[np.floating]) -> Samples:
    return np.asarray(samples / max(np.sqrt(np.mean(np.square(samples))), 1e-9), np.float32)


def _coloured(random: np.random.Generator, length: int, exponent: float) -> NDArray[np.float64]:
    """Noise whose amplitude falls with frequency to the `exponent`; -0.5 is pink."""
    spectrum = np.fft.rfft(random.standard_normal(length))
    spectrum[1:] *= np.arange(1, len(spectrum)) ** exponent
    spectrum[0] = 0
    return np.fft.irfft(spectrum, length)


def _babble(random: np.random.Generator, length: int, talkers: Sequence[Samples]) -> NDArray[np.float64]:
    track = np.zeros(length)
    for _ in range(_TALKERS):
        at = 0
        while at < length:
            piece = talkers[int(random.integers(len(talkers)))]
            end = min(length, at + len(piece))
            track[at:end] += _unit_rms(piece)[: end - at] * random.uniform(0.5, 1.0)
            at = end + int(random.integers(800, 4000))
    return track + 0.05 * random.standard_normal(length)


def _hum(random: np.random.Generator, length: int) -> NDArray[np.float64]:
    """Mains hum of 50 and 60 Hz with harmonics that come and go, over a fan's noise."""
    seconds = np.arange(length) / RATE_HZ
    half = np.arange(length) < length // 2
    base = np.cumsum(np.where(half, 50.0, 60.0)) / RATE_HZ
    track = 0.3 * _coloured(random, length, -0.8) * 30
    for harmonic in range(1, 16):
        sway = 1 + 0.5 * np.sin(2 * np.pi * (random.uniform(0.1, 1.0) * seconds + random.random()))
        track += (
            sway * random.uniform(0.2, 1.0) / harmonic**0.7 * np.sin(2 * np.pi * (harmonic * base + random.random()))
        )
    return track


def _clatter(random: np.random.Generator, length: int) -> NDArray[np.float64]:
    """Knocks and rings as of dishes: about six decaying resonances a second."""
    track = 0.02 * random.standard_normal(length)
    for _ in range(6 * _TRACK_SECONDS):
        size = int(random.uniform(0.02, 0.25) * RATE_HZ)
        seconds = np.arange(size) / RATE_HZ
        at = int(random.integers(length - size))
        rings = sum(np.sin(2 * np.pi * (hz * seconds + random.random())) for hz in random.uniform(300, 6500, 3))
        knock = (rings + random.standard_normal(size)) * np.exp(-seconds / random.uniform(0.005, 0.06))
        track[at : at + size] += knock * random.uniform(0.2, 1.5)
    return track


def _room(random: np.random.Generator) -> NDArray[np.float64]:
    length = int(random.uniform(0.08, 0.4) * RATE_HZ)
    response = random.standard_normal(length) * 10 ** (-3 * np.arange(length) / length) * random.uniform(0.005, 0.035)
    response[: int(0.002 * RATE_HZ)] = 0
    for place in random.integers(int(0.002 * RATE_HZ), int(0.03 * RATE_HZ), 6):
        response[place] += random.uniform(-0.35, 0.35)
    response[0] = 1
    return response
