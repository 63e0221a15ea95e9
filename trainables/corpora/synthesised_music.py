"""The embedded corpus of music-like clips whose valence and arousal are known, synthesised with numpy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
import soundfile

from trainables.cache import cached_folder, content_key
from trainables.corpora.acoustics import RATE_HZ, rooms
from trainables.corpora.audio import Samples, to_int16
from trainables.corpora.corpus import SPLITS
from trainables.corpora.instruments import HELD_OUT, INSTRUMENTS, SHARED, Instrument, note
from trainables.corpora.manifest import write_manifest
from trainables.corpora.music_controls import Controls, draw_controls, rated

CLIP_SECONDS = 4.0

# Counts every change that alters a sample, so that older folders in the cache are not taken for new ones.
_VERSION = 1
_SAMPLES = round(CLIP_SECONDS * RATE_HZ)
_RECORDING_DB, _SNR_DB = 2.0, (25.0, 45.0)
# Lengths of a bar's notes in beats, and its chords as degrees of the mode.
_RHYTHMS = ((1, 1, 1, 1), (1, 0.5, 0.5, 1, 1), (0.5, 0.5, 1, 0.5, 0.5, 1), (1.5, 0.5, 1, 1), (2, 1, 1))
_CHORDS = ((0, 3), (0, 4), (0, 5), (5, 3), (0, 2))
_CHORD_LEVEL = 0.35
_BEATS = 4


@final
@dataclass(frozen=True)
class Settings:
    """Pieces by split, and clips of each; the share of held-out clips that are of the split's own timbres."""

    train: int = 160
    validation: int = 50
    test: int = 60
    takes: int = 2
    strange: float = 0.5


@final
@dataclass(frozen=True)
class _Piece:
    """A melody as degrees above the tonic with lengths in beats, and the chords of its two half bars."""

    degrees: tuple[int, ...]
    beats: tuple[float, ...]
    chords: tuple[int, int]


def synthesised_folder(seed: int, settings: Settings | None = None) -> Path:
    """The corpus as WAV files with a manifest.csv, made the first time and then found in the cache.

    Layout `<timbre>/piece<n>_<take>.wav`, 4 s, 16 kHz, 16 bit; columns valence and arousal, the timbre as label, the
    piece as group, and the controls. Takes of a piece share its melody and nothing else. No piece is in two splits, and
    some timbres are in one alone. The same seed and settings give the same samples. It shows that a search runs; it
    says little of real music.
    """
    settings = settings or Settings()
    key = content_key("synthesised-music", _VERSION, seed, settings)
    return cached_folder(key, lambda folder: _synthesise(folder, seed, settings))


def _synthesise(folder: Path, seed: int, settings: Settings) -> None:
    heard_in = rooms(np.random.default_rng([seed, 9]))
    rows = []
    for split, number in _pieces(settings):
        piece = _drawn(np.random.default_rng([seed, 10, number]))
        for take in range(settings.takes):
            random = np.random.default_rng([seed, 11, number, take])
            controls, timbre = draw_controls(random), _timbre(split, settings, random)
            track = _played(piece, controls, _instance(INSTRUMENTS[timbre], random), random)
            clip = _recorded(track, controls, heard_in[random.integers(len(heard_in))], random)
            path = f"{timbre}/piece{number}_{take}.wav"
            (folder / path).parent.mkdir(exist_ok=True)
            soundfile.write(folder / path, to_int16(clip), RATE_HZ, subtype="PCM_16")
            rows.append(_row(path, split, number, timbre, controls, rated(controls, random)))
    write_manifest(folder, rows)


def _pieces(settings: Settings) -> Iterator[tuple[str, int]]:
    splits = [split for split in SPLITS for _ in range(getattr(settings, split))]
    yield from zip(splits, range(len(splits)), strict=True)


def _drawn(random: np.random.Generator) -> _Piece:
    beats = _RHYTHMS[random.integers(len(_RHYTHMS))]
    steps = random.choice((-2, -1, 1, 2), len(beats) * 2)
    degrees = np.clip(np.cumsum(steps) + random.choice((0, 2, 4)), -3, 9)
    first, second = _CHORDS[random.integers(len(_CHORDS))]
    return _Piece(tuple(degrees.tolist()), beats * 2, (first, second))


