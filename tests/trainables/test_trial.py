"""One trial: its footprint, its checkpoint, how it ends and what it warns of."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.calibration import Measured, calibrate
from export.latency import constants
from spaces.candidate import Scalar
from tests.trainables.points import assignment_of, point
from trainables import untrained
from trainables.assignment import Task
from trainables.distil import Progress
from trainables.learner import NotANumberError
from trainables.population import together
from trainables.ray_trainable import Post, report_of, reporting
from trainables.recipe import Judgement
from trainables.recipes.wakeword import RECIPE
from trainables.trial import run_trial
from trainables.untrained import footprint_of_untrained


def test_a_known_footprint_is_not_worked_out_again(
    speech_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assignment, params = assignment_of("wakeword", speech_folder, tmp_path), point("wakeword", "ds_cnn", seed=2)
    first = footprint_of_untrained(assignment, params)
    monkeypatch.setattr(untrained, "int8_student", None)
    assert footprint_of_untrained(assignment, {**params, "temperature": 7.5}) == first
    slower = replace(assignment, board=replace(assignment.board, cpu_mhz=160))
    with pytest.raises(TypeError):
        footprint_of_untrained(slower, params)


def test_a_calibration_reaches_the_footprint(speech_folder: Path, tmp_path: Path) -> None:
    assignment, params = assignment_of("wakeword", speech_folder, tmp_path), point("wakeword", "ds_cnn", seed=2)
    counts = {"default": 1e6}
    predicted = Measured("log", 1.0, counts).predicted(constants(), assignment.board.cpu_mhz)
    calibration = calibrate([Measured("log", 2 * predicted, counts)], assignment.board)
    before = footprint_of_untrained(assignment, params)
    after = footprint_of_untrained(replace(assignment, calibration=calibration), params)
    assert after.latency_ms == pytest.approx(2 * before.latency_ms, rel=0.02)
    assert after.arena_bytes == before.arena_bytes


def test_the_same_seed_gives_the_same_trial(speech_folder: Path, tmp_path: Path) -> None:
    assignment, params = assignment_of("wakeword", speech_folder, tmp_path, epochs=2), point("wakeword", "tiny_conv")
    run_trial(assignment, 0, params)
    run_trial(assignment, 1, params)
    for file in ("student.int8.tflite", "evaluation.json", "student.json"):
        assert (tmp_path / "0" / file).read_bytes() == (tmp_path / "1" / file).read_bytes()


def test_a_trial_goes_on_from_its_checkpoint(speech_folder: Path, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def kill(progress: Progress) -> None:
        if progress.epoch == 2:
            raise KilledError

    assignment, params = assignment_of("wakeword", speech_folder, tmp_path, epochs=3), point("wakeword", "ds_cnn")
    with pytest.raises(KilledError):
        run_trial(assignment, 0, params, on_epoch=kill)
    epochs: list[int] = []
    resumed = run_trial(assignment, 0, params, on_epoch=lambda progress: epochs.append(progress.epoch))
    assert epochs == [2, 3]
    assert resumed["score_int8"] == run_trial(assignment, 1, params)["score_int8"]


def test_trials_taught_together_end_as_alone_each_in_its_folder(speech_folder: Path, tmp_path: Path) -> None:
    assignment = assignment_of("wakeword", speech_folder, tmp_path / "trials", epochs=2)
    params = point("wakeword", "ds_cnn")
    others: list[dict[str, Scalar]] = [{"alpha": 1.0, "neg_per_pos": 1.5}, {"student": "mlp"}]
    tasks = [
        Task(seed, {**params, **changes}, seed=seed, trials="confirm/7")
        for seed, changes in enumerate([{}, *others], start=1)
    ]
    alone = report_of(assignment, Post(), replace(tasks[1], trials="alone"))
    failed, *trained = together([reporting(assignment, Post(), task) for task in tasks])
    assert (failed["outcome"], [report["outcome"] for report in trained]) == ("failed", ["trained", "trained"])
    for report in trained:
        folder = tmp_path / "confirm" / "7" / str(report["seed"])
        assert json.loads((folder / "metrics.json").read_text()) == report
        assert not (folder / "checkpoint.pt").exists()
    assert trained[1]["params"] == alone["params"]
    curves = [(tmp_path / kind / "2" / "history.csv").read_text() for kind in ("confirm/7", "alone")]
    ours, theirs = ([float(row["loss"]) for row in csv.DictReader(curve.splitlines())] for curve in curves)
    # In float32: AdamW's first steps are as long for a gradient of rounding errors as for any other.
    assert ours[0] == pytest.approx(theirs[0], rel=1e-4)
    assert ours == pytest.approx(theirs, rel=5e-3)


def test_a_judgement_leaves_its_files_beside_its_rows(
    speech_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = type(RECIPE).judge

    def with_sound(*given: Any) -> Judgement:
        return replace(judge(*given), files={"clean_0dB.flac": b"fLaC"})

    monkeypatch.setattr(type(RECIPE), "judge", with_sound)
    run_trial(assignment_of("wakeword", speech_folder, tmp_path), 0, point("wakeword", "tiny_conv"))
    assert (tmp_path / "0" / "clean_0dB.flac").read_bytes() == b"fLaC"


class Referee:
    """Stops a trial at the second of two rungs, and counts how often it is asked."""

    rungs = (1, 2)

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, float]] = []

    def verdict(self, number: int, costs: Mapping[str, float], epochs: int, score: float) -> str:
        self.asked.append((number, epochs, costs["decision_ms"]))
        return "3 trials dominate it" if epochs == 2 else ""


def test_a_stopped_trial_leaves_its_curve_and_no_student(speech_folder: Path, tmp_path: Path) -> None:
    assignment, referee = assignment_of("wakeword", speech_folder, tmp_path, epochs=4), Referee()
    task = Task(5, point("wakeword", "ds_cnn"), {"decision_ms": 7.0})
    report = report_of(assignment, Post(referee=referee), task)
    assert (report["outcome"], report["reason"], report["epochs"]) == ("stopped", "3 trials dominate it", 2)
    assert referee.asked == [(5, 1, 7.0), (5, 2, 7.0)]
    assert {path.name for path in (tmp_path / "5").iterdir()} == {"history.csv", "metrics.json", "rungs.json"}
    assert len((tmp_path / "5" / "history.csv").read_text().splitlines()) == 3
    rungs = json.loads((tmp_path / "5" / "rungs.json").read_text())
    assert [rungs[epochs]["stop"] for epochs in ("1", "2")] == ["", "3 trials dominate it"]


def test_a_trial_is_not_compared_while_it_learns_of_its_teacher_alone(speech_folder: Path, tmp_path: Path) -> None:
    assignment, referee = assignment_of("speech_enhancement", speech_folder, tmp_path, epochs=3), Referee()
    two_steps = {**point("speech_enhancement", "cruse"), "distillation": "two_step", "first_share": 0.4}
    two_steps.pop("alpha", None)
    report = report_of(assignment, Post(referee=referee), Task(5, two_steps, {"decision_ms": 7.0}))
    assert report["outcome"] == "stopped"
    # The first of three epochs hears no label.
    assert referee.asked == [(5, 2, 7.0)]


def test_a_worker_that_cannot_see_the_results_halts_the_search(speech_folder: Path, tmp_path: Path) -> None:
    assignment = assignment_of("wakeword", speech_folder, tmp_path)
    elsewhere = Post(run_json=tmp_path / "not shared" / "run.json")
    report = report_of(assignment, elsewhere, Task(0, point("wakeword", "ds_cnn")))
    assert report["outcome"] == "halt"
    assert "cannot be seen from this node" in report["reason"]


def test_a_diverging_trial_is_named(speech_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assignment = assignment_of("wakeword", speech_folder, tmp_path)
    assignment.material.teacher_logits[:] = np.nan
    with pytest.raises(NotANumberError, match="loss: nan in epoch 0"):
        run_trial(assignment, 0, point("wakeword", "tiny_conv"))


def test_a_failure_ends_its_trial_alone(speech_folder: Path, tmp_path: Path) -> None:
    assignment, params = assignment_of("wakeword", speech_folder, tmp_path), point("wakeword", "ds_cnn")
    failed = report_of(assignment, Post(), Task(0, {**params, "student": "mlp"}))
    assert failed["outcome"] == "failed"
    assert "mlp" in failed["reason"]
    assert report_of(assignment, Post(), Task(1, params))["outcome"] == "trained"
    assignment.material.teacher_logits[:] = np.nan
    assert report_of(assignment, Post(), Task(2, params))["reason"].startswith("loss: nan in epoch 0")


@pytest.fixture(scope="module")
def doubted(speech_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The warnings of a trial that deserves several."""
    assignment = assignment_of("wakeword", speech_folder, tmp_path_factory.mktemp("doubted"))
    assignment.material.teacher["score"] = -1.0  # type: ignore[index]
    metrics = run_trial(assignment, 0, {**point("wakeword", "ds_cnn"), "alpha": 1.0, "neg_per_pos": 15.0})
    warnings: list[str] = metrics["warnings"]
    return warnings


@pytest.mark.parametrize(
    "warning",
    [
        "alpha=1: the teacher and the temperature have no effect",
        "neg_per_pos=15.0 acts as 2.0: the training split holds no more negatives",
        "the student scores above its teacher on validation: the labels alone may do",
    ],
)
def test_a_doubtful_trial_is_warned_about(warning: str, doubted: list[str]) -> None:
    assert warning in doubted
