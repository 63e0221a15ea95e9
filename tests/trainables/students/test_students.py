"""Students: exact parameter counts, shapes, and padding as TFLite does it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.candidate import Student
from spaces.front_end import FrontEnd
from trainables.students import build_student, kinds
from trainables.students.layers import SameConv2d, same_padding
from trainables.students.tiny_conv import from_channels


def count(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    ("channels", "depthwise", "parameters"),
    [
        ([16, 32, 64, 64], False, 60_530),
        ([16, 32, 64, 64], True, 8_514),
        ([64, 64, 64, 64], False, 111_810),
        ([64, 64, 64, 64], True, 15_618),
    ],
)
def test_tiny_conv_has_the_sources_parameters(channels: list[int], depthwise: bool, parameters: int) -> None:
    assert count(from_channels(channels, depthwise, 2)) == parameters


def test_built_tiny_conv_is_the_sources_default() -> None:
    student = Student("tiny_conv", {"width": 16, "depth": 4, "depthwise": False})
    assert count(build_student(student, FrontEnd(), 2)) == 60_530


def test_ds_cnn_counts_by_hand() -> None:
    stem, block, head = 9 * 4 * 8 + 16, (9 * 8 + 16) + (8 * 8 + 16), 8 * 2 + 2
    student = Student("ds_cnn", {"width": 8, "depth": 3, "second_stride": 2})
    assert count(build_student(student, FrontEnd(), 2)) == stem + 3 * block + head


@pytest.mark.parametrize("stride", [1, 2])
def test_ds_cnn_strides_only_once_more(stride: int) -> None:
    network = build_student(Student("ds_cnn", {"width": 8, "depth": 2, "second_stride": stride}), FrontEnd(), 2)
    maps = torch.nn.Sequential(*list(network.children())[:3])(torch.zeros(1, 1, 98, 40))
    assert maps.shape[2:] == ((49, 20) if stride == 1 else (25, 10))


def test_unknown_student_lists_those_there_are() -> None:
    assert kinds() == ["cry_ds_cnn", "ds_cnn", "tiny_conv", "wav2small", "wav2tiny"]
    with pytest.raises(ValueError, match=f"'mlp' is unknown; there are {', '.join(kinds())}"):
        build_student(Student("mlp", {}), FrontEnd(), 2)


@given(size=st.integers(1, 200), kernel=st.integers(1, 10), stride=st.integers(1, 3))
def test_padding_gives_ceil_of_size_over_stride(size: int, kernel: int, stride: int) -> None:
    before, after = same_padding(size, kernel, stride)
    assert 0 <= after - before <= 1
    if kernel >= stride:
        assert (size + before + after - kernel) // stride + 1 == -(-size // stride)


@given(height=st.integers(5, 30), width=st.integers(5, 30), stride=st.sampled_from([1, 2]))
@settings(max_examples=30, deadline=None)
def test_same_convolution_is_padding_then_convolution(height: int, width: int, stride: int) -> None:
    layer = SameConv2d(1, 3, (3, 3), (stride, stride))
    maps = torch.randn(2, 1, height, width)
    (top, bottom), (left, right) = same_padding(height, 3, stride), same_padding(width, 3, stride)
    padded = torch.nn.functional.pad(maps, (left, right, top, bottom))
    expected = torch.nn.functional.conv2d(padded, layer.weight, stride=stride)
    torch.testing.assert_close(layer(maps), expected)
