"""Spectra and back: torch's own transforms, a loop over frames as a device has it, and perfect reconstruction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.front_end import FrontEnd
from trainables.spectra import audio_of, enhanced, inner, log_power, magnitudes, phase_sensitive, spectra, window_of

FRONT_END = FrontEnd(
    kind="log_power", window_samples=320, hop_samples=160, n_fft=320, clip_seconds=0.2, decision_seconds=0.01
)


def clips(seed: int = 0, count: int = 3) -> torch.Tensor:
    return torch.randn(count, FRONT_END.clip_samples, generator=torch.Generator().manual_seed(seed)) * 0.1


def test_spectra_are_those_of_torch() -> None:
    audio = clips()
    theirs = torch.stft(audio, 320, 160, window=window_of(FRONT_END), center=False, return_complex=True)
    torch.testing.assert_close(spectra(audio, FRONT_END), theirs.transpose(1, 2), rtol=1e-5, atol=1e-5)


@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_a_mask_of_ones_gives_the_clip_back(seed: int) -> None:
    audio = clips(seed)
    whole = enhanced(audio, torch.ones(3, FRONT_END.frames, 161), FRONT_END)
    torch.testing.assert_close(whole, inner(audio, FRONT_END), rtol=0, atol=1e-6)
    assert whole.shape[1] == FRONT_END.clip_samples - 2 * FRONT_END.hop_samples


def test_masked_spectra_become_the_sound_that_torch_makes_of_them() -> None:
    audio, masks = clips(), torch.rand(3, FRONT_END.frames, 161)
    masked = spectra(audio, FRONT_END) * masks
    # torch divides by the windows' sum, which is 0 at the very edge: a frame of zeros on either side.
    padded = torch.nn.functional.pad(masked, (0, 0, 1, 1)).transpose(1, 2)
    theirs = torch.istft(padded, 320, 160, window=window_of(FRONT_END), center=True)
    torch.testing.assert_close(audio_of(masked, FRONT_END), theirs[:, 160:-160], rtol=1e-4, atol=1e-6)


def test_a_device_that_hears_hop_after_hop_says_the_same_one_window_later() -> None:
    audio, masks = clips(count=1), torch.rand(1, FRONT_END.frames, 161)
    window, hop = window_of(FRONT_END).numpy(), FRONT_END.hop_samples
    heard, tail, said = np.zeros(320, np.float32), np.zeros(hop, np.float32), []
    for step, samples in enumerate(audio[0].numpy().reshape(-1, hop)):
        heard = np.concatenate([heard[hop:], samples])
        if step:
            masked = np.fft.rfft(heard * window) * masks[0, step - 1].numpy()
            sound = np.fft.irfft(masked) * window
            said.append(tail + sound[:hop])
            tail = sound[hop:]
    # What comes out at the first whole window's end began with the window: 20 ms earlier.
    assert FRONT_END.window_ms == 20.0
    ours = enhanced(audio, masks, FRONT_END)[0].numpy()
    np.testing.assert_allclose(np.concatenate(said[1:]), ours, atol=1e-6)


def test_magnitudes_come_back_from_what_the_network_hears() -> None:
    spectrum = spectra(clips(), FRONT_END)
    found = magnitudes(log_power(spectrum, FRONT_END), FRONT_END)
    torch.testing.assert_close(found, spectrum.abs(), rtol=1e-3, atol=1e-3)


def test_the_phase_sensitive_target_is_the_best_real_multiple() -> None:
    noisy, clean = spectra(clips(0), FRONT_END), spectra(clips(1), FRONT_END)
    best = phase_sensitive(clean, noisy)
    unit = noisy / noisy.abs()
    for other in (best - 0.01, best + 0.01):
        assert ((clean - best * unit).abs() <= (clean - other * unit).abs()).all()


@pytest.mark.parametrize(
    "changes", [{"n_fft": 512}, {"hop_samples": 80}, {"window_samples": 322, "n_fft": 322, "hop_samples": 161}]
)
def test_windows_that_do_not_add_up_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"front end: of log-power spectra, n_fft=\d+ must be window_samples"):
        FrontEnd(**{"kind": "log_power", "window_samples": 320, "hop_samples": 160, "n_fft": 320} | changes)  # type: ignore[arg-type]
