"""A single point: its parameters with the types of the space, and without those of branches not taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from search.__main__ import DONE, main
from search.one import read_params, taken
from search.views import under_agent
from spaces import recipe_space
from tests.trainables.teachers.classifiers import AST, save_classifier
from trainables.assignment import candidate_of

POINT = recipe_space("wakeword").START_POINTS[0]
OTHER_BRANCH = {"ds_cnn_width": 8, "ds_cnn_depth": 1, "ds_cnn_second_stride": 2}


def test_parameters_of_branches_not_taken_are_left_out() -> None:
    assert taken("wakeword", {**OTHER_BRANCH, **POINT}) == POINT
    assert candidate_of("wakeword", {**OTHER_BRANCH, **POINT}) == candidate_of("wakeword", POINT)


def test_a_point_of_one_branch_is_kept_whole() -> None:
    assert taken("wakeword", POINT) == POINT


def test_numbers_get_the_types_of_the_space(tmp_path: Path) -> None:
    path = tmp_path / "point.json"
    path.write_text(json.dumps({**POINT, "tiny_conv_width": 16.0, "temperature": 4}))
    params = read_params("wakeword", path)
    assert params == POINT
    assert isinstance(params["tiny_conv_width"], int)
    assert isinstance(params["temperature"], float)


def test_the_params_of_a_trials_metrics_are_a_point(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"schema": 1, "params": dict(POINT)}))
    assert read_params("wakeword", path) == POINT


def test_a_point_may_have_a_teacher_that_fixes_a_parameter(
    tmp_path: Path, speech_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    point, teacher = tmp_path / "point.json", save_classifier(tmp_path / "teacher", kind=AST)
    point.write_text(json.dumps({**POINT, "hop_ms": 20, "mels": 20, "tiny_conv_width": 8}))
    data = ("--data", str(speech_folder), "--word", "up", "--teacher", f"classifier:{teacher}")
    where = ("--results", str(tmp_path / "r"), "--cpus", "1")
    assert main(["wakeword", *data, *where, "--epochs", "1", "--one", str(point)]) == DONE
    assert json.loads(capsys.readouterr().out)["outcome"] == "trained"


def test_an_agent_is_known_by_its_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    assert not under_agent()
    monkeypatch.setenv("WANDB_SWEEP_ID", "sw1")
    assert under_agent()