def _timbre(split: str, settings: Settings, random: np.random.Generator) -> str:
    strange = split in HELD_OUT and random.random() < settings.strange
    return str(random.choice(HELD_OUT[split] if strange else SHARED))


def _instance(instrument: Instrument, random: np.random.Generator) -> Instrument:
    """One player's instrument: partials, attack and decay differ from others of the kind."""
    gains = np.array(instrument.gains) * 10 ** (random.normal(0, 2, len(instrument.gains)) / 20)
    decay = instrument.decay_seconds and instrument.decay_seconds * random.uniform(0.7, 1.4)
    attack = instrument.attack_seconds * random.uniform(0.7, 1.4)
    return replace(instrument, gains=tuple(gains.tolist()), attack_seconds=attack, decay_seconds=decay)


def _played(piece: _Piece, controls: Controls, instrument: Instrument, random: np.random.Generator) -> Samples:
    """The melody over its chords, from anywhere within a beat, as often as the clip holds it."""
    track = np.zeros(_SAMPLES, np.float32)
    beat = 60 / controls.beats_per_minute
    at, number = -beat * random.random(), 0
    while at < CLIP_SECONDS:
        place = number % len(piece.beats)
        length = piece.beats[place] * beat
        sound = _note(instrument, controls, piece.degrees[place], 12, length, random)
        _put(track, sound * np.float32(random.uniform(0.8, 1.2)), at)
        at, number = at + length, number + 1
    _accompany(track, piece, controls, instrument, random)
    return track


def _accompany(
    track: Samples, piece: _Piece, controls: Controls, instrument: Instrument, random: np.random.Generator
) -> None:
    half_bar = _BEATS / 2 * 60 / controls.beats_per_minute
    for number, at in enumerate(np.arange(0, CLIP_SECONDS, half_bar)):
        root = piece.chords[number % 2]
        for degree in (root, root + 2, root + 4):
            _put(track, _CHORD_LEVEL * _note(instrument, controls, degree, 0, half_bar, random), float(at))


def _note(
    instrument: Instrument, controls: Controls, degree: int, above: int, seconds: float, random: np.random.Generator
) -> Samples:
    octave, step = divmod(degree, len(controls.scale))
    midi = controls.tonic - 12 + above + 12 * octave + controls.scale[step]
    return note(
        instrument, 440 * 2 ** ((midi - 69) / 12), max(seconds * controls.held, 0.05), controls.db_per_octave, random
    )


def _put(track: Samples, piece: Samples, at_seconds: float) -> None:
    start = round(at_seconds * RATE_HZ)
    piece = piece[max(0, -start) :]
    part = track[max(0, start) : max(0, start) + len(piece)]
    part += piece[: len(part)]


def _recorded(track: Samples, controls: Controls, room: np.ndarray, random: np.random.Generator) -> Samples:
    """In a room with a little noise, at the level of the controls give or take what the recording does to it."""
    size = 1 << (len(track) + len(room)).bit_length()
    wet = np.fft.irfft(np.fft.rfft(track, size) * np.fft.rfft(room, size), size)[: len(track)]
    level = 10 ** ((controls.level_dbfs + random.uniform(-_RECORDING_DB, _RECORDING_DB)) / 20)
    music = wet * level / max(float(np.sqrt(np.mean(np.square(wet)))), 1e-9)
    noise = random.standard_normal(len(music)) * level * 10 ** (-random.uniform(*_SNR_DB) / 20)
    return np.asarray(music + noise, np.float32)


def _row(
    path: str, split: str, number: int, timbre: str, controls: Controls, values: tuple[float, float]
) -> dict[str, str]:
    valence, arousal = values
    played = {name: f"{value:.4f}" for name, value in asdict(controls).items()}
    facts = {"path": path, "valence": str(valence), "arousal": str(arousal), "group": f"piece{number}"}
    return {**facts, "split": split, "label": timbre, **played}
