"""Conversion to INT8: fidelity, operators that the chip is fast at, agreement with the TFLM interpreter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from tflite_micro import runtime

from export.operators import read_model
from export.tflite import Int8Model, float_tflite, int8_tflite
from spaces.candidate import Student
from spaces.front_end import FrontEnd
from trainables.distil import logits_of
from trainables.students import build_student

FRONT_END = FrontEnd(hop_samples=320, mels=20)
STUDENTS = {
    "tiny_conv": Student("tiny_conv", {"width": 8, "depth": 4, "depthwise": False}),
    "tiny_conv_depthwise": Student("tiny_conv", {"width": 8, "depth": 5, "depthwise": True}),
    "ds_cnn": Student("ds_cnn", {"width": 16, "depth": 2, "second_stride": 2}),
}


@pytest.fixture(scope="module", params=STUDENTS, ids=str)
def converted(request: pytest.FixtureRequest) -> tuple[torch.nn.Module, np.ndarray, bytes]:
    torch.manual_seed(1)
    network = build_student(STUDENTS[request.param], FRONT_END, 2)
    clips = np.random.default_rng(0).normal(size=(96, FRONT_END.frames, FRONT_END.mels)).astype(np.float32)
    clips[::3] *= 3.0
    with torch.no_grad():
        for _ in range(30):
            network.train()(torch.from_numpy(clips).unsqueeze(1))
    float_model = float_tflite(network, (1, FRONT_END.frames, FRONT_END.mels))
    return network, clips, int8_tflite(float_model, clips[..., None])


def test_int8_follows_float(converted: tuple[torch.nn.Module, np.ndarray, bytes]) -> None:
    network, clips, model = converted
    expected, found = logits_of(network, clips), Int8Model(model).outputs(clips)
    slope, _ = np.polyfit(expected.ravel(), found.ravel(), 1)
    # Ranges that cut off the loud clips would shrink the outputs: the slope tells.
    assert slope == pytest.approx(1.0, abs=0.05)
    assert np.abs(found - expected).max() < 0.1 * np.ptp(expected)


def test_the_micro_interpreter_agrees(converted: tuple[torch.nn.Module, np.ndarray, bytes]) -> None:
    _, clips, model = converted
    ours = Int8Model(model, batch=32)
    micro = runtime.Interpreter.from_bytes(model)
    outputs = []
    for clip in ours.quantized(clips[:40]):
        micro.set_input(clip[None], 0)
        micro.invoke()
        outputs.append(micro.get_output(0)[0])
    assert np.abs(np.array(outputs, int) - ours.codes(clips[:40])).max() <= 1


def test_operators_are_those_that_esp_nn_accelerates(converted: tuple[torch.nn.Module, np.ndarray, bytes]) -> None:
    kinds = {operator.kind for operator in read_model(converted[2]).main.operators}
    assert kinds <= {"CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "FULLY_CONNECTED"}


def test_the_network_is_left_as_it_was(converted: tuple[torch.nn.Module, np.ndarray, bytes]) -> None:
    network = converted[0].to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    float_tflite(network, (1, FRONT_END.frames, FRONT_END.mels))
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.fixture(scope="module")
def large() -> tuple[np.ndarray, bytes]:
    network = build_student(Student("tiny_conv", {"width": 40, "depth": 5, "depthwise": False}), FRONT_END, 2)
    clips = np.random.default_rng(0).normal(size=(16, FRONT_END.frames, FRONT_END.mels)).astype(np.float32)
    model = int8_tflite(float_tflite(network, (1, FRONT_END.frames, FRONT_END.mels)), clips[..., None])
    assert len(model) > 512 * 1024
    return clips, model


def test_the_micro_interpreter_finds_the_weights_of_a_large_model(large: tuple[np.ndarray, bytes]) -> None:
    clips, model = large
    ours, micro = Int8Model(model), runtime.Interpreter.from_bytes(model)
    for clip, expected in zip(ours.quantized(clips), ours.codes(clips), strict=True):
        micro.set_input(clip[None], 0)
        micro.invoke()
        assert np.abs(micro.get_output(0)[0].astype(int) - expected).max() <= 1


def test_buffers_lie_inside_the_flatbuffer_on_16_bytes(large: tuple[np.ndarray, bytes]) -> None:
    packed = schema.Model.GetRootAs(large[1], 0)
    for index in range(packed.BuffersLength()):
        buffer = packed.Buffers(index)
        assert buffer.Offset() == 0
        if buffer.DataLength():
            start = buffer._tab.Vector(buffer._tab.Offset(4))
            assert start % 16 == 0


def test_batch_size_changes_nothing(converted: tuple[torch.nn.Module, np.ndarray, bytes]) -> None:
    _, clips, model = converted
    assert np.array_equal(Int8Model(model, batch=7).codes(clips[:20]), Int8Model(model, batch=64).codes(clips[:20]))


def test_a_float_model_is_refused(converted: tuple[torch.nn.Module, np.ndarray, bytes]) -> None:
    float_model = float_tflite(converted[0], (1, FRONT_END.frames, FRONT_END.mels))
    with pytest.raises(ValueError, match="its input is float32, but full INT8 needs int8"):
        Int8Model(float_model)
