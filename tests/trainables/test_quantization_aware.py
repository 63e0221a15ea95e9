"""Students that train on what INT8 leaves: placement of every tensor, ranges in the .tflite, agreement with it."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from export.operators import Quantization, read_model
from export.scales import TrainedRanges, activation_tensors, deciders, tensor_values
from export.streaming import states_of
from export.tflite import float_tflite
from spaces.candidate import Student
from spaces.front_end import FrontEnd
from tests.export.tflm_codes import host_model, micro_codes
from trainables.conversion import float_student, int8_student
from trainables.distil import logits_of
from trainables.folded_graph import folded_graph, runnable
from trainables.quantization_aware import ActivationRange, QuantizationAware
from trainables.students import build_student
from trainables.students.streaming import StreamingStudent

FRONT_END = FrontEnd(hop_samples=320, mels=20)
STUDENTS = {
    "tiny_conv": Student("tiny_conv", {"width": 8, "depth": 4, "depthwise": False}),
    "mcu_tiny": Student("mcu_tiny", {"width": 8, "depth": 4, "depthwise": True}),
    "ds_cnn": Student("ds_cnn", {"width": 16, "depth": 2, "second_stride": 2}),
    "resnet18": Student("resnet18", {"width": 4}),
    "tcn": Student("tcn", {"width": 8, "depth": 2}),
    "mobilenet_v3": Student("mobilenet_v3", {"multiplier": 0.1, "input_stride": 4}),
    "lstm": Student("lstm", {"hidden": 8, "depth": 1}),
    "gru": Student("gru", {"hidden": 8, "depth": 1}),
    "mixednet": Student("mixednet", {"width": 16, "depth": 2, "stride": 3}),
    "wav2tiny": Student("wav2tiny", {"width": 13, "pool": "attention"}),
}
FAST = {"tiny_conv", "gru"}
# Mean steps of the output: where a value lies between two codes, integers and floats may take different ones, and in
# 20 layers that adds up.
STEPS = {"resnet18": 3.0}
CASES = [pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in STUDENTS]


@dataclass(frozen=True)
class Case:
    """A student that has heard clips, the same on INT8 ranges narrower than its extremes, and its .tflite."""

    kind: str
    student: nn.Module
    aware: QuantizationAware
    clips: NDArray[np.float32]
    model: bytes


def heard(kind: str) -> tuple[nn.Module, NDArray[np.float32]]:
    torch.manual_seed(1)
    student = build_student(STUDENTS[kind], FRONT_END, 2)
    clips = np.random.default_rng(0).normal(size=(64, FRONT_END.frames, FRONT_END.mels)).astype(np.float32)
    with torch.no_grad():
        for module in student.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 2.0)
                module.bias.normal_(std=0.2)
        for _ in range(30):
            student.train()(torch.from_numpy(clips).unsqueeze(1))
    return student.eval(), clips


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    student, clips = heard(request.param)
    aware = QuantizationAware(student, FRONT_END.frames, FRONT_END.mels).eval()
    aware.collect(torch.from_numpy(clips).unsqueeze(1))
    with torch.no_grad():
        for point in aware.modules():
            if isinstance(point, ActivationRange):
                point.low.mul_(0.9)
                point.high.mul_(0.8)
    model = int8_student(student, clips, aware.trained_ranges())
    return Case(request.param, student, aware, clips, model)


def test_every_tensor_of_the_file_has_its_place(case: Case) -> None:
    placement = case.aware.placement
    decided = {tensor for tensors in placement.tensors.values() for tensor in tensors}
    assert len(decided) + len(placement.fixed) == len(placement.shapes)
    # The converter's own padding has its input's range.
    assert placement.tensors.keys().isdisjoint(placement.unmatched)


def test_scales_of_the_file_are_those_of_the_ranges(case: Case) -> None:
    trained = case.aware.trained_ranges()
    tensors = activation_tensors(float_student(case.student, FRONT_END.frames, FRONT_END.mels))
    found = read_model(case.model).main.tensors
    for number, (low, high) in trained.bounds.items():
        quantization = found[tensors[number].index].quantization
        assert quantization is not None
        assert quantization.scales[0] == pytest.approx((max(high, 0.0) - min(low, 0.0)) / 255, rel=1e-6)
        zero_point = round(-128 - min(low, 0.0) / quantization.scales[0])
        assert abs(quantization.zero_points[0] - zero_point) <= 1
    states = case.student.initial_states(1) if isinstance(case.student, StreamingStudent) else ()
    assert len(states_of(case.model)) == len(states)


def test_the_file_gives_what_the_rounded_student_gives(case: Case) -> None:
    expected = logits_of(case.aware, case.clips)
    ours = host_model(case.model)
    (scale, zero_point) = _output_scale(case.model)
    for codes in (ours.codes(case.clips), micro_codes(case.model, ours.quantized(case.clips[:24]))):
        steps = np.abs((codes.astype(np.float32) - zero_point) - expected[: len(codes)] / scale)
        assert steps.mean() < STEPS.get(case.kind, 1.0)
        assert steps.max() < 10 * STEPS.get(case.kind, 1.0)
    plain, int8 = logits_of(case.student, case.clips), ours.outputs(case.clips)
    assert np.abs(int8 - expected).mean() < 0.7 * np.abs(int8 - plain).mean()


def _output_scale(model: bytes) -> tuple[float, int]:
    main = read_model(model).main
    quantization = main.tensors[main.outputs[0]].quantization
    assert quantization is not None
    return quantization.scales[0], quantization.zero_points[0]


def test_every_weight_learns(case: Case) -> None:
    student = copy.deepcopy(case.aware).train()
    student(torch.from_numpy(case.clips[:8]).unsqueeze(1))[:, 0].sum().backward()
    assert [name for name, weight in student.student.named_parameters() if weight.grad is None] == []


def test_without_rounding_the_graph_is_the_student() -> None:
    student, clips = heard("tiny_conv")
    features = torch.from_numpy(clips).unsqueeze(1)
    graph = runnable(folded_graph(student, (features[:2],)), student)
    assert torch.allclose(graph(features)[0], student(features), atol=1e-5)


def test_a_copy_and_its_state_give_the_same() -> None:
    student, clips = heard("ds_cnn")
    features = torch.from_numpy(clips).unsqueeze(1)
    aware = QuantizationAware(student, FRONT_END.frames, FRONT_END.mels)
    aware.collect(features)
    twin = copy.deepcopy(aware)
    assert twin.student is not aware.student
    aware.train()(features * 2)
    assert not torch.equal(twin.eval()(features), aware.eval()(features))
    twin.load_state_dict(aware.state_dict())
    assert torch.equal(twin(features), aware(features))
    assert aware.student is student


def test_placement_depends_on_the_architecture_alone() -> None:
    first, _ = heard("ds_cnn")
    second = build_student(STUDENTS["ds_cnn"], FRONT_END, 2)
    placements = [QuantizationAware(network, FRONT_END.frames, FRONT_END.mels).placement for network in (first, second)]
    assert placements[0] == placements[1]


def test_ranges_follow_training_batches_and_rest_in_evaluation() -> None:
    point = ActivationRange()
    point.collecting = True
    assert torch.equal(point(torch.tensor([-1.0, 3.0])), torch.tensor([-1.0, 3.0]))
    point.collecting = False
    point.eval()(torch.tensor([-9.0, 9.0]))
    assert (point.low.item(), point.high.item()) == (-1.0, 3.0)
    point.train()(torch.tensor([-2.0, 2.0]))
    assert [point.low.item(), point.high.item()] == pytest.approx([-2.0, 2.99])


def test_deciders_of_a_pool_and_of_what_stands_alone() -> None:
    student, _ = heard("tiny_conv")
    clip = np.random.default_rng(0).normal(size=(1, FRONT_END.frames, FRONT_END.mels, 1)).astype(np.float32)
    model = float_tflite(student, (1, FRONT_END.frames, FRONT_END.mels))
    found = deciders(model, (clip,))
    kinds = [operator.kind for operator in read_model(model).main.operators]
    pool = kinds.index("AVERAGE_POOL_2D") + 1
    assert found == [number if number != pool else pool - 1 for number in range(len(found))]
    values = tensor_values(model, (clip,))
    assert np.array_equal(values[0], clip)
    assert values[-1].ravel() == pytest.approx(logits_of(student, clip[..., 0]).ravel(), abs=1e-4)


def test_a_sigmoid_has_the_scale_that_the_quantizer_fixes() -> None:
    student, _ = heard("wav2tiny")
    clip = np.random.default_rng(0).normal(size=(1, FRONT_END.frames, FRONT_END.mels, 1)).astype(np.float32)
    found = deciders(float_tflite(student, (1, FRONT_END.frames, FRONT_END.mels)), (clip,))
    (fixed,) = [decider for decider in found if isinstance(decider, Quantization)]
    assert (fixed.scales, fixed.zero_points) == ((1 / 256,), (-128,))


def test_ranges_of_another_student_are_refused() -> None:
    student, clips = heard("ds_cnn")
    with pytest.raises(ValueError, match=r"ranges: trained for 1 tensors, and the model's \d+ differ"):
        int8_student(student, clips, TrainedRanges(((1, 2),), {0: (0.0, 1.0)}))
