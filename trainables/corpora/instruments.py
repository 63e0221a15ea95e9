"""Instrument models: single notes by additive synthesis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from trainables.corpora.acoustics import RATE_HZ
from trainables.corpora.audio import Samples

_HIGHEST_HZ = 7_600.0
_RELEASE_SECONDS = 0.03


@final
@dataclass(frozen=True)
class Instrument:
    """One timbre.

    `partials` are ratios to the pitch, `gains` what they weigh beside the fall of `db_per_octave` that a player
    chooses. A note rises in `attack_seconds`; where `decay_seconds` is given it dies away by itself (at middle C; lower
    notes ring longer), else it is held. `vibrato` is a share of the pitch, `breath` the level of noise, `formant_hz`
    lifts what lies near it.
    """

    partials: tuple[float, ...]
    gains: tuple[float, ...]
    attack_seconds: float
    decay_seconds: float | None = None
    vibrato: float = 0.0
    breath: float = 0.0
    formant_hz: float | None = None


def _harmonic(count: int, step: int = 1) -> tuple[float, ...]:
    return tuple(float(number) for number in range(1, count * step + 1, step))


INSTRUMENTS: Mapping[str, Instrument] = {
    "piano": Instrument(_harmonic(10), (1.0,) * 10, 0.004, 0.9),
    "organ": Instrument((0.5, 1, 2, 3, 4, 6, 8), (0.6, 1, 1, 0.8, 1, 0.7, 1), 0.02),
    "strings": Instrument(_harmonic(14), (1.0,) * 14, 0.09, vibrato=0.006, breath=0.02),
    "clarinet": Instrument(_harmonic(7, step=2), (1.0, 0.9, 0.7, 0.6, 0.5, 0.4, 0.3), 0.04, breath=0.02),
    "guitar": Instrument(_harmonic(10), (1, 0.5, 1, 0.7, 0.3, 0.8, 0.6, 0.3, 0.5, 0.4), 0.002, 0.5),
    "marimba": Instrument((1, 3.93, 9.24), (1.0, 0.9, 0.7), 0.002, 0.25),
    "harpsichord": Instrument(_harmonic(14), (0.6, 0.9, *(1.2,) * 12), 0.001, 0.6),
    "flute": Instrument(_harmonic(5), (1.0, 0.6, 0.4, 0.2, 0.1), 0.06, vibrato=0.008, breath=0.12),
    "brass": Instrument(_harmonic(12), (1.0,) * 12, 0.05, vibrato=0.003, formant_hz=1_400.0),
    "bell": Instrument((0.5, 1, 1.19, 1.5, 2, 2.74, 3.76), (0.5, 1, 0.8, 0.5, 0.9, 0.6, 0.5), 0.002, 1.4),
}
# Timbres of no other split.
HELD_OUT = {"validation": ("harpsichord",), "test": ("flute", "brass", "bell")}
SHARED = tuple(name for name in INSTRUMENTS if not any(name in names for names in HELD_OUT.values()))


def note(
    instrument: Instrument, pitch_hz: float, seconds: float, db_per_octave: float, random: np.random.Generator
) -> Samples:
    """One note of about an RMS of 1 at its beginning, `seconds` long and a release of 30 ms."""
    at = np.arange(round((seconds + _RELEASE_SECONDS) * RATE_HZ)) / RATE_HZ
    tone = _partials(instrument, pitch_hz, at, db_per_octave, random)
    if instrument.breath:
        tone = tone + instrument.breath * random.standard_normal(len(at))
    rising = np.minimum(at / instrument.attack_seconds, 1.0)
    falling = np.clip((seconds + _RELEASE_SECONDS - at) / _RELEASE_SECONDS, 0, 1)
    return np.asarray(tone * rising * falling, np.float32)


def _partials(
    instrument: Instrument, pitch_hz: float, at: np.ndarray, db_per_octave: float, random: np.random.Generator
) -> np.ndarray:
    ratios, gains = np.array(instrument.partials), np.array(instrument.gains)
    gains = gains * 10 ** (db_per_octave * np.log2(np.maximum(ratios, 1)) / 20) * (ratios * pitch_hz < _HIGHEST_HZ)
    if instrument.formant_hz is not None:
        gains = gains * (0.3 + 1.5 * np.exp(-(np.log2(ratios * pitch_hz / instrument.formant_hz) ** 2)))
    gains = gains / np.sqrt(0.5 * np.square(gains).sum())
    sway = instrument.vibrato / 5.5 / (2 * np.pi) * np.sin(2 * np.pi * 5.5 * at)
    phase = (2 * np.pi * pitch_hz * (at + sway)).astype(np.float32)
    tone = np.zeros(len(at), np.float32)
    starts = random.uniform(0, 2 * np.pi, len(ratios)).tolist()
    for ratio, gain, start in zip(ratios.tolist(), gains.tolist(), starts, strict=True):
        if gain:
            tone += gain * _fading(instrument, pitch_hz, ratio, at) * np.sin(ratio * phase + start)
    return tone


def _fading(instrument: Instrument, pitch_hz: float, ratio: float, at: np.ndarray) -> np.ndarray | np.float32:
    """High notes, and high partials of a note, die away sooner."""
    if instrument.decay_seconds is None:
        return np.float32(1)
    seconds = instrument.decay_seconds * (262 / pitch_hz) ** 0.5 / max(ratio, 1) ** 0.5
    return np.asarray(np.exp(-at / seconds), np.float32)
