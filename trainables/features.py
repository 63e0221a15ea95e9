"""Features: what the device's front end computes, in batches."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, final

import numpy as np
import torch
import torchaudio

from export.front_end import compressed
from export.micro_front_end import clip_frames
from trainables.cache import content_key, filled_array
from trainables.corpora.audio import load_audio

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from spaces.front_end import FrontEnd
    from trainables.corpora.corpus import Corpus
    from trainables.corpora.views import ClipView

FEATURES_VERSION = 1
MICRO_VERSION = 1
CHUNK_CLIPS = 256


@final
@dataclass(frozen=True)
class PickedClips:
    """Clips `rows` of mapped features, copied into memory some at a time: when they are sliced."""

    features: NDArray[np.float32]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> NDArray[np.float32]:
        return np.ascontiguousarray(self.features[self.rows[part]])


def corpus_features(corpus: Corpus, front_end: FrontEnd) -> NDArray[np.float32]:
    """Features [clips, frames, values per frame] of a whole corpus, memory-mapped; computed once for each front end."""
    if front_end.kind == "waveform":
        return _waveforms(corpus, front_end)
    key = features_key(front_end, corpus.content_hash)

    def opened() -> Callable[[slice], NDArray[np.int16]]:
        return load_audio(corpus, front_end.clip_samples).__getitem__

    return _features(key, opened, len(corpus.clips), front_end)


def view_features(view: ClipView, front_end: FrontEnd) -> NDArray[np.float32]:
    """As `corpus_features`, of a view; see `ClipView.heard` for a front end with a shorter clip."""
    key = features_key(front_end, view.key)
    return _features(key, lambda: partial(view.heard, samples=front_end.clip_samples), len(view.audio()), front_end)


def _features(
    key: str, opened: Callable[[], Callable[[slice], NDArray[np.int16]]], clips: int, front_end: FrontEnd
) -> NDArray[np.float32]:
    def fill(features: NDArray[np.float32]) -> None:
        audio = opened()
        for at in range(0, clips, CHUNK_CLIPS):
            rows = slice(at, at + CHUNK_CLIPS)
            features[rows] = clip_features(audio(rows), front_end)

    return filled_array(key, (clips, front_end.frames, front_end.mels), np.float32, fill)


def features_key(front_end: FrontEnd, *heard: object) -> str:
    """The cache's key of features of what is `heard`."""
    if front_end.kind == "micro":
        return content_key("micro", MICRO_VERSION, version("pymicro-features"), *heard, front_end)
    return content_key("log-mel", FEATURES_VERSION, *heard, front_end)


def clip_features(clips: NDArray[np.int16], front_end: FrontEnd) -> NDArray[np.float32]:
    """Features [clips, frames, mels] of int16 clips [clips, samples], each by itself."""
    if front_end.kind == "micro":
        return clip_frames(clips, front_end)
    return np.asarray(log_mel(torch.from_numpy(clips.astype(np.float32) / 32768), front_end).numpy())


def _waveforms(corpus: Corpus, front_end: FrontEnd) -> NDArray[np.float32]:
    # Under one key for every way to cut it into frames.
    samples = front_end.frames * front_end.hop_samples
    key = content_key("waveform", FEATURES_VERSION, corpus.content_hash, front_end.clip_samples, samples)

    def fill(waveforms: NDArray[np.float32]) -> None:
        audio = load_audio(corpus, front_end.clip_samples)
        for at in range(0, len(audio), CHUNK_CLIPS):
            waveforms[at : at + CHUNK_CLIPS] = compressed(audio[at : at + CHUNK_CLIPS, :samples])

    kept = filled_array(key, (len(corpus.clips), samples), np.float32, fill)
    return kept.reshape(len(kept), front_end.frames, front_end.hop_samples)


def log_mel(audio: Tensor, front_end: FrontEnd) -> Tensor:
    """float32 audio [clips, samples] in [-1, 1) to log-mel energies [clips, frames, mels].

    Hann windows that lie wholly inside the clip, zero-padded to `n_fft`; power or magnitude spectrum; HTK mel
    triangles; natural logarithm of energy plus `log_floor`; less `log_mean`, over `log_std`.
    """
    windows = audio.unfold(-1, front_end.window_samples, front_end.hop_samples)
    spectrum = torch.fft.rfft(windows * torch.hann_window(front_end.window_samples), n=front_end.n_fft)
    power = spectrum.real.square() + spectrum.imag.square()
    summed = power.sqrt() if front_end.spectrum_power == 1 else power
    energy: Tensor = torch.log(summed @ mel_filters(front_end) + front_end.log_floor)
    return (energy - front_end.log_mean) / front_end.log_std


def mel_filters(front_end: FrontEnd) -> Tensor:
    """Triangles [n_fft / 2 + 1, mels] on the HTK scale, without area normalisation.

    Of a short window the low ones may lie between two bins: these are empty, and their mels constant.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="At least one mel filterbank")
        filters: Tensor = torchaudio.functional.melscale_fbanks(
            n_freqs=front_end.n_fft // 2 + 1,
            f_min=front_end.low_hz,
            f_max=front_end.high_hz,
            n_mels=front_end.mels,
            sample_rate=front_end.sample_rate_hz,
            mel_scale="htk",
        )
    return filters
