"""Fixtures that several floors share: a cache of the tests' own, a small corpus in Speech Commands layout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# A word is a run of pitch glides in semitones; a speaker is a pitch and a tempo.
GLIDES = {"up": (0, 7, 12), "down": (12, 5, 0), "hat": (4, 10, 4)}
RATE_HZ = 16_000


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Point every cache, here and in child processes, at a folder that goes away."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("POTSTILL_CACHE")
    os.environ["POTSTILL_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["POTSTILL_CACHE"]
    else:
        os.environ["POTSTILL_CACHE"] = before


def spoken(word: str, speaker: int, take: int) -> np.ndarray:
    """One clip of 0.9 s: harmonics along the word's glides, in a little noise."""
    rng = np.random.default_rng([sorted(GLIDES).index(word), speaker, take])
    seconds = np.arange(int(0.9 * RATE_HZ)) / RATE_HZ
    place = np.clip((seconds - 0.1 - 0.1 * rng.random()) / (0.4 + 0.02 * (speaker % 5)), 0, 1)
    semitones = np.interp(place, np.linspace(0, 1, len(GLIDES[word])), GLIDES[word])
    phase = 2 * np.pi * np.cumsum((110 + 12 * speaker) * 2 ** (semitones / 12)) / RATE_HZ
    tone = sum(np.sin(k * phase) / k for k in range(1, 9)) * np.sin(np.pi * place)
    return (0.2 * tone + 0.02 * rng.standard_normal(len(seconds))).astype(np.float32)


@pytest.fixture(scope="session")
def speech_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three words by 12 speakers, 3 takes each, as `<word>/<speaker>_nohash_<n>.wav`."""
    folder = tmp_path_factory.mktemp("speech")
    for word in GLIDES:
        (folder / word).mkdir()
        for speaker in range(12):
            for take in range(3):
                path = folder / word / f"voice{speaker:02d}_nohash_{take}.wav"
                soundfile.write(path, spoken(word, speaker, take), RATE_HZ, subtype="PCM_16")
    return folder
