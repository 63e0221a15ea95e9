"""Templates: other weights put into a converted file give the bytes that converting them gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from export.tflite import float_tflite
from spaces.candidate import Student
from spaces.front_end import FrontEnd
from trainables.conversion import float_student, int8_student
from trainables.conversion_template import converted_once, with_distinct_weights
from trainables.students import build_student

FRONT_END = FrontEnd(clip_seconds=0.6, hop_samples=320, mels=16)
SHAPE = (FRONT_END.frames, FRONT_END.mels)
# Folded normalisations, depthwise layers, gates of a recurrent layer, a normalisation that nothing takes in.
STUDENTS = {
    "separable": Student("tiny_conv", {"width": 8, "depth": 3, "depthwise": True}),
    "gates": Student("lstm", {"hidden": 8, "depth": 1}),
    "streaming": Student("mixednet", {"width": 8, "depth": 2, "stride": 3}),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POTSTILL_CACHE", str(tmp_path))
    return tmp_path


def with_weights(network: nn.Module, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor))
    return network.eval()


class Counted:
    """A converter that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, network: nn.Module) -> bytes:
        self.calls += 1
        return float_student(network, *SHAPE)


@pytest.mark.parametrize("kind", STUDENTS)
def test_the_bytes_are_those_of_a_conversion(kind: str) -> None:
    convert = Counted()
    made = [with_weights(build_student(STUDENTS[kind], FRONT_END, 3), seed) for seed in (1, 2)]
    first, second = (converted_once(kind, network, convert) for network in made)
    assert convert.calls == 1
    assert first != second
    assert second == convert(made[1])


class Doubled(nn.Module):
    """Its weights reach the file as no tensor of it."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(SHAPE[0] * SHAPE[1], 3)

    def forward(self, clips: Tensor) -> Tensor:
        return nn.functional.linear(clips.flatten(1), 2 * self.dense.weight + 1, self.dense.bias)


def test_where_a_constant_has_no_source_every_network_is_converted() -> None:
    calls = []

    def convert(network: nn.Module) -> bytes:
        calls.append(network)
        return float_tflite(network, (1, *SHAPE))

    network = with_weights(Doubled(), 1)
    expected = float_tflite(network, (1, *SHAPE))
    for architecture in ("doubled", "doubled", "another of the same layers"):
        assert converted_once(architecture, network, convert) == expected
    assert calls[1:] == [network, network, network]


def test_int8_is_the_same_with_and_without_a_template() -> None:
    network = with_weights(build_student(STUDENTS["separable"], FRONT_END, 2), 3)
    clips = np.random.default_rng(0).normal(size=(8, *SHAPE)).astype(np.float32)
    assert int8_student(network, clips, architecture=["a", 2]) == int8_student(network, clips)


def test_making_a_template_draws_no_random_number_and_changes_no_weight() -> None:
    network = build_student(STUDENTS["separable"], FRONT_END, 2).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.manual_seed(5)
    converted_once("x", network, lambda example: float_tflite(example, (1, *SHAPE)))
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_distinct_weights_are_distinct() -> None:
    network = with_distinct_weights(build_student(STUDENTS["separable"], FRONT_END, 2))
    tensors = [tensor.numpy().tobytes() for tensor in network.state_dict().values() if tensor.is_floating_point()]
    assert len(set(tensors)) == len(tensors)
