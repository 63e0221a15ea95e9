"""Convolutions over the waveform: parameters by hand, and the stem as a 1-D convolution of the samples."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.candidate import Student
from spaces.front_end import FrontEnd
from trainables.students import build_student


def waveform(samples_per_frame: int, clip_seconds: float = 2.0) -> FrontEnd:
    return FrontEnd(
        kind="waveform",
        clip_seconds=clip_seconds,
        hop_samples=samples_per_frame,
        window_samples=samples_per_frame,
    )


def built(front_end: FrontEnd, width: int, depth: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_student(Student("raw_conv", {"width": width, "depth": depth}), front_end, 7).eval()


def test_parameters_by_hand() -> None:
    def block(inputs: int, outputs: int) -> int:
        return 3 * inputs + 2 * inputs + inputs * outputs + 2 * outputs

    stem, head = 2 * 32 * 16 + 2 * 16, 64 * 7 + 7
    expected = stem + block(16, 32) + block(32, 64) + 3 * block(64, 64) + head
    assert sum(weight.numel() for weight in built(waveform(32), 16, 5).parameters()) == expected


@given(stride=st.sampled_from([16, 32, 64]), width=st.sampled_from([8, 16]))
@settings(max_examples=6, deadline=None)
def test_the_stem_is_a_convolution_along_the_samples(stride: int, width: int) -> None:
    front_end = waveform(stride, 0.5)
    stem = next(built(front_end, width, 3).children())
    assert isinstance(stem, torch.nn.Sequential) and isinstance(stem[1], torch.nn.Conv2d)
    conv, norm = stem[1], stem[2]
    samples = torch.randn(3, front_end.clip_samples)
    kernel = conv.weight[..., 0].transpose(1, 2).reshape(width, 1, 2 * stride)
    along = torch.nn.functional.conv1d(samples[:, None], kernel, stride=stride)
    found = stem(samples.reshape(3, 1, front_end.frames, stride))
    torch.testing.assert_close(found, norm(along[..., None]).relu())


@pytest.mark.parametrize("clip_seconds", [1.0, 1.5, 2.0])
def test_every_clip_length_and_step_gives_logits(clip_seconds: float) -> None:
    for stride in (16, 32, 64):
        front_end = waveform(stride, clip_seconds)
        assert front_end.frames * stride == front_end.clip_samples
        clips = torch.zeros(2, 1, front_end.frames, front_end.values_per_frame)
        assert built(front_end, 8, 6)(clips).shape == (2, 7)
