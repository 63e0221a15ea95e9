"""The embedded demonstration corpus of baby cries and other sounds, synthesised with numpy and espeak-ng."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import final

import numpy as np
import soundfile

from trainables.cache import cached_folder, content_key
from trainables.corpora.acoustics import KINDS as NOISES
from trainables.corpora.acoustics import RATE_HZ, Surroundings, microphone, mix
from trainables.corpora.audio import Samples, fit_length, to_int16
from trainables.corpora.corpus import SPLITS
from trainables.corpora.espeak_voices import Utterance, draw_voices, say_at
from trainables.corpora.manifest import write_manifest
from trainables.corpora.phrases import PHRASES
from trainables.corpora.sound_layouts import CRY
from trainables.corpora.sound_makers import CLIP_SAMPLES, MAKERS

SPEECH, QUIET = "speech", "quiet"

# Counts every change that alters a sample, so that older folders in the cache are not taken for new ones.
_VERSION = 1
_SNR_DB = (0.0, 30.0)
_QUIET_DBFS = (-75.0, -55.0)


@final
@dataclass(frozen=True)
class Settings:
    """Sources of every kind of sound by split, babies times as many, and clips of each source."""

    train: int = 10
    validation: int = 4
    test: int = 4
    babies: int = 3
    takes: int = 2


@final
@dataclass(frozen=True)
class _Plan:
    """One clip to be: `source` is a baby, a voice or a device, numbered within its kind."""

    split: str
    kind: str
    source: int
    take: int


def synthesised_folder(seed: int, settings: Settings | None = None) -> Path:
    """The corpus as WAV files with a manifest.csv, made the first time and then found in the cache.

    Layout `<kind>/<source>_nohash_<take>.wav`, 3 s, 16 kHz, 16 bit. No source is in two splits. The same seed and
    settings give the same samples. It shows that a search runs; it says nothing of real cries.
    """
    settings = settings or Settings()
    key = content_key("synthesised-cries", _VERSION, version("espeakng-loader"), seed, settings)
    return cached_folder(key, lambda folder: _synthesise(folder, seed, settings))


def _synthesise(folder: Path, seed: int, settings: Settings) -> None:
    plans = tuple(_plans(settings))
    spoken = _speak([plan for plan in plans if plan.kind == SPEECH], np.random.default_rng([seed, 5]))
    around = {
        split: Surroundings(
            np.random.default_rng([seed, 6, number]), [said for plan, said in spoken.items() if plan.split == split]
        )
        for number, split in enumerate(SPLITS)
    }
    rows = []
    for number, plan in enumerate(plans):
        random = np.random.default_rng([seed, 7, number])
        sound = spoken[plan] if plan.kind == SPEECH else _sound(plan, seed, random)
        recorded = sound if plan.kind == QUIET else _recorded(sound, around[plan.split], random)
        rows.append(_write(folder, plan, recorded))
    write_manifest(folder, rows)


def _plans(settings: Settings) -> Iterator[_Plan]:
    for kind in (SPEECH, QUIET, *MAKERS):
        first = 0
        for split in SPLITS:
            sources = getattr(settings, split) * (settings.babies if kind == CRY else 1)
            yield from (_Plan(split, kind, first + n, take) for n in range(sources) for take in range(settings.takes))
            first += sources


def _speak(plans: Sequence[_Plan], random: np.random.Generator) -> dict[_Plan, Samples]:
    """Two or three phrases by the plan's own voice."""
    voices = random.permutation(np.array(draw_voices(random), dtype=object))
    texts = [", ".join(random.choice(PHRASES, random.integers(2, 4))) for _ in plans]
    sayings = [
        Utterance(voices[plan.source], text, voices[plan.source].rate) for plan, text in zip(plans, texts, strict=True)
    ]
    return {plan: fit_length(said, CLIP_SAMPLES) for plan, said in zip(plans, say_at(RATE_HZ, sayings), strict=True)}


def _sound(plan: _Plan, seed: int, random: np.random.Generator) -> Samples:
    if plan.kind == QUIET:
        level = 10 ** (random.uniform(*_QUIET_DBFS) / 20)
        return np.asarray(random.standard_normal(CLIP_SAMPLES) * level, np.float32)
    # What all takes of a source have in common is drawn from a generator of its own.
    source = np.random.default_rng([seed, 8, tuple(MAKERS).index(plan.kind), plan.source])
    return np.asarray(MAKERS[plan.kind](source, random), np.float32)


def _recorded(sound: Samples, around: Surroundings, random: np.random.Generator) -> Samples:
    """In noise, through a cheap microphone."""
    noise = around.noise(NOISES[random.integers(len(NOISES))], CLIP_SAMPLES, random)
    return microphone(mix(sound, noise, slice(None), random.uniform(*_SNR_DB)), random)


def _write(folder: Path, plan: _Plan, clip: Samples) -> dict[str, str]:
    speaker = f"{plan.kind}{plan.source}"
    path = f"{plan.kind}/{speaker}_nohash_{plan.take}.wav"
    (folder / path).parent.mkdir(exist_ok=True)
    soundfile.write(folder / path, to_int16(clip), RATE_HZ, subtype="PCM_16")
    return {"path": path, "label": plan.kind, "split": plan.split, "speaker": speaker}
