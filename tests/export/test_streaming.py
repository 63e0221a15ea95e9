"""Steps in INT8: states that are fed back as they are, agreement with whole clips and with the TFLM interpreter."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from export.footprint import footprint_of
from export.latency import feature_cost
from export.operators import read_model
from export.streaming import Int8Stream, int8_outputs, int8_step, states_of
from export.tflite import Int8Model, calibrated, converted, quantized
from spaces.board import load_board
from spaces.candidate import Student
from spaces.front_end import FrontEnd
from tests.export.tflm_codes import micro_codes
from trainables.distil import logits_of
from trainables.students import build_student
from trainables.students.gru import Gru
from trainables.students.lstm import Lstm
from trainables.students.mixednet import MixedNet
from trainables.students.streaming import Step, StreamingStudent, stepped

FRONT_END = FrontEnd(hop_samples=320, mels=20)
STUDENTS = {
    "lstm": Student("lstm", {"hidden": 16, "depth": 2}),
    "gru": Student("gru", {"hidden": 16, "depth": 2}),
    "mixednet": Student("mixednet", {"width": 16, "depth": 2, "stride": 3}),
}
INVOKES = {Lstm: 5, Gru: 5, MixedNet: 2}
Converted = tuple[StreamingStudent, np.ndarray, bytes]


@pytest.fixture(scope="module", params=STUDENTS, ids=str)
def step(request: pytest.FixtureRequest) -> Converted:
    torch.manual_seed(1)
    student = build_student(STUDENTS[request.param], FRONT_END, 2)
    assert isinstance(student, StreamingStudent)
    clips = np.random.default_rng(0).normal(size=(96, FRONT_END.frames, FRONT_END.mels)).astype(np.float32)
    with torch.no_grad():
        for weights in student.parameters():
            weights.mul_(2.0)
        for _ in range(30):
            student.train()(torch.from_numpy(clips).unsqueeze(1))
    student.eval()
    inputs = stepped(student, torch.from_numpy(clips))[1]
    return student, clips, int8_step(lambda example: converted(Step(student), example), inputs)


def test_int8_frame_by_frame_follows_float_on_whole_clips(step: Converted) -> None:
    student, clips, model = step
    expected, found = logits_of(student, clips), int8_outputs(model, clips)
    slope, _ = np.polyfit(expected.ravel(), found.ravel(), 1)
    assert slope == pytest.approx(1.0, abs=0.05)
    assert np.abs(found - expected).max() < 0.1 * np.ptp(expected)


def test_the_micro_interpreter_agrees(step: Converted) -> None:
    _, clips, model = step
    ours = Int8Stream(model, batch=32)
    distance = np.abs(micro_codes(model, ours.quantized(clips[:40])) - ours.codes(clips[:40]))
    # A step that is rounded another way comes back through the states.
    assert distance.max() <= 4
    assert distance.mean() < 1


def test_states_go_out_as_they_come_in(step: Converted) -> None:
    student, _, model = step
    states = states_of(model)
    assert [state.shape for state in states] == [tuple(zeros.shape) for zeros in student.initial_states(1)]
    main = read_model(model).main
    for state in states:
        before, after = main.tensors[main.inputs[state.position]], main.tensors[main.outputs[state.position]]
        assert before.quantization == after.quantization
        assert before.quantization is not None
        assert before.quantization.zero_points[0] == state.zero_point


def test_ranges_hold_whatever_the_clips_made_of_the_states(step: Converted) -> None:
    student, clips, model = step
    _, inputs = stepped(student, torch.from_numpy(clips))
    for state in states_of(model):
        values = torch.cat([one[state.position] for one in inputs])
        assert float(values.min()) >= (-128 - state.zero_point) * state.scale - state.scale
        assert float(values.max()) <= (127 - state.zero_point) * state.scale + state.scale


def test_batch_size_changes_nothing(step: Converted) -> None:
    _, clips, model = step
    assert np.array_equal(Int8Stream(model, batch=7).codes(clips[:20]), Int8Stream(model, batch=64).codes(clips[:20]))


def test_states_that_differ_in_their_ranges_are_refused() -> None:
    student = build_student(STUDENTS["gru"], FRONT_END, 2)
    assert isinstance(student, StreamingStudent)
    _, inputs = stepped(student, torch.randn(8, FRONT_END.frames, FRONT_END.mels))
    float_model = converted(Step(student), tuple(tensor[:1].clone() for tensor in inputs[0]))
    # States as no step puts them out: without a common range, scales differ.
    louder = [tuple(3 * tensor.numpy() for tensor in one) for one in inputs]
    with pytest.raises(ValueError, match=r"model: state 1 comes out as .* and goes in as .*: both must be one"):
        states_of(quantized(float_model, calibrated(float_model, louder)))


def test_a_model_of_whole_clips_has_no_states() -> None:
    network = build_student(Student("tiny_conv", {"width": 8, "depth": 3, "depthwise": True}), FRONT_END, 2)
    clips = np.random.default_rng(0).normal(size=(4, FRONT_END.frames, FRONT_END.mels, 1)).astype(np.float32)
    float_model = converted(network, (torch.from_numpy(clips[:1, None, ..., 0]),))
    model = quantized(float_model, calibrated(float_model, [(clip[None, None, ..., 0],) for clip in clips]))
    assert states_of(model) == ()
    assert not read_model(model).is_step
    assert np.array_equal(int8_outputs(model, clips[..., 0]), Int8Model(model).outputs(clips[..., 0]))


def test_a_decision_takes_the_invokes_that_hear_its_new_frames(step: Converted) -> None:
    board = load_board("esp32-s3-devkitc-1-n8")
    footprint = footprint_of(step[2], board, FRONT_END)
    assert FRONT_END.new_frames_per_decision == 5
    feature_ms = feature_cost(FRONT_END).cycles / board.cpu_mhz / 1000
    assert footprint.decision_ms == pytest.approx(INVOKES[type(step[0])] * footprint.latency_ms + 5 * feature_ms)
