"""Makers of three seconds of one sound each: a baby's cry, and what a device in a home hears besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from trainables.corpora.acoustics import RATE_HZ
from trainables.corpora.sound_layouts import CRY

CLIP_SAMPLES = 3 * RATE_HZ

_HARMONICS = 16
_FORMANT_WIDTH_HZ = 500.0

Random = np.random.Generator
Sound = NDArray[np.float64]
Maker = Callable[[Random, Random], Sound]


def cry(source: Random, take: Random) -> Sound:
    """Bursts of voice at 300-600 Hz that glide up and down, breath drawn between them.

    Pitch, melody, formants and rhythm are the baby's. Ranges after Wasz-Höckert et al. (The Infant Cry, 1968).
    """
    pitch_hz, rise = source.uniform(300, 600), source.uniform(0.05, 0.4)
    formants_hz = np.array([source.uniform(900, 1400), source.uniform(2500, 3600), source.uniform(4500, 5800)])
    burst_seconds, pause_seconds = source.uniform(0.5, 1.2), source.uniform(0.2, 0.5)
    track = np.zeros(CLIP_SAMPLES)
    at = int(take.uniform(0, 0.3) * RATE_HZ)
    while at < CLIP_SAMPLES:
        seconds = burst_seconds * take.uniform(0.7, 1.3)
        burst = _burst(pitch_hz * take.uniform(0.9, 1.1), rise, formants_hz, seconds, take)
        at = _put(track, burst, at)
        at = _put(track, 0.1 * _breath(pause_seconds * take.uniform(0.7, 1.3), take), at)
    return track


def tones(source: Random, take: Random) -> Sound:
    """A melody of steady notes with a few harmonics, from the cry's own range of pitch."""
    note_seconds, partials = source.uniform(0.12, 0.5), source.integers(1, 6)
    scale_hz = source.uniform(200, 500) * 2 ** (np.array([0, 2, 4, 7, 9, 12]) / 12)
    track, at = np.zeros(CLIP_SAMPLES), 0
    while at < CLIP_SAMPLES:
        seconds = np.arange(int(note_seconds * RATE_HZ)) / RATE_HZ
        phase = 2 * np.pi * take.choice(scale_hz) * seconds
        note = sum(np.sin(partial * phase) / partial for partial in range(1, partials + 1))
        at = _put(track, note * np.exp(-seconds / note_seconds), at)
    return track


def alarm(source: Random, take: Random) -> Sound:
    """Beeps of one or two pitches, or a siren that sweeps between them."""
    low_hz, ratio, period = source.uniform(500, 2500), source.uniform(1.1, 1.6), source.uniform(0.2, 1.0)
    seconds = np.arange(CLIP_SAMPLES) / RATE_HZ + take.uniform(0, period)
    place = seconds / period % 1
    sweep = np.abs(2 * place - 1) if source.random() < 0.5 else np.round(place)
    on = place < source.uniform(0.4, 1.0)
    return np.sin(2 * np.pi * np.cumsum(low_hz * ratio**sweep) / RATE_HZ) * on


def clicks(source: Random, take: Random) -> Sound:
    """Knocks as of a keyboard or a door: short resonances, irregularly."""
    ring_hz, decay_seconds, per_second = source.uniform(300, 5000), source.uniform(0.003, 0.03), source.uniform(1, 8)
    return _events(take, per_second, decay_seconds, ring_hz)


def hum(source: Random, take: Random) -> Sound:
    """Mains and motors: harmonics of a low pitch that sway."""
    base_hz, slope = source.uniform(45, 140), source.uniform(0.5, 1.5)
    seconds = np.arange(CLIP_SAMPLES) / RATE_HZ
    sway = 1 + 0.3 * np.sin(2 * np.pi * (source.uniform(0.2, 3.0) * seconds + take.random()))
    partials = [np.sin(2 * np.pi * (n * base_hz * seconds + take.random())) / n**slope for n in range(1, 30)]
    return np.asarray(np.sum(partials, axis=0) * sway)


def rain(source: Random, take: Random) -> Sound:
    """Many small drops over a hiss."""
    drops = _events(take, source.uniform(40, 200), source.uniform(0.001, 0.005), source.uniform(1500, 6000))
    return drops + source.uniform(0.02, 0.2) * take.standard_normal(CLIP_SAMPLES)


def noise(source: Random, take: Random) -> Sound:
    """Noise of one colour, as of a fan, a tap or wind, whose level wanders."""
    spectrum = np.fft.rfft(take.standard_normal(CLIP_SAMPLES))
    hz = np.maximum(np.fft.rfftfreq(CLIP_SAMPLES, 1 / RATE_HZ), 20.0)
    coloured = np.fft.irfft(spectrum * hz ** source.uniform(-1.5, 0.3), CLIP_SAMPLES)
    knots = take.uniform(0.3, 1.0, 8)
    return coloured * np.interp(np.linspace(0, 7, CLIP_SAMPLES), np.arange(8), knots)


MAKERS: Mapping[str, Maker] = {
    CRY: cry,
    "tones": tones,
    "alarm": alarm,
    "clicks": clicks,
    "hum": hum,
    "rain": rain,
    "noise": noise,
}


def _burst(pitch_hz: float, rise: float, formants_hz: Sound, seconds: float, random: Random) -> Sound:
    place = np.linspace(0, 1, int(seconds * RATE_HZ))
    tremor = 0.01 * np.sin(2 * np.pi * (random.uniform(5, 9) * seconds * place + random.random()))
    contour_hz = pitch_hz * (1 + rise * np.sin(np.pi * place ** random.uniform(0.5, 1.5)) + tremor)
    phase = 2 * np.pi * np.cumsum(contour_hz) / RATE_HZ
    voice = sum(_resonance(n * contour_hz, formants_hz) * np.sin(n * phase) for n in range(1, _HARMONICS + 1))
    rough = 1 + random.uniform(0, 0.3) * random.standard_normal(len(place))
    return np.asarray(voice * rough * np.sin(np.pi * place) ** 0.5)


def _resonance(hz: Sound, formants_hz: Sound) -> Sound:
    gains = [0.7**n / (1 + ((hz - formant) / _FORMANT_WIDTH_HZ) ** 2) for n, formant in enumerate(formants_hz)]
    return np.asarray(np.sum([np.full_like(hz, 0.05), *gains], axis=0) * (hz < RATE_HZ / 2))


def _breath(seconds: float, random: Random) -> Sound:
    place = np.linspace(0, 1, int(seconds * RATE_HZ))
    return np.asarray(random.standard_normal(len(place)) * np.sin(np.pi * place) ** 2)


def _events(random: Random, per_second: float, decay_seconds: float, ring_hz: float) -> Sound:
    track = np.zeros(CLIP_SAMPLES)
    seconds = np.arange(int(6 * decay_seconds * RATE_HZ)) / RATE_HZ
    for at in random.integers(0, CLIP_SAMPLES, random.poisson(3 * per_second) + 1):
        ring = np.sin(2 * np.pi * ring_hz * random.uniform(0.8, 1.2) * seconds)
        knock = ring + 0.5 * random.standard_normal(len(seconds))
        _put(track, knock * np.exp(-seconds / decay_seconds) * random.uniform(0.2, 1.0), int(at))
    return track


def _put(track: Sound, piece: Sound, at: int) -> int:
    """Add a piece to a track, cut at its end; gives where the piece ends."""
    part = track[at : at + len(piece)]
    part += piece[: len(part)]
    return at + len(piece)
