"""Losses of masks: hand-written references, whatever the chunks, and gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spaces.candidate import GramKind
from trainables.enhancement_losses import gram_distance, spectrum_losses

# What of maps [clips, channels, frames, bins] stands at each place.
PLACES: dict[GramKind, Callable[[NDArray[np.float64]], list[NDArray[np.float64]]]] = {
    "time_frequency": lambda maps: [maps[:, :, t, f] for t in range(maps.shape[2]) for f in range(maps.shape[3])],
    "time": lambda maps: [maps[:, :, t].reshape(len(maps), -1) for t in range(maps.shape[2])],
    "frequency": lambda maps: [maps[..., f].reshape(len(maps), -1) for f in range(maps.shape[3])],
    "batch": lambda maps: [maps.reshape(len(maps), -1)],
}


def plain(student: NDArray[np.float64], teacher: NDArray[np.float64], kind: GramKind) -> float:
    distances = []
    for ours, theirs in zip(PLACES[kind](student), PLACES[kind](teacher), strict=True):
        grams = []
        for values in (ours, theirs):
            gram = np.array([[float(a @ b) for b in values] for a in values])
            grams.append(np.array([row / max(np.sqrt((row**2).sum()), 1e-12) for row in gram]))
        distances.append(((grams[0] - grams[1]) ** 2).mean())
    return float(np.mean(distances))


def maps(seed: int, channels: int, clips: int = 4, frames: int = 5, bins: int = 3) -> torch.Tensor:
    return torch.randn(clips, channels, frames, bins, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", list(PLACES))
@given(seed=st.integers(0, 1000), clips=st.integers(2, 5), most_bytes=st.sampled_from([1, 300, 10**9]))
@settings(max_examples=15, deadline=None)
def test_gram_distances_are_the_plain_ones_whatever_the_chunk(
    kind: GramKind, seed: int, clips: int, most_bytes: int
) -> None:
    student, teacher = maps(seed, 2, clips), maps(seed + 1, 6, clips)
    expected = plain(student.double().numpy(), teacher.double().numpy(), kind)
    assert float(gram_distance(student, teacher, kind, most_bytes)) == pytest.approx(expected, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("kind", list(PLACES))
def test_chunks_change_neither_value_nor_gradient(kind: GramKind) -> None:
    found = []
    for most_bytes in (1, 10**9):
        student = maps(0, 2).requires_grad_()
        loss = gram_distance(student, maps(1, 6), kind, most_bytes)
        loss.backward()
        found.append((loss.detach(), student.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-9)


def test_the_same_similarities_are_no_distance_whatever_the_channels() -> None:
    student = maps(0, 3)
    turned = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(2)))[0]
    teacher = torch.cat([2 * torch.einsum("bctf,cd->bdtf", student, turned), torch.zeros(4, 5, 5, 3)], dim=1)
    for kind in PLACES:
        assert float(gram_distance(student, teacher, kind)) == pytest.approx(0, abs=1e-10)


def test_finer_places_see_what_coarse_ones_miss() -> None:
    student = maps(0, 3)
    shifted = student.roll(1, dims=2)
    assert float(gram_distance(shifted, student, "frequency")) == pytest.approx(0, abs=1e-10)
    assert float(gram_distance(shifted, student, "time_frequency")) > 0.01


def test_spectrum_losses_by_hand() -> None:
    magnitudes = torch.tensor([[[1.0, 3.0]], [[10.0, 30.0]]])
    target = torch.tensor([[[1.0, -1.0]], [[10.0, -10.0]]])
    masks = torch.tensor([[[0.5, 0.0]], [[0.5, 0.0]]])
    # ((.5 - 1)^2 + (0 + 1)^2) / 2 over (1 + 9) / 2, at either level.
    torch.testing.assert_close(spectrum_losses(masks, magnitudes, target), torch.tensor([0.125, 0.125]))


def test_silence_is_no_division_by_zero() -> None:
    silence = torch.zeros(2, 3, 4)
    assert torch.equal(spectrum_losses(torch.ones(2, 3, 4), silence, silence), torch.zeros(2))


@pytest.mark.parametrize("kind", list(PLACES))
def test_similarities_are_compared_in_float32_whatever_the_rest_is_in(kind: GramKind) -> None:
    student, teacher = maps(0, 2), maps(1, 6)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = gram_distance(student, teacher, kind)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, gram_distance(student, teacher, kind))


def test_gram_matrices_are_not_kept_for_the_gradient() -> None:
    student, teacher = maps(0, 2, clips=8, frames=40, bins=20).requires_grad_(), maps(1, 3, 8, 40, 20)
    kept: list[int] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.shape[-2:] == (8, 8):
            kept.append(4 * tensor.numel())
        return tensor

    most_bytes = 64 * 1024
    for bound in (10**9, most_bytes):
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            gram_distance(student, teacher, "time_frequency", bound)
        assert (sum(kept) > most_bytes) == (bound > most_bytes)
