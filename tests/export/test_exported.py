"""Folders of exported students: what their decision is, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from export.decision import DecisionSettings
from export.exported import open_student
from tests.export.student_folder import FRONT_END, made_student


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_student(tmp_path_factory.mktemp("student"), "clips")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "student"))


def change(folder: Path, **changed: Any) -> None:
    path = folder / "student.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def test_a_wake_words_threshold_is_log_odds(folder: Path) -> None:
    change(folder, decision={"threshold": 1.0})
    student = open_student(folder)
    settings = student.stored_settings()
    assert settings is not None
    assert (settings.threshold_steps - 1) * student.rule.output_scale < 1.0
    assert student.threshold(settings.threshold_steps) >= 1.0 - 1e-3 * student.rule.output_scale
    # Two seconds of decisions a tenth of a second apart.
    assert (student.decision_seconds, settings.hold_decisions) == (0.1, 20)


def test_a_crys_threshold_is_a_probability(folder: Path) -> None:
    change(folder, recipe="baby_cry", decision={"threshold": 0.8, "refractory_seconds": 0.5})
    student = open_student(folder)
    settings = student.stored_settings()
    assert settings is not None
    rule = student.rule
    assert rule.probability(settings.threshold_steps - 1) < 0.8 <= rule.probability(settings.threshold_steps)
    assert student.threshold(7) == rule.probability(7)
    assert settings.hold_decisions == 5


def test_settings_in_steps_come_first(folder: Path) -> None:
    settings = DecisionSettings(40, 20, 3, 5, 2, 9)
    change(folder, decision={"threshold": 9.0, "settings": settings.as_dict(), "event": "_other_"})
    student = open_student(folder)
    assert (student.event, student.stored_settings()) == ("_other_", settings)
    assert student.rule.is_event == (True, False)
    # They say nothing of another event.
    assert open_student(folder, "up").stored_settings() is None


def test_without_a_threshold_there_is_no_decision(folder: Path) -> None:
    change(folder, decision={})
    assert open_student(folder).stored_settings() is None


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"labels": ["up"]}, "holds no labels to decide between; only students that tell classes apart decide"),
        ({"labels": None}, "holds no labels to decide between"),
        ({"labels": [], "values": ["valence", "arousal"]}, "only students that tell classes apart decide"),
        ({"labels": ["a", "b", "c"]}, "--label: the student tells 3 classes apart; choose the event among a, b, c"),
        ({"class_of_output": [0, 2]}, "class_of_output must give each output one of the 2 labels, or be null"),
        (
            {"class_of_output": [0, 1, 1]},
            f"gives 2 outputs, but student.json says {FRONT_END.frames * 20} a clip and 3",
        ),
        (
            {"front_end": {"mels": 40}},
            "takes 480 features and gives 2 outputs, but student.json says 3920 a clip and 2",
        ),
        ({"front_end": {"mels": -1}}, "student.json: holds no front_end with the fields of FrontEnd"),
        ({"decision": None}, "student.json: holds no decision; it may be empty"),
        ({"decision": {"threshold": "high"}}, "student.json: its decision: "),
        ({"decision": {"settings": {"threshold_steps": 999}}}, "student.json: its decision: threshold_steps: must be"),
        ({"decision": {"settings": 5}}, "student.json: its decision: "),
        ({"decision": {"event": "dog"}}, "--label: 'dog' is unknown; there are _other_, up"),
    ],
)
def test_a_student_json_that_fits_no_decision_is_refused(folder: Path, changed: dict[str, Any], told: str) -> None:
    change(folder, **changed)
    with pytest.raises(ValueError, match=r"(?s).*") as raised:
        open_student(folder)
    assert told in str(raised.value)


@pytest.mark.parametrize("name", ["student.json", "student.int8.tflite"])
def test_an_incomplete_folder_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"MODEL: .* holds no {name}; name a folder that `python -m export RESULTS`"):
        open_student(folder)


def test_broken_files_are_refused_by_name(folder: Path) -> None:
    (folder / "student.int8.tflite").write_bytes(b"TFL3" * 9)
    with pytest.raises(ValueError, match=r"student.int8.tflite: not a .*tflite"):
        open_student(folder)
    (folder / "student.json").write_text("[1, 2")
    with pytest.raises(ValueError, match=r"student.json: holds no front_end"):
        open_student(folder)
