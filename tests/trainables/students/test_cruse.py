"""CRUSE: published sizes, layers by the book, steps that give what whole clips give, and INT8 that TFLM runs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from export.footprint import footprint_of
from export.operators import read_model
from export.streaming import Int8Stream, int8_outputs, states_of
from spaces.board import load_board
from spaces.candidate import Scalar, Student
from spaces.speech_enhancement import BOARD, BUDGET, FRONT_END, PARAMETERS, SIZES
from tests.export.tflm_codes import micro_codes
from trainables.conversion import int8_student, streaming_difference
from trainables.distil import logits_of
from trainables.students import build_student
from trainables.students.cruse import Cruse, Up
from trainables.students.streaming import stepped

TINY: dict[str, Scalar] = {"width": 4, "depth": 4, "top": 8, "groups": 2, "slope": 0.2}


def cruse(**changes: Scalar) -> Cruse:
    student = build_student(Student("cruse", {**TINY, **changes}), FRONT_END, 161)
    assert isinstance(student, Cruse)
    return student


def sized(size: str) -> Cruse:
    return cruse(**{name.removeprefix("cruse_"): value for name, value in SIZES[size].items()})


def count(network: nn.Module) -> int:
    return sum(weights.numel() for weights in network.parameters())


@pytest.mark.parametrize("size", list(SIZES))
def test_sizes_are_the_published_ones_within_two_percent(size: str) -> None:
    assert count(sized(size)) == pytest.approx(PARAMETERS[size], rel=0.02)


def test_parameters_are_those_of_the_published_layers() -> None:
    channels, bins, groups = [1, 5, 10, 20, 21, 21], 6, (11, 10)
    pairs = list(pairwise(channels))
    down = sum(count(nn.Conv2d(*pair, (2, 3))) for pair in pairs)
    up = sum(count(nn.ConvTranspose2d(own, below, (2, 3))) for below, own in pairs)
    grus = sum(count(nn.GRU(bins * own, bins * own)) for own in groups)
    assert count(sized("62K")) == down + up + grus + sum(channels[1:])


@given(
    width=st.integers(2, 5),
    depth=st.integers(1, 6),
    top=st.integers(3, 9),
    groups=st.integers(1, 2),
    slope=st.sampled_from([0.0, 0.2]),
    frames=st.integers(1, 5),
)
@settings(max_examples=15, deadline=None)
def test_steps_give_what_whole_clips_give(
    width: int, depth: int, top: int, groups: int, slope: float, frames: int
) -> None:
    student = cruse(width=width, depth=depth, top=top, groups=groups, slope=slope).eval()
    clips = torch.randn(2, frames, 161)
    masks, inputs = stepped(student, clips)
    assert masks.shape == (2, frames, 161)
    torch.testing.assert_close(masks, student(clips.unsqueeze(1)), rtol=1e-4, atol=1e-6)
    assert [tuple(state.shape) for state in inputs[0][1:]] == [tuple(s.shape) for s in student.initial_states(2)]
    assert float(masks.min()) >= 0 and float(masks.max()) <= 1


def test_a_frame_hears_no_later_one() -> None:
    student, clips = cruse().eval(), torch.randn(1, 1, 8, 161)
    later = clips.clone()
    later[:, :, 5:] += 1
    before, after = student(clips), student(later)
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.equal(before[:, 5], after[:, 5])


@pytest.mark.parametrize("bins", [161, 80])
def test_the_way_up_is_a_transposed_convolution(bins: int) -> None:
    layer, maps = Up(3, 2, bins), torch.randn(4, 6, 1, -(-bins // 2))
    torch.testing.assert_close(layer.step(maps), layer(maps), rtol=1e-4, atol=1e-5)
    assert layer(maps).shape == (4, 2, 1, bins)


def test_training_and_evaluation_are_one_function() -> None:
    student, clips = cruse(), torch.randn(2, 1, 5, 161)
    torch.testing.assert_close(student.train()(clips), student.eval()(clips), rtol=1e-4, atol=1e-6)


def test_maps_are_named_with_their_bins() -> None:
    student = sized("30K")
    maps = student.maps(torch.randn(2, 1, 4, 161))
    assert {name: own.shape[3] for name, own in maps.items() if name != "mask"} == student.bins_of_maps()
    assert maps["mask"].shape == (2, 4, 161)


def test_more_groups_than_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="groups: 9 must lie within 1-8, the channels of the deepest layer"):
        cruse(groups=9)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The given buffer is not writable")
def test_int8_steps_follow_float_and_run_in_the_micro_interpreter() -> None:
    torch.manual_seed(0)
    student = cruse(depth=5).eval()
    clips = np.random.default_rng(0).normal(size=(16, 60, 161)).astype(np.float32)
    with torch.no_grad():
        for weights in student.parameters():
            weights.mul_(1.5)
    model = int8_student(student, clips)
    float32, int8 = logits_of(student, clips), int8_outputs(model, clips, every_step=True)
    difference = streaming_difference(student, clips, float32, int8)
    assert difference["float_largest"] < 1e-5
    assert difference["int8_mean"] < 0.02 * np.ptp(float32)
    main = read_model(model).main
    assert {tensor.dtype for tensor in main.tensors if not tensor.constant} == {"int8"}
    # Copies of states in the scale that they have already are gone.
    assert sum(operator.kind == "QUANTIZE" for operator in main.operators) <= 2
    assert len(states_of(model)) == len(student.initial_states(1))
    ours = Int8Stream(model)
    codes = ours.quantized(clips[:2])
    distance = np.abs(micro_codes(model, codes) - ours.codes(clips[:2]))
    # After 60 frames: a step that is rounded another way comes back through the states.
    assert distance.max() <= 8
    assert distance.mean() < 0.5
    assert np.array_equal(ours.running(clips[:3])[:, -1], ours.outputs(clips[:3]))


@pytest.mark.slow
def test_the_default_student_keeps_up_with_its_hop() -> None:
    student = sized("62K")
    clips = np.random.default_rng(0).normal(size=(4, 10, 161)).astype(np.float32)
    footprint = footprint_of(int8_student(student, clips), load_board(BOARD), FRONT_END)
    assert footprint.decision_high_ms < BUDGET.latency_ms == FRONT_END.hop_ms
    assert BUDGET.fits(footprint)
