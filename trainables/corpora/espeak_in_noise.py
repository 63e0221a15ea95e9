"""The embedded corpus of speech and noise apart, synthesised through espeak-ng and numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import final

import numpy as np
import soundfile

from trainables.cache import cached_folder, content_key
from trainables.corpora.acoustics import RATE_HZ, noise_tracks
from trainables.corpora.audio import Samples, to_int16
from trainables.corpora.corpus import SPLITS
from trainables.corpora.espeak_voices import Utterance, Voice, draw_voices, say_at
from trainables.corpora.phrases import PHRASES
from trainables.corpora.sound_makers import MAKERS

# Counts every change that alters a sample, so that older folders in the cache are not taken for new ones.
_VERSION = 1
_PEAK = 0.5
_PAUSE_SECONDS = (0.08, 0.35)
# More phrases than fit into a clip, however short they are.
_PHRASES_PER_SECOND = 3
_TALKERS = 40


@final
@dataclass(frozen=True)
class Settings:
    """Speakers and clips of each by split, recordings of every kind of noise, and the kinds that only test has."""

    speakers: Mapping[str, int] = field(default_factory=lambda: {"train": 64, "validation": 12, "test": 16})
    clips: Mapping[str, int] = field(default_factory=lambda: {"train": 3, "validation": 3, "test": 3})
    recordings: Mapping[str, int] = field(default_factory=lambda: {"train": 8, "validation": 3, "test": 3})
    kinds: tuple[str, ...] = ("noise", "rain", "hum", "clicks", "babble")
    test_kinds: tuple[str, ...] = ("clatter", "alarm", "tones")


def synthesised_folder(seed: int, clip_seconds: float = 3.0, settings: Settings | None = None) -> Path:
    """`clean/<split>/<speaker>/<n>.wav` and `noise/<split>/<kind>/<n>.wav`, made once and then found in the cache.

    A clip of speech is one voice that says phrases with short pauses until the clip is full. The splits share no voice,
    no recording of noise and no babbling talker. The same arguments give the same samples. The corpus shows that a
    search runs; it says little of real speech.
    """
    settings = settings or Settings()
    key = content_key("espeak-in-noise", _VERSION, version("espeakng-loader"), seed, clip_seconds, settings)
    return cached_folder(key, lambda folder: _synthesise(folder, seed, clip_seconds, settings))


def _synthesise(folder: Path, seed: int, clip_seconds: float, settings: Settings) -> None:
    random = np.random.default_rng([seed, 24])
    voices = random.permutation(np.array(draw_voices(random), dtype=object)).tolist()
    first = 0
    for number, split in enumerate(SPLITS):
        cast = voices[first : first + settings.speakers[split]]
        first += len(cast)
        spoken = _speak(cast, settings.clips[split], clip_seconds, np.random.default_rng([seed, 25, number]))
        for (speaker, at), samples in spoken.items():
            _write(folder / "clean" / split / speaker / f"{at}.wav", samples)
        talkers = list(spoken.values())[:_TALKERS]
        for kind, at, samples in _noises(split, number, talkers, seed, settings):
            _write(folder / "noise" / split / kind / f"{at}.wav", samples)


def _speak(
    cast: Sequence[Voice], clips: int, seconds: float, random: np.random.Generator
) -> dict[tuple[str, int], Samples]:
    """Full clips of every voice, by its name and their number."""
    each = int(np.ceil(_PHRASES_PER_SECOND * seconds))
    owners = [(voice, at) for voice in cast for at in range(clips)]
    sayings = [
        Utterance(voice, str(text), int(voice.rate * random.uniform(0.9, 1.15)), int(random.integers(35, 66)))
        for voice, _ in owners
        for text in random.choice(PHRASES, each)
    ]
    said = say_at(RATE_HZ, sayings)
    length = round(seconds * RATE_HZ)
    return {
        (voice.name, at): _joined(said[n * each : (n + 1) * each], length, random)
        for n, (voice, at) in enumerate(owners)
    }


def _joined(phrases: Sequence[Samples], length: int, random: np.random.Generator) -> Samples:
    parts: list[Samples] = []
    for phrase in phrases:
        pause = np.zeros(int(random.uniform(*_PAUSE_SECONDS) * RATE_HZ), np.float32)
        parts += [pause, phrase / np.float32(max(np.abs(phrase).max(initial=0), 1e-6))]
    whole = np.concatenate(parts)[:length]
    return np.pad(whole, (0, length - len(whole)))


def _noises(
    split: str, number: int, talkers: Sequence[Samples], seed: int, settings: Settings
) -> list[tuple[str, int, Samples]]:
    kinds = settings.kinds + (settings.test_kinds if split == "test" else ())
    return [
        (kind, at, _noise(kind, talkers, np.random.default_rng([seed, 26, number, k, at])))
        for k, kind in enumerate(kinds)
        for at in range(settings.recordings[split])
    ]


def _noise(kind: str, talkers: Sequence[Samples], random: np.random.Generator) -> Samples:
    if kind in MAKERS:
        return np.asarray(MAKERS[kind](random, random), np.float32)
    return noise_tracks(random, talkers)[kind]


def _write(path: Path, samples: Samples) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scaled = samples * np.float32(_PEAK / max(float(np.abs(samples).max()), 1e-9))
    soundfile.write(path, to_int16(scaled), RATE_HZ, subtype="PCM_16")
