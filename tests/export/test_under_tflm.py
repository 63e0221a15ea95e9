"""INT8 models under the TFLM interpreter: its outputs beside the host's kernels, and what a trial's folder keeps."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from xml.etree.ElementTree import tostring

import numpy as np
import pytest

from export.front import write_front
from export.operators import read_model
from export.results import Results
from export.streaming import Int8Stream
from export.tflite import Int8Model
from export.tflm_outputs import tflm_codes
from export.trial_section import trial_section
from export.under_tflm import FILE, UnderTflm, both, read_under_tflm, summary_of, write_under_tflm
from tests.export.results_folder import ResultsFolder
from tests.export.student_folder import FRONT_END, made_student
from tests.export.tflm_codes import host_model, micro_codes

SHAPE = (FRONT_END.frames, FRONT_END.mels)


@pytest.fixture(params=["clips", "steps"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    return (made_student(tmp_path / "student", request.param) / "student.int8.tflite").read_bytes()


@pytest.fixture
def clips() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(12, *SHAPE)).astype(np.float32)


def test_outputs_are_those_of_an_interpreter_driven_by_hand(model: bytes, clips: np.ndarray) -> None:
    found = both(model, clips)
    runner = host_model(model)
    by_hand = micro_codes(model, runner.quantized(clips))
    assert np.array_equal(found.micro_codes, by_hand)
    assert np.array_equal(found.host_codes, runner.codes(clips))
    assert np.array_equal(found.apart, np.abs(by_hand - runner.codes(clips)))
    assert np.array_equal(found.host, runner.outputs(clips))
    assert len(np.unique(by_hand, axis=0)) > 3, "clips that differ"


def test_every_step_is_compared_where_every_step_counts(tmp_path: Path, clips: np.ndarray) -> None:
    model = (made_student(tmp_path, "steps") / "student.int8.tflite").read_bytes()
    every, last = both(model, clips, every_step=True), both(model, clips)
    assert every.micro_codes.shape == (12, FRONT_END.frames, 2) == every.apart.shape
    assert np.array_equal(every.micro_codes[:, -1], last.micro_codes)
    assert np.array_equal(every.host_codes[:, -1], last.host_codes)


def test_threads_change_no_output(model: bytes, clips: np.ndarray) -> None:
    runner = Int8Stream if read_model(model).is_step else Int8Model
    one, two = (runner(model, batch=5, threads=threads).codes(clips) for threads in (1, 2))
    assert np.array_equal(one, two)
    assert len(np.unique(one, axis=0)) > 3, "clips in another order would show"


def test_without_time_one_clip_is_computed(model: bytes, clips: np.ndarray) -> None:
    found = both(model, clips, seconds=0.0)
    assert found.clips == 1
    assert np.array_equal(found.micro_codes, both(model, clips).micro_codes[:1])


def test_a_model_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the TFLM interpreter of this host (refuses|stops on) this model"):
        tflm_codes(b"no model at all" * 10, np.zeros((1, 1, 4), np.int8))


def found_of(model: bytes, **changed: object) -> UnderTflm:
    sha256 = hashlib.sha256(model).hexdigest()
    fields = {"clips": 10, "of_clips": 12, "outputs": 20, "differing": 3, "largest_step": 2}
    return UnderTflm(sha256, **{**fields, "score_tflm": 0.5, "score_host": 0.625, **changed})  # type: ignore[arg-type]


def test_a_folder_keeps_it_for_its_own_model(tmp_path: Path, model: bytes) -> None:
    (tmp_path / "student.int8.tflite").write_bytes(model)
    assert read_under_tflm(tmp_path) is None
    write_under_tflm(tmp_path, found_of(model))
    assert read_under_tflm(tmp_path) == found_of(model)
    (tmp_path / "student.int8.tflite").write_bytes(model + b"0")
    assert read_under_tflm(tmp_path) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 1, "clips": 3}'])
def test_a_damaged_file_counts_for_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "student.int8.tflite").write_bytes(b"x")
    (tmp_path / FILE).write_text(content)
    assert read_under_tflm(tmp_path) is None


def test_another_schema_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "student.int8.tflite").write_bytes(b"x")
    write_under_tflm(tmp_path, found_of(b"x"))
    content = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps(content | {"schema": 99}))
    assert read_under_tflm(tmp_path) is None


def test_in_words() -> None:
    assert str(found_of(b"x")) == "3 of 20 on 10 of 12 validation clips, by 2 at most"
    assert str(found_of(b"x", differing=0, largest_step=0)) == "0 of 20 on 10 of 12 validation clips"
    said = summary_of([found_of(b"x"), found_of(b"y", largest_step=1, differing=1, score_host=0.5)])
    assert said == (
        "under the TFLM interpreter: 2 members of the front, 20 validation clips, 4 of 40 outputs differ from the "
        "host's kernels, by 2 at most; scores by 0.1250 at most"
    )


def test_front_json_and_the_report_show_it(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    folder.trained(0.95, 10.0, 30_000)
    folder.trained(0.90, 5.0, 20_000)
    results = Results(folder.folder)
    model = (results.trial(0) / "student.int8.tflite").read_bytes()
    write_under_tflm(results.trial(0), found_of(model, score_tflm=float("nan")))
    front = write_front(results)
    first, second = json.loads((folder.folder / "front.json").read_text())["members"]
    assert first["tflm"] == {
        **{"clips": 10, "of_clips": 12, "outputs": 20, "differing": 3, "largest_step": 2},
        **{"score_tflm": None, "score_host": 0.625},
    }
    assert "tflm" not in second
    write_under_tflm(results.trial(0), found_of(model))
    page = tostring(trial_section(front, front.members[0], chosen=True), encoding="unicode")
    assert "score under TFLM" in page and "0.500 (the host's kernels on these 0.625)" in page
    assert "3 of 20 on 10 of 12 validation clips, by 2 at most" in page
    assert "TFLM" not in tostring(trial_section(front, front.members[1], chosen=True), encoding="unicode")
