"""A wake word for ESPHome: states moved into the model, the manifest, and students that cannot run there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.as_esphome import OPERATORS, said_probabilities, write
from export.c_operators import operators_of
from export.carried import CannotCarryError
from export.device_student import device_student
from export.front_end import features_of
from export.golden import Golden, StoredStudent, stored_student
from export.golden_sound import micro_runs, runs_of
from export.inner_states import operators_left, with_inner_states
from export.operators import read_model
from export.tflite import host_interpreter
from export.tflm_host import TFLM
from spaces.front_end import micro_front_end
from tests.export.device_students import stored_folder
from tests.export.micro_student import MICRO, micro_stored, words
from tests.export.micro_student import STRIDE as MICRO_STRIDE
from tests.export.student_folder import made_student

STRIDE, VALUES = 3, 40
DECISION = {
    "threshold": 1.2,
    "event": "hey potstill",
    "settings": {
        "threshold_steps": 19,
        "release_steps": None,
        "votes_needed": 2,
        "votes_window": 4,
        "streak": 1,
        "hold_decisions": 20,
    },
}


def streaming(m: Any, more: str = "") -> bytes:
    """Three frames and what was heard before to two logits, and a state that only grows."""
    heard = STRIDE * VALUES
    rng = np.random.default_rng(2)
    frames, before = m.tensor((1, heard), zero=-88, scale=1 / 64), m.tensor((1, heard), zero=-7)
    count = m.tensor((1, 2), zero=-100)
    nothing = m.tensor((1, heard), data=np.full(heard, 3))
    one = m.tensor((1, 2), data=[5, 4])
    now, kept, counted = m.add(frames, before), m.tensor((1, heard), zero=-7), m.tensor((1, 2), zero=-100)
    m.add_into(frames, nothing, kept)
    m.add_into(count, one, counted)
    less = m.tensor((1, heard), data=rng.integers(-128, 128, heard), zero=-9, scale=1 / 64)
    now = m.sliced(m.sub(now, less), [0, 10], [1, -1])
    weights = m.tensor((2, heard - 10), data=rng.integers(-60, 61, (2, heard - 10)), zero=0, scale=1 / 512)
    bias = m.tensor((2,), "int32", data=[30, -30], zero=0, scale=1 / 8192)
    dense, logits = m.tensor((1, 2)), m.tensor((1, 2))
    m.fully_connected(now, weights, bias, dense)
    m.add_into(dense, count, logits)
    if more:
        logits = m.unary(more, logits)
    return bytes(m.build([frames, before, count], [logits, kept, counted]))


def student_of(tmp_path: Path, model: bytes, **facts: Any) -> StoredStudent:
    said = {"labels": ["_other_", "hey potstill"], "decision": DECISION} | facts
    folder = stored_folder(tmp_path / "student", model, micro_front_end(), **said)
    return stored_student(folder, {"board": "esp32-s3-box-3"})


@pytest.mark.parametrize("event", [0, 1])
def test_inner_states_say_what_fed_back_ones_do(event: int, new_model: Any) -> None:
    model = streaming(new_model())
    runs = np.random.default_rng(0).integers(-128, 128, (40, STRIDE * VALUES)).astype(np.int8)
    logits = micro_runs(model, runs).astype(np.float64) / 16
    expected = 1 / (1 + np.exp(logits[:, 1 - event] - logits[:, event]))
    inner = with_inner_states(model, (1, STRIDE, VALUES), event)
    found = said_probabilities(inner, runs.reshape(-1, STRIDE, VALUES))
    assert np.ptp(expected) > 0.8
    assert len(np.unique(logits[:, 0])) > 20
    assert {"SLICE", "SUB"} < set(operators_of(model))
    assert {"SLICE", "SUB"}.isdisjoint(operators_left(model))
    np.testing.assert_allclose(found, expected, atol=2.5 / 256)
    # From the first states again.
    np.testing.assert_array_equal(said_probabilities(inner, runs.reshape(-1, STRIDE, VALUES)), found)


def test_model_and_manifest_are_what_esphome_asks_for(tmp_path: Path, new_model: Any) -> None:
    student = student_of(tmp_path, streaming(new_model()))
    features = np.random.default_rng(1).normal(0, 1.5, (5, 98, VALUES)).astype(np.float32)
    model, manifest = write(student, Golden(features, np.zeros((5, 2), np.float32), 1 / 16), tmp_path)
    assert model.name == "esphome/hey_potstill.tflite"
    assert model.difference is not None
    assert 0 < model.difference.largest < 2.5 / 256
    data = (tmp_path / model.name).read_bytes()
    graph = read_model(data).main
    heard, told = (graph.tensors[ends[0]] for ends in (graph.inputs, graph.outputs))
    assert (heard.shape, heard.dtype) == ((1, STRIDE, VALUES), "int8")
    assert (told.shape, told.dtype) == ((1, 1), "uint8")
    assert (len(graph.inputs), len(graph.outputs)) == (1, 1)
    assert set(operators_of(data)) <= OPERATORS
    assert TFLM.arena(data).total_bytes > 0
    document = json.loads((tmp_path / manifest.name).read_text())
    # MANIFEST_SCHEMA_V2 of esphome/components/micro_wake_word/__init__.py.
    assert set(document) == {"type", "model", "author", "version", "wake_word", "trained_languages", "micro"}
    assert document["type"] == "micro"
    assert document["version"] == 2
    assert document["wake_word"] == "hey potstill"
    assert (tmp_path / "esphome" / document["model"]).is_file()
    settings = document["micro"]
    assert settings["feature_step_size"] == 10
    assert settings["sliding_window_size"] == 4
    assert settings["probability_cutoff"] == pytest.approx(1 / (1 + np.exp(-19 / 16)), abs=1e-3)
    assert settings["tensor_arena_size"] > len(features[0]) * 10
    assert settings["minimum_esphome_version"] == "2024.7.0"
    assert all(isinstance(settings[name], int) for name in ("tensor_arena_size", "sliding_window_size"))


def test_operator_that_esphome_does_not_register_is_named(tmp_path: Path, new_model: Any) -> None:
    student = student_of(tmp_path, streaming(new_model(), "TANH"))
    with pytest.raises(CannotCarryError, match=r"ESPHome registers no TANH$"):
        write(student, Golden(np.zeros((1, 3, 40), np.float32), np.zeros((1, 2), np.float32), 1.0), tmp_path)


@pytest.mark.parametrize(
    ("kind", "reasons"),
    [
        ("clips", ["its features are log_mel, ESPHome computes those of TFLM's", "it hears whole clips"]),
        ("steps", ["its features are log_mel", "ESPHome registers no SUB, TANH"]),
    ],
)
def test_everything_that_is_in_the_way_is_said(kind: str, reasons: list[str], tmp_path: Path) -> None:
    folder = made_student(tmp_path / "student", kind)
    (folder / "metrics.json").write_text("{}")
    stored = stored_student(folder, {})
    with pytest.raises(CannotCarryError) as refused:
        write(stored, Golden(np.zeros((1, 3, 40), np.float32), np.zeros((1, 2), np.float32), 1.0), tmp_path)
    assert all(reason in str(refused.value) for reason in reasons)


def test_students_without_a_wake_word_are_refused(tmp_path: Path, new_model: Any) -> None:
    student = student_of(tmp_path, streaming(new_model()), decision={})
    with pytest.raises(CannotCarryError, match=r"run it: it does not tell one wake word from everything else$"):
        write(student, Golden(np.zeros((1, 3, 40), np.float32), np.zeros((1, 2), np.float32), 1.0), tmp_path)


def test_mixednet_says_on_tflm_s_features_what_it_says_with_states_fed_back(tmp_path: Path) -> None:
    student = micro_stored(tmp_path / "student")
    device = device_student(student, "potstill_own")
    features = features_of(words(16), MICRO)
    clip = features[: len(features) // MICRO_STRIDE * MICRO_STRIDE]
    model, manifest = write(student, Golden(clip[None], np.zeros((1, 2), np.float32), 1 / 16), tmp_path)
    data = (tmp_path / model.name).read_bytes()
    runs = runs_of(device, clip)
    logits = micro_runs(student.model, runs).astype(np.float64) * device.told.scale
    expected = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    found = said_probabilities(data, runs.reshape(-1, MICRO_STRIDE, VALUES))
    assert len(found) > 200
    assert np.ptp(expected) > 0.3
    np.testing.assert_allclose(found, expected, atol=2.5 / 256)
    graph = read_model(data).main
    heard, told = (graph.tensors[ends[0]] for ends in (graph.inputs, graph.outputs))
    assert (heard.shape, heard.dtype, told.shape, told.dtype) == ((1, MICRO_STRIDE, VALUES), "int8", (1, 1), "uint8")
    assert host_interpreter(data).get_input_details()[0]["quantization"] == (1 / 64, -88)
    assert set(operators_of(data)) <= OPERATORS
    assert json.loads((tmp_path / manifest.name).read_text())["micro"]["feature_step_size"] == 10


def test_codes_and_states_that_esphome_does_not_have_are_said(tmp_path: Path, new_model: Any) -> None:
    m = new_model()
    frames, *states = [m.tensor((1, VALUES)) for _ in range(22)]
    nothing = m.tensor((1, VALUES), data=np.full(VALUES, 3))
    logits = m.dense(m.add(frames, states[0]), 2)
    student = student_of(tmp_path, m.build([frames, *states], [logits, *(m.add(s, nothing) for s in states)]))
    with pytest.raises(CannotCarryError) as refused:
        write(student, Golden(np.zeros((1, 3, 40), np.float32), np.zeros((1, 2), np.float32), 1.0), tmp_path)
    assert "scale 0.015625 and zero point -88, but the model's input has 0.0625 and 3" in str(refused.value)
    assert "it has 21 states, ESPHome holds 20 variables" in str(refused.value)
