"""Spectra of clips, and clips of masked spectra, as the device computes them frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from spaces.front_end import FrontEnd


def window_of(front_end: FrontEnd) -> Tensor:
    """The square root of a periodic Hann window [window_samples]: twice in a row, half a window apart, it sums to 1."""
    return torch.hann_window(front_end.window_samples).sqrt()


def spectra(audio: Tensor, front_end: FrontEnd) -> Tensor:
    """float32 audio [clips, samples] to complex spectra [clips, frames, bins] of the windows wholly inside."""
    windows = audio.unfold(-1, front_end.window_samples, front_end.hop_samples)
    found: Tensor = torch.fft.rfft(windows * window_of(front_end), n=front_end.n_fft)
    return found


def log_power(spectrum: Tensor, front_end: FrontEnd) -> Tensor:
    """Spectra of any shape to what the network hears of them: less `log_mean`, over `log_std`."""
    power = spectrum.real.square() + spectrum.imag.square()
    return ((power + front_end.log_floor).log() - front_end.log_mean) / front_end.log_std


def magnitudes(features: Tensor, front_end: FrontEnd) -> Tensor:
    """The magnitudes that `log_power` was made of."""
    power = (features * front_end.log_std + front_end.log_mean).exp() - front_end.log_floor
    return power.clamp(min=0.0).sqrt()


def phase_sensitive(clean: Tensor, noisy: Tensor) -> Tensor:
    """|S| cos(angle between S and X), float32: what a mask should leave of |X| (Erdogan et al., ICASSP 2015)."""
    return (clean * noisy.conj()).real / noisy.abs().clamp(min=1e-12)


def audio_of(spectrum: Tensor, front_end: FrontEnd) -> Tensor:
    """Complex spectra [clips, frames, bins] to audio [clips, (frames - 1) * hop_samples], windows overlapping by half.

    The first hop of the clip and the last, which one window alone hears, are left out; see `inner`.
    """
    windows = torch.fft.irfft(spectrum, n=front_end.n_fft) * window_of(front_end)
    hop = front_end.hop_samples
    said: Tensor = (windows[:, :-1, hop:] + windows[:, 1:, :hop]).flatten(1)
    return said


def inner(audio: Tensor, front_end: FrontEnd) -> Tensor:
    """The part of clips [clips, samples] that `audio_of` gives back."""
    return audio[:, front_end.hop_samples : front_end.frames * front_end.hop_samples]


def enhanced(audio: Tensor, masks: Tensor, front_end: FrontEnd) -> Tensor:
    """What masks [clips, frames, bins] leave of clips [clips, samples], as long as `inner`."""
    return audio_of(spectra(audio, front_end) * masks, front_end)
