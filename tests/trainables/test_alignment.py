"""Feature alignment: taps, projectors and what the distance measures."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from spaces.candidate import Student
from spaces.front_end import FrontEnd
from trainables.alignment import Alignment
from trainables.students import build_student

FRONT_END = FrontEnd(mels=32, hop_samples=320)
STUDENTS = (
    Student("tiny_conv", {"width": 8, "depth": 4, "depthwise": True}),
    Student("ds_cnn", {"width": 8, "depth": 2, "second_stride": 1}),
    Student("mobilenet_v3", {"multiplier": 0.1, "input_stride": 4}),
    Student("resnet18", {"width": 4}),
    Student("tcn", {"width": 8, "depth": 2}),
    Student("lstm", {"hidden": 8, "depth": 1}),
    Student("gru", {"hidden": 8, "depth": 2}),
    Student("mixednet", {"width": 8, "depth": 2, "stride": 2}),
    Student("wav2tiny", {"width": 8, "pool": "gram"}),
)


def features(clips: int = 3) -> torch.Tensor:
    return torch.randn(clips, 1, FRONT_END.frames, FRONT_END.mels)


@pytest.mark.parametrize("student", STUDENTS, ids=lambda student: student.kind)
def test_every_student_can_be_aligned(student: Student) -> None:
    network = build_student(student, FRONT_END, 2)
    alignment = Alignment(network, features(), [12, 16, 12])
    clips = features()
    outputs, maps = alignment.listen(network, clips)
    layers = [torch.randn(3, 10, width) for width in (12, 16, 12)]
    distance = alignment(maps, layers)
    distance.backward()
    assert outputs.shape == (3, 2)
    assert all(found.shape[2] > 1 for found in maps)
    assert any(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in network.parameters())


def test_taps_are_spread_and_end_at_the_deepest() -> None:
    network = nn.Sequential(*(layer for _ in range(6) for layer in (nn.Conv2d(1, 1, 1), nn.ReLU())))
    clips = torch.randn(2, 1, 5, 4)
    assert Alignment(network, clips, [4, 4, 4]).taps == ["3", "7", "11"]
    assert Alignment(network, clips, [4]).taps == ["11"]


def test_the_distance_is_to_the_normalised_states_of_each_step() -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU())
    clips, layer = torch.randn(2, 1, 10, 4), torch.randn(2, 5, 6) * 7 + 3
    alignment = Alignment(network, clips, [6])
    _, maps = alignment.listen(network, clips)
    # Ten steps to the teacher's five: pairs are averaged.
    steps = network(clips).mean(3).reshape(2, 3, 5, 2).mean(3).transpose(1, 2)
    (projector,) = alignment.projectors
    assert isinstance(projector, nn.Conv1d)
    projected = steps @ projector.weight[:, :, 0].T + projector.bias
    expected = (projected - functional.layer_norm(layer, (6,))).square().mean()
    assert torch.allclose(alignment(maps, [layer]), expected, atol=1e-5)


def test_listening_leaves_no_trace() -> None:
    network = build_student(STUDENTS[0], FRONT_END, 2)
    alignment = Alignment(network, features(), [4])
    alignment.listen(network, features())
    assert not any(module._forward_hooks for module in network.modules())
    assert network.training


def test_a_student_without_maps_is_refused() -> None:
    with pytest.raises(ValueError, match="alignment_weight: the student has no activation over time to align; use 0"):
        Alignment(nn.Sequential(nn.Flatten(), nn.Linear(20, 4), nn.ReLU()), torch.randn(2, 1, 5, 4), [4])
