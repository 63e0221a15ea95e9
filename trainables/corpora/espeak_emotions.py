"""The embedded emotion corpus: espeak-ng's voices with emotions made of prosody, laid out as TESS is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import final

import numpy as np
import soundfile

from trainables.cache import cached_folder, content_key
from trainables.corpora.acoustics import RATE_HZ, mix
from trainables.corpora.audio import Samples, fit_length, to_int16
from trainables.corpora.corpus import SPLITS
from trainables.corpora.espeak_voices import Utterance, Voice, draw_voices, say_at
from trainables.corpora.manifest import write_manifest

# Counts every change that alters a sample, so that older folders in the cache are not taken for new ones.
_VERSION = 1
_CLIP = 2 * RATE_HZ
_LEAST_RATE, _MOST_RATE = 80, 450
_RMS_DB, _LEVEL_DB = -26.0, 3.0
_SNR_DB = (20.0, 40.0)
# Words of TESS's list (Northwestern University Auditory Test No. 6), which the carrier "say the word" precedes there.
WORDS = tuple(
    """
    back bar base bath bean bite boat bone book bought burn cab calm came cause chain chair chalk chat check cheek chief
    choice cool dab date dead death deep dime dip ditch dodge dog doll door fail fall far fat fit five food gap gas gaze
    germ get gin goal good goose gun half hall hash hate have haze hire
    """.split()  # noqa: SIM905 - a list of words reads better than quotes
)


@final
@dataclass(frozen=True)
class Prosody:
    """One emotion as (low, high) that each clip or voice draws from.

    `rate` multiplies the voice's; `pitch` and `range` are espeak-ng's, 0-99 about 50. The voice itself changes by
    `flutter` and `roughness` (added), `bright` (factor on formants 3 to 5) and `breath` (0 for none). `text` is the
    carrier, whose punctuation shapes melody and pauses.
    """

    text: str
    rate: tuple[float, float]
    pitch: tuple[float, float]
    range: tuple[float, float]
    flutter: tuple[float, float] = (0, 0)
    roughness: tuple[float, float] = (0, 0)
    bright: tuple[float, float] = (0.95, 1.05)
    breath: tuple[float, float] = (0, 0)


# Directions after Murray and Arnott (J. Acoust. Soc. Am. 93, 1993) and Schroeder (Eurospeech 2001); the sizes are ours,
# and neighbours overlap.
PROSODY = {
    "angry": Prosody("say! the word! {}!", (1.15, 1.35), (46, 60), (60, 80), roughness=(4, 6), bright=(1.5, 2.0)),
    "disgust": Prosody("say the, word {}.", (0.72, 0.86), (28, 42), (50, 70), roughness=(4, 6), bright=(0.9, 1.1)),
    "fear": Prosody("say the word {}.", (1.28, 1.5), (72, 90), (22, 40), flutter=(8, 14), breath=(1, 3)),
    "happy": Prosody("say the word {}!", (1.0, 1.16), (64, 80), (84, 99), bright=(1.0, 1.2)),
    "neutral": Prosody("say the word {}.", (0.93, 1.07), (44, 56), (34, 48)),
    "ps": Prosody("say the word? {}?", (0.95, 1.1), (74, 92), (84, 99)),
    "sad": Prosody("say the word, {}.", (0.68, 0.8), (28, 42), (6, 20), bright=(0.4, 0.7), breath=(4, 7)),
}


@final
@dataclass(frozen=True)
class Settings:
    """Voices of each kind (man, woman, child) per split, and clips of each voice and emotion."""

    train: int = 6
    validation: int = 3
    test: int = 3
    takes: int = 4


@final
@dataclass(frozen=True)
class _Plan:
    """One clip to be."""

    split: str
    speaker: str
    emotion: str
    word: str
    utterance: Utterance


def synthesised_folder(seed: int, settings: Settings | None = None) -> Path:
    """The corpus as WAV files with a manifest.csv, made the first time and then found in the cache.

    Layout `<voice>_<emotion>/<voice>_<word>_<emotion>.wav`, 2 s, 16 kHz, 16 bit, "say the word" and a word, at a level
    that says nothing of the emotion. No voice is in two splits. The same seed and settings give the same samples.
    """
    settings = settings or Settings()
    key = content_key("espeak-emotions", _VERSION, version("espeakng-loader"), seed, settings)
    return cached_folder(key, lambda folder: _synthesise(folder, seed, settings))


def _synthesise(folder: Path, seed: int, settings: Settings) -> None:
    random = np.random.default_rng([seed, 3])
    plans = [plan for split, voice in _cast(random, settings) for plan in _plans(split, voice, settings, random)]
    spoken = _within_clip([plan.utterance for plan in plans])
    rows = []
    for number, (plan, samples) in enumerate(zip(plans, spoken, strict=True)):
        clip = _recorded(samples, np.random.default_rng([seed, 4, number]))
        rows.append(_write(folder, plan, clip))
    write_manifest(folder, rows)


def _cast(random: np.random.Generator, settings: Settings) -> Iterator[tuple[str, Voice]]:
    """Voices with their splits: men, women and children alike, accents as they fall."""
    voices = draw_voices(random)
    counts = [getattr(settings, split) for split in SPLITS]
    for kind in range(3):
        chosen = random.permutation(np.arange(kind, len(voices), 3))[: sum(counts)]
        for split, numbers in zip(SPLITS, np.split(chosen, np.cumsum(counts)[:-1]), strict=True):
            yield from ((split, voices[number]) for number in numbers)


def _plans(split: str, voice: Voice, settings: Settings, random: np.random.Generator) -> Iterator[_Plan]:
    for emotion, prosody in PROSODY.items():
        moved = _moved(voice, emotion, prosody, random)
        for word in random.choice(WORDS, settings.takes, replace=False):
            yield _Plan(split, voice.name, emotion, str(word), _saying(moved, str(word), prosody, random))


def _moved(voice: Voice, emotion: str, prosody: Prosody, random: np.random.Generator) -> Voice:
    """The voice as the emotion changes it, in espeak-ng's format of variants."""
    bright = random.uniform(*prosody.bright)
    lines = [_moved_line(line, prosody, bright, random) for line in voice.variant.splitlines()]
    breath = round(random.uniform(*prosody.breath))
    if breath:
        lines = [line for line in lines if line.split()[0] not in ("breath", "voicing")]
        lines += ["breath " + " ".join([str(breath)] * 8), f"voicing {100 - 5 * breath}"]
    # One letter or digit: espeak-ng has 40 bytes for accent and name.
    name = f"{voice.name}{list(PROSODY).index(emotion)}"
    return replace(voice, name=name, variant="\n".join(lines) + "\n")


