"""Pruning to a narrower student of the same kind: which channels stay, exact widths, refusals."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spaces.candidate import Student
from spaces.front_end import FrontEnd
from spaces.wakeword_students import PRUNABLE
from trainables.pruning import prune, wider
from trainables.students import build_student

FRONT_END = FrontEnd(hop_samples=320, mels=20)
STUDENTS = {
    "tiny_conv": Student("tiny_conv", {"width": 8, "depth": 4, "depthwise": False}),
    "mcu_tiny": Student("mcu_tiny", {"width": 8, "depth": 4, "depthwise": True}),
    "ds_cnn": Student("ds_cnn", {"width": 16, "depth": 2, "second_stride": 2}),
    "resnet18": Student("resnet18", {"width": 5}),
    "tcn": Student("tcn", {"width": 8, "depth": 3}),
}


def example(clips: int = 2) -> torch.Tensor:
    return torch.randn(clips, 1, FRONT_END.frames, FRONT_END.mels, generator=torch.Generator().manual_seed(0))


def test_every_prunable_kind_is_tried_here() -> None:
    assert set(STUDENTS) == PRUNABLE


@pytest.mark.parametrize("factor", [1.5, 2.0])
@pytest.mark.parametrize("kind", STUDENTS)
def test_a_wide_student_becomes_the_slim_one(kind: str, factor: float) -> None:
    torch.manual_seed(0)
    slim, wide = (build_student(student, FRONT_END, 2) for student in (STUDENTS[kind], wider(STUDENTS[kind], factor)))
    shapes = {name: value.shape for name, value in slim.state_dict().items()}
    assert sum(weight.numel() for weight in wide.parameters()) > sum(weight.numel() for weight in slim.parameters())
    prune(wide, slim, example())
    assert {name: value.shape for name, value in slim.state_dict().items()} == shapes
    assert torch.equal(slim.eval()(example(5)), wide.eval()(example(5)))


def test_channels_without_effect_go_and_the_outputs_stay() -> None:
    torch.manual_seed(0)
    first, second = nn.Conv2d(1, 6, 3, bias=False), nn.Conv2d(6, 2, 6)
    norm, slim_first = nn.BatchNorm2d(6), nn.Conv2d(1, 4, 3, bias=False)
    wide = nn.Sequential(first, norm, nn.ReLU(), second, nn.Flatten())
    slim = nn.Sequential(slim_first, nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 6), nn.Flatten())
    with torch.no_grad():
        first.weight[[1, 4]] = 0
        norm.weight[[1, 4]] = 0
        second.weight[:, [1, 4]] = 0
    features = torch.randn(3, 1, 8, 8)
    expected, kept = wide.eval()(features), first.weight[[0, 2, 3, 5]].detach()
    prune(wide, slim, features)
    assert torch.equal(slim_first.weight, kept)
    assert torch.allclose(slim.eval()(features), expected, atol=1e-6)


def test_wider_students_by_their_arguments() -> None:
    assert wider(STUDENTS["ds_cnn"], 1.5).arguments == {"width": 24, "depth": 2, "second_stride": 2}
    assert wider(STUDENTS["resnet18"], 1.5).arguments == {"width": 8}
    with pytest.raises(ValueError, match="prune_from: a gru has no width; use 1"):
        wider(Student("gru", {"hidden": 8, "depth": 1}), 2.0)
