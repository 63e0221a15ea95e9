"""The baby-cry DS-CNN: the source's exact weights and multiplications, and the family around it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spaces.baby_cry import YAMNET_FRONT_END
from spaces.candidate import Student
from trainables.students import build_student


def built(width: int, depth: int, outputs: int) -> nn.Module:
    return build_student(Student("cry_ds_cnn", {"width": width, "depth": depth}), YAMNET_FRONT_END, outputs).eval()


def multiplications(network: nn.Module) -> int:
    """Multiply-accumulates of all convolutions and dense layers, from the shapes that they put out."""
    found: list[int] = []

    def note(layer: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        found.append(output[0].numel() * layer.weight[0].numel())

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(note)
    network(torch.zeros(1, 1, 96, 64))
    return sum(found)


@pytest.mark.parametrize(("outputs", "trainable", "weights"), [(521, 79_977, 80_713), (2, 13_026, 13_762)])
def test_the_sources_students_weight_for_weight(outputs: int, trainable: int, weights: int) -> None:
    network = built(8, 4, outputs)
    learnt = sum(weight.numel() for weight in network.parameters())
    # Every batch normalisation also carries a mean and a variance, and torch a counter that the source does not count.
    carried = sum(value.numel() for value in network.buffers() if value.is_floating_point())
    assert (learnt, learnt + carried) == (trainable, weights)


def test_the_sources_multiplications() -> None:
    assert multiplications(built(8, 4, 521)) == 1_171_072


@given(width=st.sampled_from([4, 6, 8, 12, 16]), depth=st.integers(2, 5))
@settings(max_examples=12, deadline=None)
def test_the_family_doubles_in_width_and_stays_within_sixteenfold(width: int, depth: int) -> None:
    network = built(width, depth, 2)
    widths = [layer.out_channels for layer in network.modules() if isinstance(layer, nn.Conv2d) and layer.groups == 1]
    assert widths == [width * min(2**block, 16) for block in range(depth + 1)]
    trunk = nn.Sequential(*list(network.children())[:-2])
    halvings = min(depth, 4)
    assert trunk(torch.zeros(1, 1, 96, 64)).shape[2:] == (96 // 2**halvings, 64 // 2**halvings)
