"""Wav2Tiny and Wav2Small: published counts, pools against their definitions, INT8 in batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from export.operators import read_model
from export.tflite import Int8Model, float_tflite, int8_tflite
from spaces.candidate import Student
from spaces.front_end import FrontEnd
from trainables.students import build_student
from trainables.students.layers import Halve
from trainables.students.wav2tiny import HOP, N_FFT, POOLS, FrameAndGram, Gated, Published, pooled_linear, trunk

PUBLISHED_FRONT_END = FrontEnd(clip_seconds=2.0, hop_samples=256, mels=26)
SMALL = FrontEnd(clip_seconds=0.5, hop_samples=320, mels=10)


def count(network: nn.Module, trained: bool = False) -> int:
    return sum(w.numel() for w in network.parameters() if w.requires_grad or not trained)


def linear(layer: nn.Module, vectors: torch.Tensor) -> torch.Tensor:
    """What a convolution over a whole axis is to vectors."""
    assert isinstance(layer, nn.Conv2d)
    return nn.functional.linear(vectors, layer.weight.flatten(1), layer.bias)


def built(kind: str, pool: str, width: int = 13, front_end: FrontEnd = PUBLISHED_FRONT_END) -> nn.Module:
    torch.manual_seed(0)
    return build_student(Student(kind, {"width": width, "pool": pool}), front_end, 7).eval()


def test_the_published_net_has_its_published_parameters() -> None:
    published = Published()
    assert count(published) == 15_879
    assert count(published, trained=True) == 10_797
    assert published(torch.randn(2, 16_000)).shape == (2, 7)


def test_the_deployed_net_is_the_published_one_without_its_front_end() -> None:
    assert count(built("wav2tiny", "mean")) == 10_797
    published = {name: tuple(w.shape) for name, w in Published().net.named_parameters()}
    assert {name: tuple(w.shape) for name, w in built("wav2tiny", "mean").named_parameters()} == published


def test_softmax_attention_of_the_paper_and_our_gate_have_the_same_parameters() -> None:
    assert count(built("wav2tiny", "attention")) + 5_082 == 73_339


def test_wav2small_has_ninety_thousand_parameters() -> None:
    with_front_end = count(built("wav2small", "attention")) + 5_082
    assert with_front_end == 89_856
    assert abs(with_front_end / 90_000 - 1) < 0.01


def test_the_frozen_front_end_is_a_short_time_fourier_transform() -> None:
    audio = torch.randn(3, 4_000, generator=torch.Generator().manual_seed(0)) * 0.1 + 0.02
    published = Published()
    normal = (audio - audio.mean(1, keepdim=True)) / audio.std(1, keepdim=True)
    spectrum = torch.stft(normal, N_FFT, HOP, window=torch.hann_window(N_FFT), center=False, return_complex=True)
    expected = spectrum.abs().square().transpose(1, 2) @ published.filters
    torch.testing.assert_close(published.mel_energies(audio), expected, rtol=1e-3, atol=1e-3)
    assert not published.stft.requires_grad
    assert not published.filters.requires_grad


def test_halving_is_torchs_padded_maximum_where_nothing_is_negative() -> None:
    maps = torch.rand(2, 3, 25, 26)
    torch.testing.assert_close(Halve()(maps), nn.functional.max_pool2d(maps, 3, 2, padding=1))


def test_mean_pool_is_the_mean_then_the_linear_layer() -> None:
    maps = torch.randn(2, 4, 9, 5)
    pooled = pooled_linear("mean", 4, 10, 7)
    torch.testing.assert_close(pooled(maps), linear(pooled[0], maps.mean(2).flatten(1)))


def test_the_gate_is_two_linear_maps_of_each_frame() -> None:
    maps, gated = torch.randn(2, 4, 9, 5), Gated(4, 5)
    frames = maps.transpose(1, 2).flatten(2)
    gate, value = linear(gated.gate, frames), linear(gated.value, frames)
    torch.testing.assert_close(gated(maps)[..., 0].transpose(1, 2), torch.sigmoid(gate) * value)


@given(channels=st.integers(2, 8), frames=st.integers(1, 12), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_gram_pool_is_linear_in_frames_and_their_gram_matrix(channels: int, frames: int, seed: int) -> None:
    torch.manual_seed(seed)
    maps, layer = torch.randn(2, channels, frames, 5), FrameAndGram(channels, 5, 3)
    means = maps.mean(3)
    gram = means @ means.transpose(1, 2) / frames
    rows, columns = torch.triu_indices(channels, channels)
    expected = linear(layer.of_frame, maps.mean(2).flatten(1)) + linear(layer.of_gram, gram[:, rows, columns])
    torch.testing.assert_close(layer(maps).mean((2, 3)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 49, 50])
@pytest.mark.parametrize("mels", [26, 40, 7])
def test_the_trunk_halves_both_axes_upwards(frames: int, mels: int) -> None:
    assert trunk(4)(torch.zeros(1, 1, frames, mels)).shape == (1, 4, -(-frames // 2), -(-mels // 2))


def test_an_unknown_pool_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match="pool: 'max' is unknown; there are mean, attention, gram"):
        pooled_linear("max", 8, 26, 7)


@pytest.mark.parametrize("kind", ["wav2tiny", "wav2small"])
@pytest.mark.parametrize("pool", POOLS)
def test_int8_agrees_in_batches(kind: str, pool: str) -> None:
    network = built(kind, pool, 8, SMALL)
    clips = np.random.default_rng(0).standard_normal((24, SMALL.frames, SMALL.mels)).astype(np.float32)
    model = int8_tflite(float_tflite(network, (1, SMALL.frames, SMALL.mels)), clips[..., None])
    with torch.no_grad():
        expected = network(torch.from_numpy(clips)[:, None]).numpy()
    together, alone = Int8Model(model, batch=8), Int8Model(model, batch=1)
    np.testing.assert_array_equal(together.codes(clips), alone.codes(clips))
    assert np.abs(together.outputs(clips) - expected).mean() < 0.05 * np.ptp(expected)
    assert not {"RESHAPE", "TRANSPOSE", "BATCH_MATMUL"} & {op.kind for op in read_model(model).main.operators}
