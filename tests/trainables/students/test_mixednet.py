"""MixedNet: its parameters by hand, its blocks beside causal convolutions, its steps beside whole clips."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from spaces.candidate import Student
from spaces.front_end import FrontEnd
from trainables.students import build_student
from trainables.students.mixednet import MixedBlock, MixedNet
from trainables.students.streaming import stepped


def mixednet(width: int, depth: int, stride: int, mels: int = 20) -> MixedNet:
    student = Student("mixednet", {"width": width, "depth": depth, "stride": stride})
    network = build_student(student, FrontEnd(mels=mels), 2)
    assert isinstance(network, MixedNet)
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(norm.bias, -0.5, 0.5)
    return network.eval()


def test_parameters_by_hand() -> None:
    first = 3 * 20 * 16 + 2 * 16 + 5 * 16
    second = 16 * 16 + 2 * 16 + (7 + 11) * 8
    head = 2 * 16 + 16 * 2 + 2
    assert sum(weight.numel() for weight in mixednet(16, 2, 3).parameters()) == first + second + head


@given(depth=st.integers(1, 4), stride=st.integers(1, 3), frames=st.integers(3, 40))
@settings(max_examples=25, deadline=None)
def test_steps_end_where_the_whole_clip_does(depth: int, stride: int, frames: int) -> None:
    network, clips = mixednet(8, depth, stride), torch.randn(3, frames, 20)
    logits, inputs = stepped(network, clips)
    torch.testing.assert_close(logits, network(clips.unsqueeze(1)), rtol=1e-4, atol=1e-5)
    assert len(inputs) == frames // stride


@given(steps=st.integers(1, 30))
@settings(max_examples=20, deadline=None)
def test_a_block_is_causal_convolutions_side_by_side(steps: int) -> None:
    block = MixedBlock(6, 4, (3, 5)).eval()
    maps = torch.randn(2, 6, steps, 1)
    states = [torch.zeros(2, length - 1, 1, channels) for length, channels in block.histories]
    expected = []
    for pointwise, depthwise, length in zip(block.pointwise, block.depthwise, (3, 5), strict=True):
        assert isinstance(depthwise, torch.nn.Conv2d)
        padded = functional.pad(pointwise(maps)[..., 0], (length - 1, 0))
        expected.append(functional.conv1d(padded, depthwise.weight[..., 0], groups=2))
    found, after = block(maps, states)
    torch.testing.assert_close(found[..., 0], torch.cat(expected, dim=1))
    assert [state.shape for state in after] == [state.shape for state in states]


def test_the_clips_last_frames_fill_the_last_step() -> None:
    clips = torch.arange(8.0).reshape(1, 8, 1)
    assert [step.flatten().tolist() for step in mixednet(8, 1, 3, mels=1).frames(clips)] == [[2, 3, 4], [5, 6, 7]]