def _moved_line(line: str, prosody: Prosody, bright: float, random: np.random.Generator) -> str:
    key, *values = line.split()
    if key == "flutter":
        return f"flutter {int(values[0]) + round(random.uniform(*prosody.flutter))}"
    if key == "roughness":
        return f"roughness {min(7, int(values[0]) + round(random.uniform(*prosody.roughness)))}"
    if key == "formant" and int(values[0]) >= 3:
        number, frequency, strength, width = values
        return f"formant {number} {frequency} {int(int(strength) * bright)} {width}"
    return line


def _saying(voice: Voice, word: str, prosody: Prosody, random: np.random.Generator) -> Utterance:
    rate = int(np.clip(max(voice.rate, 150) * random.uniform(*prosody.rate), _LEAST_RATE, _MOST_RATE))
    pitch, melody = (int(random.uniform(*ends)) for ends in (prosody.pitch, prosody.range))
    return Utterance(voice, prosody.text.format(word), rate, pitch, melody)


def _within_clip(utterances: Sequence[Utterance]) -> list[Samples]:
    """All as planned, but those that outlast a clip again, and faster."""
    spoken = say_at(RATE_HZ, utterances)
    long = [number for number, samples in enumerate(spoken) if len(samples) > 0.95 * _CLIP]
    faster = [
        replace(utterances[n], rate=min(_MOST_RATE, int(utterances[n].rate * len(spoken[n]) / (0.9 * _CLIP))))
        for n in long
    ]
    for number, samples in zip(long, say_at(RATE_HZ, faster), strict=True):
        spoken[number] = samples
    return spoken


def _recorded(said: Samples, random: np.random.Generator) -> Samples:
    """Somewhere in two seconds, in a little noise, at a level drawn for the clip."""
    said = fit_length(said, min(len(said), _CLIP))
    clip = np.zeros(_CLIP, np.float32)
    start = int(random.integers(_CLIP - len(said) + 1))
    clip[start : start + len(said)] = said
    noise = random.standard_normal(_CLIP).astype(np.float32)
    noisy = mix(clip, noise, slice(start, start + len(said)), random.uniform(*_SNR_DB))
    level = 10 ** ((_RMS_DB + random.uniform(-_LEVEL_DB, _LEVEL_DB)) / 20)
    return np.asarray(noisy * level / max(float(np.sqrt(np.mean(np.square(noisy)))), 1e-9), np.float32)


def _write(folder: Path, plan: _Plan, clip: Samples) -> dict[str, str]:
    path = f"{plan.speaker}_{plan.emotion}/{plan.speaker}_{plan.word}_{plan.emotion}.wav"
    (folder / path).parent.mkdir(exist_ok=True)
    soundfile.write(folder / path, to_int16(clip), RATE_HZ, subtype="PCM_16")
    voice = plan.utterance.voice
    return {
        "path": path,
        "label": plan.emotion,
        "split": plan.split,
        "speaker": plan.speaker,
        "text": plan.word,
        "accent": voice.accent,
    }
