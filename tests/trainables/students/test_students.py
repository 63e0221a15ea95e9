"""Students: exact parameter counts, shapes, and padding as TFLite does it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FixedTrial

from spaces import recipe_space
from spaces.candidate import Scalar, Student
from spaces.front_end import FrontEnd
from spaces.narrowed import parameters
from spaces.wakeword_students import student
from trainables.students import build_student, kinds
from trainables.students.layers import SameConv2d, same_padding
from trainables.students.mobilenet_v3 import scaled
from trainables.students.tcn import TemporalBlock


def count(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def from_space(chosen: Mapping[str, Scalar]) -> Student:
    """The student that the wake-word space makes of these parameters, which it must hold."""
    known = parameters(recipe_space("wakeword"))
    assert all(known[name]._contains(known[name].to_internal_repr(value)) for name, value in chosen.items())
    return student(FixedTrial(dict(chosen)))


@pytest.mark.parametrize(
    ("kind", "width", "depthwise", "parameters"),
    [
        ("tiny_conv", 16, False, 60_530),
        ("tiny_conv", 16, True, 8_514),
        ("mcu_tiny", 64, False, 111_810),
        ("mcu_tiny", 64, True, 15_618),
    ],
)
def test_the_space_reaches_the_sources_tiny_convs(kind: str, width: int, depthwise: bool, parameters: int) -> None:
    chosen: dict[str, Scalar] = {
        "student": kind,
        f"{kind}_width": width,
        f"{kind}_depth": 4,
        f"{kind}_depthwise": depthwise,
    }
    assert count(build_student(from_space(chosen), FrontEnd(), 2)) == parameters


@pytest.mark.parametrize(
    ("chosen", "mels", "outputs", "parameters"),
    [
        # torchvision's counts, less two of three input channels: of 3x3 to 16, of 7x7 to 64.
        (("mobilenet_v3", {"multiplier": 1.0, "input_stride": 2}), 40, 1000, 2_542_856 - 2 * 9 * 16),
        (("resnet18", {"width": 64}), 40, 1000, 11_689_512 - 2 * 49 * 64),
        # sarpel/wakeword-training-platform's at its defaults.
        (("tcn", {"width": 64, "depth": 3}), 64, 2, 435_970),
    ],
)
def test_full_sizes_have_the_published_parameters(
    chosen: tuple[str, dict[str, Scalar]], mels: int, outputs: int, parameters: int
) -> None:
    kind, arguments = chosen
    known = from_space({"student": kind, **{f"{kind}_{name}": value for name, value in arguments.items()}})
    assert count(build_student(known, FrontEnd(mels=mels), outputs)) == parameters


def test_mobilenet_widths_are_the_papers() -> None:
    assert [scaled(16, 0.75), scaled(24, 0.35), scaled(96, 0.1), scaled(11, 1.0)] == [16, 8, 16, 16]


@given(frames=st.integers(8, 60), dilation=st.sampled_from([1, 2, 4, 8]))
@settings(max_examples=30, deadline=None)
def test_a_temporal_block_is_two_dilated_causal_convolutions(frames: int, dilation: int) -> None:
    frames -= frames % dilation
    block = TemporalBlock(5, 3, dilation).eval()
    first, second = (layer for layer in block.layers if isinstance(layer, torch.nn.Conv2d))
    clips = torch.randn(2, 5, frames)
    inner = clips
    for layer in (first, second):
        padded = torch.nn.functional.pad(inner, (2 * dilation, 0))
        inner = torch.nn.functional.conv1d(padded, layer.weight[..., 0], layer.bias, dilation=dilation).relu()
    assert isinstance(block.shortcut, torch.nn.Conv2d)
    shortcut = torch.nn.functional.conv1d(clips, block.shortcut.weight[..., 0], block.shortcut.bias)
    torch.testing.assert_close(block(clips.unsqueeze(-1)).flatten(2), (inner + shortcut).relu())


def test_ds_cnn_counts_by_hand() -> None:
    stem, block, head = 9 * 4 * 8 + 16, (9 * 8 + 16) + (8 * 8 + 16), 8 * 2 + 2
    ds_cnn = Student("ds_cnn", {"width": 8, "depth": 3, "second_stride": 2})
    assert count(build_student(ds_cnn, FrontEnd(), 2)) == stem + 3 * block + head


@pytest.mark.parametrize("stride", [1, 2])
def test_ds_cnn_strides_only_once_more(stride: int) -> None:
    network = build_student(Student("ds_cnn", {"width": 8, "depth": 2, "second_stride": stride}), FrontEnd(), 2)
    maps = torch.nn.Sequential(*list(network.children())[:3])(torch.zeros(1, 1, 98, 40))
    assert maps.shape[2:] == ((49, 20) if stride == 1 else (25, 10))


def test_unknown_student_lists_those_there_are() -> None:
    convolutional = ["ds_cnn", "mcu_tiny", "mobilenet_v3", "resnet18", "tcn", "tiny_conv", "wav2small", "wav2tiny"]
    assert kinds() == sorted(
        [*convolutional, "cruse", "cry_ds_cnn", "gru", "lstm", "mixednet", "mobile_vit", "raw_conv"]
    )
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
