"""Students that hear sound in pieces, against their models on whole streams."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.exported import ExportedStudent, open_student
from export.front_end import features_of
from export.listening import Listener
from export.tflite import Int8Model
from spaces.front_end import FrontEnd
from tests.conftest import spoken
from tests.export.student_folder import FRONT_END, made_student
from trainables.streams import int8_decisions, windows

HOP = FRONT_END.new_frames_per_decision


@pytest.fixture(scope="module", params=["clips", "steps"])
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ExportedStudent:
    return open_student(made_student(tmp_path_factory.mktemp(request.param), request.param))


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    words = [spoken(word, speaker, 0) for word, speaker in (("up", 1), ("hat", 2), ("down", 3))]
    return np.round(np.concatenate(words) * 32767).astype(np.int16)


def test_a_student_decides_as_often_as_in_training(student: ExportedStudent, sound: np.ndarray) -> None:
    ends, scores = Listener(student).hear(sound)
    features = features_of(sound, FRONT_END)
    first = -(-FRONT_END.frames // HOP) * HOP if student.folder.name.startswith("steps") else FRONT_END.frames
    frames = np.arange(first, len(features) + 1, HOP)
    np.testing.assert_allclose(ends, ((frames - 1) * FRONT_END.hop_samples + FRONT_END.window_samples) / 16_000)
    assert len(scores) == len(frames)
    assert np.ptp(scores) > 20


def test_scores_are_the_models_own(student: ExportedStudent, sound: np.ndarray) -> None:
    _, scores = Listener(student).hear(sound)
    features = features_of(sound, FRONT_END)
    if student.folder.name.startswith("clips"):
        codes = Int8Model(student.model).codes(np.ascontiguousarray(windows(features, FRONT_END, HOP)))
        np.testing.assert_array_equal(scores, codes[:, 1].astype(int) - codes[:, 0])
        return
    # A stream so short is heard in one lane, from its first frame on.
    outputs = int8_decisions(student.model, features, FRONT_END)
    margins = np.round((outputs[:, 1] - outputs[:, 0]) / student.rule.output_scale)
    np.testing.assert_array_equal(scores, margins[-len(scores) :])


@given(cuts=st.lists(st.integers(0, 40_000), max_size=12))
@settings(deadline=None, max_examples=10)
def test_how_sound_is_cut_changes_nothing(student: ExportedStudent, sound: np.ndarray, cuts: list[int]) -> None:
    whole = Listener(student).hear(sound)
    listener = Listener(student)
    pieces = [listener.hear(piece) for piece in np.split(sound, sorted(cut % len(sound) for cut in cuts))]
    for position in (0, 1):
        found = np.concatenate([piece[position] for piece in pieces])
        # A feature's last bit may differ, and then a code that it decides.
        np.testing.assert_allclose(found, whole[position], atol=position)


def test_less_than_a_clip_brings_no_decision(student: ExportedStudent) -> None:
    ends, scores = Listener(student).hear(np.zeros(FRONT_END.clip_samples - 400, np.int16))
    assert (len(ends), len(scores)) == (0, 0)


def test_waveforms_and_summed_outputs_are_heard_too(new_model: Callable[[], Any], tmp_path: Path) -> None:
    front_end = FrontEnd(kind="waveform", clip_seconds=0.5, hop_samples=400, window_samples=400, decision_seconds=0.25)
    model = new_model()
    x = model.tensor((1, 20, 400, 1))
    (tmp_path / "student.int8.tflite").write_bytes(model.build([x], [model.dense(model.mean(x), 5)]))
    document = {"labels": ["other", "cry"], "class_of_output": [0, 0, 1, 1, 1], "decision": {}}
    (tmp_path / "student.json").write_text(json.dumps(document | {"front_end": asdict(front_end)}))
    ends, scores = Listener(open_student(tmp_path)).hear(np.zeros(24_000, np.int16))
    np.testing.assert_allclose(ends, [0.5, 0.75, 1.0, 1.25, 1.5])
    # Three equal outputs against two, in steps of 1/16.
    assert set(scores) == {math.floor(16 * math.log(3 / 2))}


def test_windows_that_lie_apart_are_found_in_any_piece(new_model: Callable[[], Any], tmp_path: Path) -> None:
    front_end = FrontEnd(clip_seconds=0.1, window_samples=160, hop_samples=480, n_fft=256, mels=8)
    model = new_model()
    x = model.tensor((1, front_end.frames, 8, 1))
    (tmp_path / "student.int8.tflite").write_bytes(model.build([x], [model.dense(model.mean(x), 2)]))
    document = {"labels": ["other", "cry"], "decision": {}, "front_end": asdict(front_end)}
    (tmp_path / "student.json").write_text(json.dumps(document))
    sound = np.random.default_rng(0).integers(-9000, 9000, 16_000).astype(np.int16)
    student = open_student(tmp_path)
    whole, listener = Listener(student).hear(sound), Listener(student)
    pieces = [listener.hear(piece) for piece in np.split(sound, range(70, 16_000, 170))]
    for position in (0, 1):
        np.testing.assert_array_equal(np.concatenate([piece[position] for piece in pieces]), whole[position])


def test_the_streams_scores_are_decided_alike_in_c(student: ExportedStudent, sound: np.ndarray, tmp_path: Path) -> None:
    """A student's own scores through the compiled decision."""
    from export.decision import DecisionSettings, decisions
    from export.decision_c import decision_sources
    from tests.export.test_decision_c import COMPILER, HERE, compiled, output, packed

    if COMPILER is None:
        pytest.skip("there is no C compiler on this system")
    _, scores = Listener(student).hear(sound)
    middle = int(np.median(scores))
    for chosen in (DecisionSettings(middle, middle - 9, 2, 4, 1, 5), DecisionSettings(middle + 5, hold_decisions=3)):
        sources = decision_sources(chosen, student.rule)
        program = compiled(tmp_path, sources, HERE / "decision_driver.c")
        said = output(program, "decide", packed(chosen) + scores.tobytes()).decode()
        assert said == "".join(str(int(event)) for event in decisions(scores, chosen))
        assert "1" in said
