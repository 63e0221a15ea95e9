"""The embedded wake-word corpus, synthesised through espeak-ng."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import final

import numpy as np
import soundfile
from numpy.typing import NDArray

from trainables.cache import cached_folder, content_key
from trainables.corpora.acoustics import KINDS, RATE_HZ, Surroundings, microphone, mix
from trainables.corpora.audio import Samples, to_int16
from trainables.corpora.confusables import near_miss
from trainables.corpora.corpus import SPLITS
from trainables.corpora.espeak_voices import ACCENTS, SPEAKERS_PER_ACCENT, Utterance, Voice, draw_voices, say_at, spell
from trainables.corpora.manifest import write_manifest
from trainables.corpora.phrases import other_phrases, sound_alikes

# A name that assistants on sale answer to, of three syllables, and in every accent's dictionary.
DEFAULT_WORD = "computer"
CONFUSABLE, SPEECH, NOISE = "_confusable_", "_speech_", "_noise_"

# Counts every change that alters a sample, so that older folders in the cache are not taken for new ones.
_VERSION = 2
_WORD = re.compile(r"[A-Za-zÀ-ÖØ-öø-ɏ]+(?:[ '-][A-Za-zÀ-ÖØ-öø-ɏ]+)*")
_MAX_LETTERS = 30
_CLIP = RATE_HZ
_MAX_RATE = 450
_FLOOR_DB = 50.0
_TALKERS = 60
_CAST = {"train": SPEAKERS_PER_ACCENT - 4, "validation": 2, "test": 2}


@final
@dataclass(frozen=True)
class Settings:
    """How many clips of one second, and of what.

    `shares` are of the word, its confusables, other speech and noise alone. Each SNR, in decibels, is as likely as the
    others; `None` means clean (a noise floor 50 dB down).
    """

    train: int = 2800
    validation: int = 640
    test: int = 640
    shares: tuple[float, float, float, float] = (0.20, 0.12, 0.46, 0.22)
    snrs_db: tuple[float | None, ...] = (None, 20.0, 15.0, 10.0, 5.0, 0.0)


@final
@dataclass(frozen=True)
class _Plan:
    """One clip to be: who says what, followed by what else, in which noise."""

    split: str
    label: str
    voice: Voice | None
    text: str
    beside: str
    snr_db: float | None
    noise: str


def synthesised_folder(word: str, seed: int, settings: Settings | None = None) -> Path:
    """The corpus for `word` as WAV files with a manifest.csv, made the first time and then found in the cache.

    Layout `<label>/<voice>_nohash_<n>.wav`, 16 kHz, 16 bit. The splits share no voice, room or noise track. The same
    word, seed and settings give the same samples. A word that cannot be spoken within a second is a `ValueError`.
    """
    settings = settings or Settings()
    _check_word(word)
    engine = version("espeakng-loader")
    key = content_key("espeak", _VERSION, engine, word, seed, settings)
    return cached_folder(key, lambda folder: _synthesise(folder, word, seed, settings))


def _check_word(word: str) -> None:
    if not _WORD.fullmatch(word) or len(word) > _MAX_LETTERS:
        rule = f"at most {_MAX_LETTERS} Latin letters, with single spaces, hyphens or apostrophes"
        raise ValueError(f"--word: must be {rule}, not {word!r}")


def _synthesise(folder: Path, word: str, seed: int, settings: Settings) -> None:
    random = np.random.default_rng([seed, 0])
    cast = _cast(draw_voices(random), random)
    plans = _plans(word, cast, settings, random)
    spoken, beside = _speak(plans, word, random)
    around = _surroundings(plans, spoken, random)
    rows = []
    for number, plan in enumerate(plans):
        clip_random = np.random.default_rng([seed, 1, number])
        clip = _render(plan, spoken[number], beside[number], around[plan.split], clip_random)
        rows.append(_write(folder, number, plan, clip))
    write_manifest(folder, rows)


def held_out_cast(seed: int) -> dict[str, tuple[Voice, ...]]:
    """The voices of each split of the corpus of `seed`."""
    random = np.random.default_rng([seed, 0])
    return _cast(draw_voices(random), random)


def _speak(
    plans: Sequence[_Plan], word: str, random: np.random.Generator
) -> tuple[list[Samples | None], list[Samples | None]]:
    """What each plan's voice says, and what it says beside that; None where it says nothing."""
    voiced = [(i, plan, plan.voice) for i, plan in enumerate(plans) if plan.voice]
    joined = [(i, plan, voice) for i, plan, voice in voiced if plan.beside]
    sayings = [_saying(voice, plan.text, random) for _, plan, voice in voiced]
    besides = [_saying(voice, plan.beside, random) for _, plan, voice in joined]
    spoken: list[Samples | None] = [None] * len(plans)
    beside = list(spoken)
    for (i, _, _), samples in zip(voiced, _say_within_clip([p for _, p, _ in voiced], sayings, word), strict=True):
        spoken[i] = samples
    for (i, _, _), samples in zip(joined, say_at(RATE_HZ, besides), strict=True):
        beside[i] = samples
    return spoken, beside


