"""Mixtures of speech and noise at stated SNRs: their plan, their samples and their facts."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np

from trainables.cache import Array, Mapped, cached_array, content_key, filled_array
from trainables.corpora.audio import Samples, decode, fit_length, resample
from trainables.corpora.views import reverberant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainables.corpora.corpus import Clip, Corpus
    from trainables.corpora.enhancement_splits import Noise

RATE_HZ = 16_000
PEAK = 0.99

# Counts every change that alters a sample.
_VERSION = 1
# A cut of noise this far below its recording is a pause in it.
_PAUSE_DB = -20.0
_KEPT_FILES = 32


@final
@dataclass(frozen=True)
class Mixing:
    """How clips of clean speech become mixtures.

    The SNR is that of plain energies: the mean square of the clean speech over the whole clip to that of the noise, so
    that it equals the noisy clip's SDR. A training clip stands in `views` mixtures, each at an SNR drawn evenly in
    decibels from `train_snr_db`, at a level drawn evenly from `train_level_dbfs` (RMS of the mixture, as DNS-Challenge
    draws it), in a room for `room_share` of them where there are rooms; speech in a room is its own target. A clip of
    validation or test stands once at each of `test_snrs_db`, at `test_level_dbfs`, in no room. Training has at most
    `most_mixtures`, each other split at most `most_held_out` clips. The mixtures are fixed, so that a teacher hears
    each once and its outputs can be kept; an epoch may hold one view of every clip, another in the next.
    """

    clip_seconds: float = 3.0
    views: int = 3
    train_snr_db: tuple[float, float] = (-10.0, 10.0)
    test_snrs_db: tuple[float, ...] = (-5.0, 0.0, 5.0)
    train_level_dbfs: tuple[float, float] = (-35.0, -15.0)
    test_level_dbfs: float = -25.0
    room_share: float = 0.5
    most_mixtures: int = 9_600
    most_held_out: int = 200

    @property
    def samples(self) -> int:
        """Length of a clip."""
        return round(self.clip_seconds * RATE_HZ)


@final
@dataclass(frozen=True)
class Mixture:
    """One clip of speech in one noise: `snr_db` as the samples have it, `unseen` for a kind that training lacks.

    `speech` is the clip of clean audio, numbered by `clip` within the corpus; mixtures of one clip differ by `view`.
    """

    speech: Clip
    clip: int
    view: int
    noise: Noise
    snr_db: float
    level_dbfs: float
    noise_place: float | None
    room: int | None
    unseen: bool

    @property
    def split(self) -> str:
        """Where it belongs."""
        return self.speech.split


@final
@dataclass(frozen=True)
class Mixtures:
    """Every mixture of a corpus, in the order of `corpus.clips`: of a few bytes each, samples lie in the cache.

    The label of a clip is its kind of noise. `key` is the cache's key of what `pairs` gives.
    """

    corpus: Corpus
    facts: tuple[Mixture, ...]
    key: str

    def pairs(self) -> Mapped:
        """Read-only float32 [mixtures, 2, samples], noisy and clean; a `RuntimeError` where this cache has none."""
        return cached_array(self.key, self._absent)

    def noisy(self) -> NDArray[np.float32]:
        """Read-only [mixtures, samples] at 16 kHz, mapped from the cache."""
        return self.pairs()[:, 0]

    def clean(self) -> NDArray[np.float32]:
        """As `noisy`, the speech in it."""
        return self.pairs()[:, 1]

    def snrs_db(self) -> NDArray[np.float64]:
        """SNR of every mixture."""
        return np.array([fact.snr_db for fact in self.facts])

    def rows(self, split: str, view: int | None = None) -> NDArray[np.int64]:
        """Numbers of one split's mixtures, or of one view of them, ascending."""
        chosen = (n for n, fact in enumerate(self.facts) if fact.split == split and view in (None, fact.view))
        return np.fromiter(chosen, np.int64)

    def _absent(self) -> Array:
        raise RuntimeError(f"cache: {self.key} is not there; the driver makes it and hands it to its workers")


def mixed(speech: Samples, noise: Samples, snr_db: float, level_dbfs: float) -> NDArray[np.float32]:
    """Noisy and clean [2, samples]: the noise scaled to the SNR, then both alike to the level of the mixture.

    Where one of them would exceed a peak of .99, both are quieter than asked for.
    """
    gain = math.sqrt(power(speech) / (power(noise) * 10 ** (snr_db / 10)))
    noisy = speech.astype(np.float64) + gain * noise.astype(np.float64)
    loudest = max(float(np.abs(noisy).max()), float(np.abs(speech).max()))
    scale = min(10 ** (level_dbfs / 20) / math.sqrt(power(noisy)), PEAK / loudest)
    return np.stack([scale * noisy, scale * speech]).astype(np.float32)


def power(samples: NDArray[np.floating]) -> float:
    """Mean square."""
    return float(np.square(samples, dtype=np.float64).mean())


