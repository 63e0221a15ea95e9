"""Running speech of held-out voices in noise, synthesised through espeak-ng: what a device overhears."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import final

import numpy as np
import soundfile

from trainables.cache import cached_folder, content_key
from trainables.corpora.acoustics import KINDS, RATE_HZ, Surroundings, microphone, mix
from trainables.corpora.audio import Samples, to_int16
from trainables.corpora.espeak import Settings, held_out_cast
from trainables.corpora.espeak_voices import Utterance, Voice, say_at
from trainables.corpora.phrases import other_phrases
from trainables.corpora.running import HELD_OUT

_VERSION = 1
# Short of a noise track, which is cut once for each piece and never again.
PIECE_SECONDS = 19.0
_PAUSE_SECONDS = (0.15, 1.2)
_FLOOR_DB = 50.0
# Of a piece; what does not fit into it stays unsaid.
_PHRASES = 19


@final
@dataclass(frozen=True)
class Amount:
    """Minutes in each held-out split."""

    minutes: float = 12.0


def running_folder(word: str, seed: int, amount: Amount | None = None) -> Path:
    """`<split>/<n>.wav`: pieces of one voice that speaks on and on without the word, made once and kept in the cache.

    The voices are those of the split in the corpus of the same seed; no voice says a phrase twice, and no stretch of
    noise is heard twice.
    """
    amount = amount or Amount()
    key = content_key("espeak-running", _VERSION, version("espeakng-loader"), word, seed, amount)
    return cached_folder(key, lambda folder: _synthesise(folder, word, seed, amount))


def _synthesise(folder: Path, word: str, seed: int, amount: Amount) -> None:
    cast = held_out_cast(seed)
    for number, split in enumerate(HELD_OUT):
        random = np.random.default_rng([seed, 7, number])
        (folder / split).mkdir()
        pieces = _pieces(cast[split], other_phrases(word), amount, random)
        for at, piece in enumerate(pieces):
            soundfile.write(folder / split / f"{at:03d}.wav", to_int16(piece), RATE_HZ, subtype="PCM_16")


def _pieces(
    voices: Sequence[Voice], phrases: Sequence[str], amount: Amount, random: np.random.Generator
) -> Iterator[Samples]:
    speeches = _speeches(voices, phrases, max(1, round(amount.minutes * 60 / PIECE_SECONDS)), random)
    snrs = Settings().snrs_db
    for at, speech in enumerate(speeches):
        if at % len(KINDS) == 0:
            talkers = [speeches[other] for other in random.integers(len(speeches), size=8)]
            around = Surroundings(random, talkers)
        kind, snr_db = KINDS[at % len(KINDS)], snrs[int(random.integers(len(snrs)))]
        noise = around.noise(kind, len(speech), random)
        heard = mix(speech, noise, slice(0, len(speech)), _FLOOR_DB if snr_db is None else snr_db)
        yield microphone(heard, random)


def _speeches(
    voices: Sequence[Voice], phrases: Sequence[str], wanted: int, random: np.random.Generator
) -> list[Samples]:
    """Pieces of `PIECE_SECONDS`; each voice says its own shuffle of the phrases, of which a piece takes the next."""
    decks = [random.permutation(len(phrases)) for _ in voices]
    assert wanted <= len(voices) * (len(phrases) // _PHRASES)
    sayings = []
    for at in range(wanted):
        voice, first = at % len(voices), at // len(voices) * _PHRASES
        for phrase in decks[voice][first : first + _PHRASES]:
            sayings.append(_saying(voices[voice], phrases[phrase], random))
    said = say_at(RATE_HZ, sayings)
    return [_joined(said[at : at + _PHRASES], random) for at in range(0, len(said), _PHRASES)]


def _saying(voice: Voice, phrase: str, random: np.random.Generator) -> Utterance:
    rate = int(voice.rate * random.uniform(0.85, 1.2))
    return Utterance(voice, f"{phrase}.", rate, int(random.integers(30, 71)), int(random.integers(25, 76)))


def _joined(said: Sequence[Samples], random: np.random.Generator) -> Samples:
    speech = np.concatenate([part for samples in said for part in (samples, _pause(random))])
    length = int(PIECE_SECONDS * RATE_HZ)
    return np.asarray(np.pad(speech[:length], (0, max(0, length - len(speech)))), np.float32)


def _pause(random: np.random.Generator) -> Samples:
    return np.zeros(int(random.uniform(*_PAUSE_SECONDS) * RATE_HZ), np.float32)