def _cast(voices: Sequence[Voice], random: np.random.Generator) -> dict[str, tuple[Voice, ...]]:
    """Voices by split: of every accent's speakers, two each for validation and test."""
    cast: dict[str, list[Voice]] = {split: [] for split in SPLITS}
    for accent in ACCENTS:
        speakers = [voice for voice in voices if voice.accent == accent]
        places = [split for split in SPLITS for _ in range(_CAST[split])]
        for voice, place in zip(speakers, random.permutation(places), strict=True):
            cast[str(place)].append(voice)
    return {split: tuple(members) for split, members in cast.items()}


def _plans(
    word: str, cast: Mapping[str, Sequence[Voice]], settings: Settings, random: np.random.Generator
) -> tuple[_Plan, ...]:
    everyone = [voice for split in SPLITS for voice in cast[split]]
    spelling = dict(zip(everyone, spell(word, everyone), strict=True))
    return tuple(
        plan for split in SPLITS for plan in _split_plans(word, split, cast[split], spelling, settings, random)
    )


def _split_plans(
    word: str,
    split: str,
    voices: Sequence[Voice],
    spelling: Mapping[Voice, str],
    settings: Settings,
    random: np.random.Generator,
) -> Iterator[_Plan]:
    phrases = other_phrases(word)
    counts = np.diff(np.rint(np.cumsum((0, *settings.shares)) * getattr(settings, split)).astype(int))
    for label, count in zip((word, CONFUSABLE, SPEECH, NOISE), counts, strict=True):
        for number in range(count):
            voice = None if label == NOISE else voices[number % len(voices)]
            text = _text(label, word, spelling[voice], frozenset(spelling.values()), random) if voice else ""
            beside = str(random.choice(phrases)) if voice and label != SPEECH and random.random() < 0.2 else ""
            snr_db = settings.snrs_db[random.integers(len(settings.snrs_db))]
            yield _Plan(split, label, voice, text, beside, snr_db, KINDS[random.integers(len(KINDS))])


def _text(label: str, word: str, spelling: str, spellings: frozenset[str], random: np.random.Generator) -> str:
    mark = str(random.choice(("", "!", "?", ",")))
    alike = sound_alikes(word.lower())
    if label == word:
        return word + mark
    if label == SPEECH:
        return str(random.choice(other_phrases(word))) + mark
    if alike and random.random() < 0.3:
        return str(random.choice(alike)) + mark
    return near_miss(spelling, spellings, random) + mark


def _saying(voice: Voice, text: str, random: np.random.Generator) -> Utterance:
    rate = int(np.clip(voice.rate * random.uniform(0.85, 1.2), 80, _MAX_RATE))
    return Utterance(voice, text, rate, int(random.integers(30, 71)), int(random.integers(25, 76)))