def measured_powers(speech: Sequence[Clip], noises: Sequence[Noise | None], samples: int) -> NDArray[np.float64]:
    """Mean squares of clean clips, or of the noise that each came in, decoded once and kept in the cache."""
    names = [(clip.audio_hash, noise.audio_hash if noise else "") for clip, noise in zip(speech, noises, strict=True)]

    def measure() -> NDArray[np.float64]:
        files = _decoder()
        pairs = zip(speech, noises, strict=True)
        return np.array([power(_beside(files, c, n, samples) if n else _spoken(files, c, samples)) for c, n in pairs])

    return np.asarray(cached_array(content_key("powers", _VERSION, names, samples), measure))


def mixtures_key(facts: Sequence[Mixture], rooms: Sequence[str], samples: int) -> str:
    """The cache's key of the samples of these mixtures."""
    plans = [(m.speech.audio_hash, m.noise.audio_hash, m.snr_db, m.level_dbfs, m.noise_place, m.room) for m in facts]
    return content_key("mixtures", _VERSION, plans, list(rooms), samples)


def fill_mixtures(key: str, facts: Sequence[Mixture], rooms: Sequence[Path], samples: int) -> Mapped:
    """Float32 [mixtures, 2, samples] under `key`, made the first time."""

    def fill(pairs: Mapped) -> None:
        files = _decoder()
        responses = [_response(path) for path in rooms]
        for row, fact in enumerate(facts):
            speech = _spoken(files, fact.speech, samples)
            heard = speech if fact.room is None else reverberant(speech, responses[fact.room])
            pairs[row] = mixed(heard, _cut(files, fact, samples), fact.snr_db, fact.level_dbfs)

    return filled_array(key, (len(facts), 2, samples), np.float32, fill)


def scaled_down(key: str) -> int:
    """How many mixtures are quieter than asked for because they would be clipped."""
    peaks = cached_array(
        content_key("mixture-peaks", key), lambda: np.array([np.abs(pair).max() for pair in _stored(key)])
    )
    return int((peaks > PEAK - 1e-6).sum())


def random_of(seed: int, view: int, speech: Clip) -> np.random.Generator:
    """What one view of a clip is drawn from: the seed, the view and the clip's audio alone."""
    digest = hashlib.sha256(speech.audio_hash.encode()).digest()
    return np.random.default_rng([seed, 22, view, *np.frombuffer(digest, np.uint32).tolist()])


def _stored(key: str) -> Iterator[NDArray[np.float32]]:
    def absent() -> Array:
        raise RuntimeError(f"cache: {key} is not there")

    yield from cached_array(key, absent)


Decoder = Callable[[Path, Path | None], Samples]


def _decoder() -> Decoder:
    """Decodes files, less the speech beneath them, to 16 kHz; the last few stay in memory."""

    @functools.lru_cache(_KEPT_FILES)
    def decoded(path: Path, beneath: Path | None) -> Samples:
        samples, rate = decode(path)
        if beneath is not None:
            samples = samples - decode(beneath)[0]
        return resample(samples, rate, RATE_HZ)

    return decoded


def _spoken(files: Decoder, clip: Clip, samples: int) -> Samples:
    return _from(files(clip.path, None), clip, samples)


def _beside(files: Decoder, clip: Clip, noise: Noise, samples: int) -> Samples:
    return _from(files(noise.file.path, noise.file.beneath), clip, samples)


def _from(whole: Samples, clip: Clip, samples: int) -> Samples:
    start = round((clip.start_seconds or 0.0) * RATE_HZ)
    window = whole[start : start + samples]
    return np.pad(window, (0, samples - len(window)))


def _cut(files: Decoder, fact: Mixture, samples: int) -> Samples:
    """A cut of the noise: beside the speech, or at a place drawn; never a pause in it."""
    if fact.noise_place is None:
        cut = _beside(files, fact.speech, fact.noise, samples)
    else:
        cut = _placed(files(fact.noise.file.path, fact.noise.file.beneath), fact.noise_place, samples)
    whole = files(fact.noise.file.path, fact.noise.file.beneath)
    pause = power(whole) * 10 ** (_PAUSE_DB / 10)
    return cut if power(cut) > pause else np.resize(fit_length(whole, min(samples, len(whole))), samples)


def _placed(whole: Samples, place: float, samples: int) -> Samples:
    """`samples` of a recording from `place`, 0 to 1, of where they fit; a shorter one goes round."""
    if len(whole) <= samples:
        return np.take(whole, np.arange(samples) + int(place * len(whole)), mode="wrap")
    start = int(place * (len(whole) - samples + 1))
    return whole[start : start + samples]


def _response(path: Path) -> Samples:
    """An impulse response from its direct sound on."""
    samples, rate = decode(path)
    response = resample(samples, rate, RATE_HZ)[:RATE_HZ]
    at = int(np.abs(response).argmax())
    return np.asarray(response[at:] / response[at], np.float32)
