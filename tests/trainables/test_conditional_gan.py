"""The conditional GAN: counted layers, shapes, conditions that are followed, the same clips twice."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainables.conditional_gan import Discriminator, GanSettings, Generator, generated, trained_generator

FRAMES, MELS = 16, 16


def clips(count: int = 96) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The first condition is the level, the second the tilt over the mels."""
    random = np.random.default_rng(0)
    conditions = random.uniform(-1, 1, (count, 2)).astype(np.float32)
    tilt = np.linspace(-0.4, 0.4, MELS)[None, None, :]
    features = 0.4 * conditions[:, :1, None] + conditions[:, 1:, None] * tilt
    features = features + 0.05 * random.standard_normal((count, FRAMES, MELS))
    return features.astype(np.float32), conditions


def test_the_published_shape_has_the_published_layers() -> None:
    with torch.device("meta"):
        generator, discriminator = Generator(1292, 128, 2), Discriminator(1292, 128, 2)
    assert generator.grid == (81, 16)
    dense = 102 * 512 + 512 + (512 + 1) * 16 * 81 * 64
    widths = (64, 128, 64, 32, 1)
    convolved = sum(9 * a * b + b for a, b in pairwise(widths)) + 2 * (128 + 64 + 32)
    assert sum(part.numel() for part in generator.parameters()) == dense + convolved == 42_769_857
    widths = (3, 32, 64, 128, 256)
    convolved = sum(16 * a * b + b for a, b in pairwise(widths))
    decided = (256 * 80 * 8 + 2 + 1) * 512 + 513
    assert sum(part.numel() for part in discriminator.parameters()) == convolved + decided


@given(frames=st.integers(16, 300), mels=st.integers(16, 130))
@settings(max_examples=20, deadline=None)
def test_any_front_end_has_its_shape(frames: int, mels: int) -> None:
    with torch.device("meta"):
        features = Generator(frames, mels, 2)(torch.empty(3, 100), torch.empty(3, 2))
        assert features.shape == (3, 1, frames, mels)
        assert Discriminator(frames, mels, 2)(features, torch.empty(3, 2)).shape == (3,)


def test_clips_follow_their_conditions() -> None:
    features, conditions = clips()
    generator = trained_generator(features, conditions, GanSettings(epochs=30, batch=16), seed=0)
    asked = np.random.default_rng(1).uniform(-1, 1, (64, 2)).astype(np.float32)
    made = generated(generator, asked, np.random.default_rng(2))
    level, tilt = made.mean(axis=(1, 2)), made[:, :, 8:].mean(axis=(1, 2)) - made[:, :, :8].mean(axis=(1, 2))
    assert np.corrcoef(asked[:, 0], level)[0, 1] > 0.8
    assert np.corrcoef(asked[:, 1], tilt)[0, 1] > 0.8


@pytest.mark.parametrize("mismatched", [False, True])
def test_a_seed_gives_the_same_clips_and_draws_from_nobody_else(mismatched: bool) -> None:
    features, conditions = clips(32)
    settings = GanSettings(epochs=2, mismatched=mismatched)

    def made(seed: int) -> NDArray[np.float32]:
        generator = trained_generator(features, conditions, settings, seed)
        return generated(generator, conditions[:4], np.random.default_rng(0))

    before = torch.get_rng_state()
    np.testing.assert_array_equal(made(0), made(0))
    assert not np.array_equal(made(0), made(1))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.abs(made(0)).max() <= 1


def test_features_too_small_for_four_halvings_are_refused() -> None:
    features, conditions = clips(8)
    with pytest.raises(ValueError, match="16 frames x 12 mels are too small; 16 x 16 at least"):
        trained_generator(features[:, :, :12], conditions, GanSettings(), 0)