def _say_within_clip(plans: Sequence[_Plan], sayings: Sequence[Utterance], word: str) -> list[Samples]:
    """One utterance per plan; the word and its confusables again, and faster, where they outlast a clip."""
    spoken = say_at(RATE_HZ, sayings)
    long = [i for i, plan in enumerate(plans) if plan.label != SPEECH and len(spoken[i]) > 0.95 * _CLIP]
    faster = [
        replace(sayings[i], rate=min(_MAX_RATE, int(sayings[i].rate * len(spoken[i]) / (0.85 * _CLIP)))) for i in long
    ]
    for i, samples in zip(long, say_at(RATE_HZ, faster), strict=True):
        spoken[i] = samples
    lengths = [len(samples) for plan, samples in zip(plans, spoken, strict=True) if plan.label == word]
    if not min(lengths):
        raise ValueError(f"--word: espeak-ng's English voices say nothing for {word!r}")
    if max(lengths) > _CLIP:
        seconds = max(lengths) / RATE_HZ
        raise ValueError(
            f"--word: {word!r} must be said within 1 s, but takes {seconds:.1f} s in haste; choose a shorter one"
        )
    return spoken


def _surroundings(
    plans: Sequence[_Plan], spoken: Sequence[Samples | None], random: np.random.Generator
) -> dict[str, Surroundings]:
    """Noise and rooms by split; only the split's own voices babble."""
    around = {}
    for split in SPLITS:
        pairs = zip(plans, spoken, strict=True)
        talk = [s for plan, s in pairs if s is not None and len(s) and plan.split == split and plan.label == SPEECH]
        around[split] = Surroundings(random, talk[:_TALKERS])
    return around


def _render(
    plan: _Plan, said: Samples | None, beside: Samples | None, around: Surroundings, random: np.random.Generator
) -> NDArray[np.int16]:
    """One clip as it would be recorded."""
    noise = around.noise(plan.noise, _CLIP, random)
    if said is None:
        return to_int16(microphone(noise if plan.snr_db is not None else noise * 0.01, random))
    dry, active = _placed(said, beside, random)
    wet = around.in_room(dry, random) if random.random() < 0.6 else dry
    if plan.snr_db is None:
        return to_int16(microphone(mix(wet, around.noise("white", _CLIP, random), active, _FLOOR_DB), random))
    return to_int16(microphone(mix(wet, noise, active, plan.snr_db), random))


def _placed(said: Samples, beside: Samples | None, random: np.random.Generator) -> tuple[Samples, slice]:
    """An utterance, or a second of a longer one, and where it lies; other speech ends before it or begins after."""
    if len(said) >= _CLIP:
        start = int(random.integers(len(said) - _CLIP + 1))
        return said[start : start + _CLIP], slice(0, _CLIP)
    at = int(random.integers(_CLIP - len(said) + 1))
    dry = np.zeros(_CLIP, np.float32)
    dry[at : at + len(said)] = said
    if beside is not None:
        gap = int(random.uniform(0.04, 0.15) * RATE_HZ)
        before, after = max(0, at - gap), min(_CLIP, at + len(said) + gap)
        if random.random() < 0.5:
            dry[after:][: len(beside)] = beside[: _CLIP - after]
        elif before:
            dry[:before][-len(beside) :] = beside[-before:]
    return dry, slice(at, at + len(said))


def _write(folder: Path, number: int, plan: _Plan, clip: NDArray[np.int16]) -> dict[str, str]:
    # Noise alone has no voice; named by its split, it stays there.
    speaker = plan.voice.name if plan.voice else f"noise-{plan.split}"
    path = f"{plan.label.replace(' ', '_')}/{speaker}_nohash_{number}.wav"
    (folder / path).parent.mkdir(exist_ok=True)
    soundfile.write(folder / path, clip, RATE_HZ, subtype="PCM_16")
    clean = plan.snr_db is None
    return {
        "path": path,
        "label": plan.label,
        "split": plan.split,
        "speaker": speaker,
        "text": plan.text,
        "beside": plan.beside,
        "snr_db": "clean" if clean else f"{plan.snr_db:g}",
        "noise": "" if clean else plan.noise,
        "accent": plan.voice.accent if plan.voice else "",
    }
