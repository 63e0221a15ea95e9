"""Noise and rooms that training clips are heard in: the user's recordings, the training split's own, or synthesised."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np

from trainables.cache import Mapped, cached_array, content_key, filled_array
from trainables.corpora.acoustics import noise_tracks, rooms
from trainables.corpora.audio import (
    SUFFIXES,
    AudioFile,
    Samples,
    audio_files,
    decode,
    inspect_audio,
    load_audio,
    resample,
    to_int16,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainables.corpora.corpus import Corpus

ROOM_SECONDS = 1.0

_VERSION = 1
_TALKERS = 60
# Tracks have an RMS of 1: as 16-bit samples they need room for their peaks.
_TRACK_LEVEL = 0.1


@final
@dataclass(frozen=True)
class Disturbances:
    """What clips are disturbed by, both in the cache.

    `noise` int16 [samples] is one long track to cut from; `rooms` float32 [rooms, taps] are impulse responses whose
    direct sound is their first tap and 1.
    """

    noise: NDArray[np.int16]
    rooms: NDArray[np.float32]
    name: str
    content_hash: str


def open_disturbances(
    corpus: Corpus,
    clip_samples: int,
    seed: int,
    talkers: NDArray[np.int64],
    background: NDArray[np.int64],
    noise_dir: Path | None = None,
    rooms_dir: Path | None = None,
) -> Disturbances:
    """Noise and rooms from the folders that are given, decoded once.

    Without `noise_dir` the clips `background` and synthesised noise, in which some of the clips `talkers` babble; both
    are rows of the training split. Without `rooms_dir` synthesised rooms. A folder without audio, a file that cannot be
    decoded, or one that validation or test holds as well is a `ValueError`.
    """
    train = corpus.indices("train")
    assert np.isin(talkers, train).all()
    assert np.isin(background, train).all()
    noise_key, noise, noise_name = (
        _recorded_noise(noise_dir, corpus) if noise_dir else _own_noise(corpus, clip_samples, seed, talkers, background)
    )
    rooms_key, responses, rooms_name = (
        _recorded_rooms(rooms_dir, corpus.sample_rate_hz) if rooms_dir else _synthesised_rooms(seed)
    )
    identity = hashlib.sha256(f"{noise_key} {rooms_key}".encode()).hexdigest()
    return Disturbances(noise, responses, f"{noise_name}; {rooms_name}", identity)


def background_rows(corpus: Corpus) -> NDArray[np.int64]:
    """Training clips that the data call noise, background, silence or ambience, such as `_noise_`."""
    names = ("noise", "background", "silence", "ambien")
    said = [clip.source_label.lower() for clip in corpus.clips]
    return np.array([row for row in corpus.indices("train") if any(name in said[row] for name in names)], np.int64)


def _recorded_noise(folder: Path, corpus: Corpus) -> tuple[str, Mapped, str]:
    files = _audio_files(folder, "--noise")
    _refuse_leaks(files, corpus)
    rate = corpus.sample_rate_hz
    lengths = [-(-file.frames * rate // file.sample_rate_hz) for file in files.values()]

    def fill(track: Mapped) -> None:
        for path, at, length in zip(files, np.cumsum([0, *lengths[:-1]]), lengths, strict=True):
            track[at : at + length] = to_int16(resample(*decode(path), rate))[:length]

    key = content_key("noise", _VERSION, [file.audio_hash for file in files.values()], rate)
    name = f"noise of {folder.name} ({sum(lengths) / rate:.0f} s)"
    return key, filled_array(key, (sum(lengths),), np.int16, fill), name


def _refuse_leaks(files: Mapping[Path, AudioFile], corpus: Corpus) -> None:
    # A window's hash is its recording's with the place behind it.
    split = {clip.audio_hash.partition("@")[0]: clip.split for clip in corpus.clips if clip.split != "train"}
    for path, file in files.items():
        if file.audio_hash in split and not file.silent:
            where = f"is in the {split[file.audio_hash]} split of the data too"
            raise ValueError(f"--noise: {path} {where}: a split leak; leave it out")


def _own_noise(
    corpus: Corpus, clip_samples: int, seed: int, talkers: NDArray[np.int64], background: NDArray[np.int64]
) -> tuple[str, Mapped, str]:
    speaking = np.sort(np.random.default_rng([seed, 9]).permutation(talkers)[:_TALKERS])
    hashes = [[corpus.clips[row].audio_hash for row in rows] for rows in (speaking, background)]
    key = content_key("own-noise", _VERSION, hashes, corpus.sample_rate_hz, clip_samples, seed)

    def track() -> NDArray[np.int16]:
        audio = load_audio(corpus, clip_samples)
        voices = [_without_edges(audio[row] / np.float32(32768)) for row in speaking]
        made = noise_tracks(np.random.default_rng([seed, 10]), [voice for voice in voices if len(voice)])
        parts = [to_int16(np.concatenate(list(made.values())) * np.float32(_TRACK_LEVEL)), *audio[background]]
        return np.concatenate(parts)

    name = "synthesised noise" + (f" and {len(background)} training clips" if len(background) else "")
    return key, cached_array(key, track), name


def _without_edges(samples: Samples) -> Samples:
    """Without the zeros that a short recording was padded with."""
    sounding = np.flatnonzero(samples)
    return samples[sounding[0] : sounding[-1] + 1] if len(sounding) else samples[:0]


def _recorded_rooms(folder: Path, rate_hz: int) -> tuple[str, Mapped, str]:
    files = _audio_files(folder, "--rooms")
    silent = next((path for path, file in files.items() if file.silent), None)
    if silent:
        raise ValueError(f"--rooms: {silent} holds nothing but zeros; an impulse response has a direct sound")
    key = content_key("rooms", _VERSION, [file.audio_hash for file in files.values()], rate_hz)

    def responses() -> NDArray[np.float32]:
        taps = round(ROOM_SECONDS * rate_hz)
        return _stacked([from_direct_sound(resample(*decode(path), rate_hz))[:taps] for path in files])

    return key, cached_array(key, responses), f"{len(files)} rooms of {folder.name}"


def from_direct_sound(response: Samples) -> Samples:
    """An impulse response from its highest peak on, which becomes 1: what passes through keeps its place."""
    at = int(np.abs(response).argmax())
    return np.asarray(response[at:] / response[at], np.float32)


def _synthesised_rooms(seed: int) -> tuple[str, Mapped, str]:
    key = content_key("synthesised-rooms", _VERSION, seed)
    made = cached_array(key, lambda: _stacked(rooms(np.random.default_rng([seed, 11]))))
    return key, made, "synthesised rooms"


def _stacked(responses: Sequence[NDArray[np.floating]]) -> NDArray[np.float32]:
    longest = max(map(len, responses))
    return np.stack([np.pad(response, (0, longest - len(response))) for response in responses]).astype(np.float32)


def _audio_files(folder: Path, option: str) -> dict[Path, AudioFile]:
    folder = folder.resolve()
    if not folder.is_dir():
        raise ValueError(f"{option}: {folder} is {'no folder' if folder.exists() else 'not there'}")
    files = inspect_audio(folder, audio_files(folder.rglob("*")))
    if not files:
        raise ValueError(f"{option}: {folder} holds no {' or '.join(SUFFIXES)}")
    for path, file in files.items():
        if file.problem:
            raise ValueError(f"{option}: {path} {file.problem}")
    return files
