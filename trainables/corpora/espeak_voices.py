"""Voices of espeak-ng: English accents times speakers of our own, and what they are made to say."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from trainables.corpora.audio import Samples, resample

ACCENTS = (
    "en",
    "en-US",
    "en-US-nyc",
    "en-029",
    "en-GB-scotland",
    "en-GB-x-gbclan",
    "en-GB-x-gbcwmd",
    "en-GB-x-rp",
)
SPEAKERS_PER_ACCENT = 12

_SCRIPT = Path(__file__).with_name("espeak_process.py")
# Lowest and highest pitch in Hz, and vocal tract as formants in per cent of espeak's own, of men, women and children.
_KINDS = {"male": ((70, 115), (92, 102)), "female": ((140, 200), (106, 118)), "child": ((220, 290), (118, 132))}


@final
@dataclass(frozen=True)
class Voice:
    """One speaker: an accent, a variant file in espeak-ng's format, and a usual rate in words per minute."""

    name: str
    accent: str
    variant: str
    rate: int

    @property
    def selector(self) -> str:
        """How espeak-ng is asked for it."""
        return f"{self.accent}+{self.name}"


@final
@dataclass(frozen=True)
class Utterance:
    """Text, or phonemes in double brackets, with its rate in words per minute and pitch and range of 0-99."""

    voice: Voice
    text: str
    rate: int = 175
    pitch: int = 50
    range: int = 50


@final
@dataclass(frozen=True)
class Speech:
    """Int16 samples per utterance, at one rate."""

    samples: tuple[NDArray[np.int16], ...]
    sample_rate_hz: int


def draw_voices(random: np.random.Generator) -> tuple[Voice, ...]:
    """`SPEAKERS_PER_ACCENT` speakers of every accent: pitch, formants, flutter, roughness, breath, source and rate."""
    return tuple(
        _draw_voice(random, accent, f"{accent.lower()}-{number}", ("male", "female", "child")[number % 3])
        for accent in ACCENTS
        for number in range(SPEAKERS_PER_ACCENT)
    )


def _draw_voice(random: np.random.Generator, accent: str, name: str, kind: str) -> Voice:
    (low, high), (narrow, wide) = _KINDS[kind]
    pitch = random.uniform(low, high)
    tract = random.uniform(narrow, wide)
    lines = [
        "language variant",
        f"name {name}",
        f"gender {'male' if kind == 'male' else 'female'}",
        f"pitch {pitch:.0f} {pitch * random.uniform(1.25, 1.75):.0f}",
        f"flutter {random.integers(1, 9)}",
        f"roughness {random.integers(0, 5)}",
        *(f"formant {n} {tract * random.uniform(0.95, 1.05):.0f} {random.integers(80, 121)} 100" for n in range(1, 6)),
    ]
    if random.random() < 0.3:
        lines += ["breath " + " ".join([str(random.integers(2, 7))] * 8), f"voicing {random.integers(70, 95)}"]
    if random.random() < 0.25:
        lines.append(f"klatt {random.integers(1, 5)}")
    return Voice(name, accent, "\n".join(lines) + "\n", int(random.integers(135, 205)))


def say(utterances: Sequence[Utterance]) -> Speech:
    """Synthesise in a process of its own; the same utterances in the same order give the same samples."""
    request = [
        {"voice": u.voice.selector, "text": u.text, "rate": u.rate, "pitch": u.pitch, "range": u.range}
        for u in utterances
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.s16"
        answer = _ask({"variants": _variants(u.voice for u in utterances), "utterances": request, "spell": []}, path)
        samples = np.fromfile(path, np.int16)
    pieces = np.split(samples, np.cumsum(answer["lengths"])[:-1]) if utterances else []
    return Speech(tuple(pieces), answer["sample_rate_hz"])


def say_at(rate_hz: int, utterances: Sequence[Utterance]) -> list[Samples]:
    """As `say`, each in floats at one rate, without the silence around it."""
    speech = say(utterances)
    return [_trimmed(resample(_as_float(s), speech.sample_rate_hz, rate_hz)) for s in speech.samples]


def _as_float(samples: NDArray[np.int16]) -> Samples:
    return samples.astype(np.float32) / np.float32(32768)


def _trimmed(samples: Samples) -> Samples:
    """Without the silence around it: what is below a hundredth of the peak."""
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max(initial=0))
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples[:0]


def spell(text: str, voices: Sequence[Voice]) -> tuple[str, ...]:
    """How each voice pronounces `text`: espeak-ng's mnemonics with `|` between, words separated by spaces."""
    with tempfile.TemporaryDirectory() as folder:
        request = {"variants": _variants(voices), "utterances": [], "spell": [(v.selector, text) for v in voices]}
        return tuple(_ask(request, Path(folder) / "samples.s16")["phonemes"])


def _variants(voices: Iterable[Voice]) -> dict[str, str]:
    return {voice.name: voice.variant for voice in voices}


def _ask(request: Mapping[str, Any], samples_path: Path) -> dict[str, Any]:
    command = [sys.executable, "-P", str(_SCRIPT), str(samples_path)]
    done = subprocess.run(
        command, input=json.dumps(request), capture_output=True, text=True, encoding="utf-8", check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"espeak-ng: synthesis ended with code {done.returncode}: {last}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
