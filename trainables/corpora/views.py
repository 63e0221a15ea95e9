"""Views: the clips of a corpus, those for training each heard once in noise and some in a room, fixed for good."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from trainables.cache import Array, Mapped, cached_array, content_key, filled_array
from trainables.corpora.acoustics import mix
from trainables.corpora.audio import Samples, audio_key, load_audio, to_int16

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainables.corpora.corpus import Corpus
    from trainables.corpora.disturbances import Disturbances

_VERSION = 1


@final
@dataclass(frozen=True)
class Rule:
    """How often a training clip of a view is in noise, at which SNR (evenly in decibels), and in a room.

    Every clip is in noise and half are in a room: drawn for half of the clips of an epoch, views come to the noise for
    half and the rooms for a quarter that sarpel/wakeword-training-platform uses, and no view repeats a clean clip.
    """

    noise_share: float = 1.0
    room_share: float = 0.5
    snr_db: tuple[float, float] = (5.0, 20.0)


@final
@dataclass(frozen=True)
class ClipView:
    """Where the cache keeps a view's clips and the `clean` ones: of a few bytes, so that it can go to every worker."""

    key: str
    clean: str

    def audio(self) -> Mapped:
        """Read-only int16 [clips, samples], in the corpus's order; a `RuntimeError` where this cache has none."""
        return cached_array(self.key, self._absent)

    def heard(self, rows: NDArray[np.int64] | slice, samples: int) -> NDArray[np.int16]:
        """Clips [rows, samples] of at most the view's length: the part that is loudest without noise.

        Of parts equally loud the middle one, so that a recording shorter than the clip stays in its middle.
        """
        audio, clean = self.audio()[rows], cached_array(self.clean, self._absent)[rows]
        if samples == audio.shape[1]:
            return audio
        starts = [_loudest(clip, samples) for clip in clean]
        return np.stack([clip[start : start + samples] for clip, start in zip(audio, starts, strict=True)])

    def _absent(self) -> Array:
        raise RuntimeError(f"cache: {self.key} is not there; the driver makes it and hands it to its workers")


def clip_views(
    corpus: Corpus, clip_samples: int, around: Disturbances, count: int, seed: int, rule: Rule | None = None
) -> tuple[ClipView, ...]:
    """`count` views, made the first time and then mapped from the cache; clips of other splits stay as they are.

    What a clip is heard in depends on seed, view and its audio alone.
    """
    rule = rule or Rule()
    return tuple(_view(corpus, clip_samples, around, seed, number, rule) for number in range(count))


def _view(corpus: Corpus, clip_samples: int, around: Disturbances, seed: int, number: int, rule: Rule) -> ClipView:
    train = set(corpus.indices("train").tolist())

    def fill(audio: Mapped) -> None:
        for row, clip in enumerate(load_audio(corpus, clip_samples)):
            audio[row] = clip
            if row in train:
                random = _random(seed, number, corpus.clips[row].audio_hash)
                audio[row] = to_int16(disturbed(clip / np.float32(32768), around, rule, random))

    split = [clip.split for clip in corpus.clips]
    key = content_key("view", _VERSION, audio_key(corpus, clip_samples), split, around.content_hash, seed, number, rule)
    filled_array(key, (len(corpus.clips), clip_samples), np.int16, fill)
    return ClipView(key, audio_key(corpus, clip_samples))


def _loudest(clip: NDArray[np.int16], samples: int) -> int:
    energy = np.concatenate(([0], np.cumsum(np.square(clip, dtype=np.int64))))
    within = energy[samples:] - energy[:-samples]
    loudest = np.flatnonzero(within == within.max())
    return int(loudest[len(loudest) // 2])


def _random(seed: int, view: int, audio_hash: str) -> np.random.Generator:
    digest = hashlib.sha256(audio_hash.encode()).digest()
    return np.random.default_rng([seed, view, *np.frombuffer(digest, np.uint32).tolist()])


def disturbed(clip: Samples, around: Disturbances, rule: Rule, random: np.random.Generator) -> Samples:
    """The clip as heard in a room, in noise, both or neither, as drawn; scaled down where it would be clipped."""
    in_room, in_noise = random.random() < rule.room_share, random.random() < rule.noise_share
    room, start = random.integers(len(around.rooms)), random.integers(len(around.noise))
    snr_db = random.uniform(*rule.snr_db)
    heard = reverberant(clip, around.rooms[room]) if in_room else clip
    if in_noise:
        cut = np.take(around.noise, np.arange(start, start + len(clip)), mode="wrap")
        heard = mix(heard, cut.astype(np.float32), slice(None), snr_db)
    return heard / max(1.0, float(np.abs(heard).max()))


def reverberant(clip: Samples, room: Samples) -> Samples:
    """The clip in a room, at its own length and RMS."""
    from scipy.signal import oaconvolve

    wet = oaconvolve(clip, room)[: len(clip)]
    return np.asarray(wet * np.sqrt(_power(clip) / max(_power(wet), 1e-20)), np.float32)


def _power(samples: NDArray[np.floating]) -> float:
    return float(np.square(samples, dtype=np.float64).mean())
