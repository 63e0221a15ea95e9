"""The contract that every recipe and each of its students passes: trains, converts, runs in TFLM, is scored as INT8."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution

import spaces
from export.calibration import Measured, calibrate
from export.latency import constants
from export.operators import read_model
from export.streaming import int8_outputs, states_of
from spaces.board import load_board
from spaces.candidate import Scalar
from spaces.narrowed import Narrowing, parameters
from tests.export.tflm_codes import host_model, micro_codes
from trainables import recipes as recipes_folder
from trainables import untrained
from trainables.assignment import Assignment, Task, candidate_of
from trainables.corpora.audio import audio_key
from trainables.corpora.corpus import Corpus
from trainables.distil import Progress
from trainables.learner import NotANumberError
from trainables.ray_trainable import Post, report_of
from trainables.recipe import Material, Request, recipe
from trainables.recipes import speech_emotion
from trainables.students import build_student
from trainables.students.streaming import StreamingStudent
from trainables.teachers.cross_fitted import Teacher
from trainables.trial import run_trial
from trainables.untrained import footprint_of_untrained

RECIPES = sorted(spaces.recipes())
# Outputs of the host's kernels beside TFLM's: in 20 layers, or through states, single steps add up.
ROUNDING_STEPS = {"resnet18": 4, "lstm": 4, "gru": 4, "mixednet": 2}


def choices(distribution: BaseDistribution) -> tuple[Scalar, ...]:
    assert isinstance(distribution, CategoricalDistribution)
    return distribution.choices  # type: ignore[return-value]


def students(name: str) -> list[str]:
    return [str(choice) for choice in choices(parameters(spaces.recipe_space(name))["student"])]


# Over 20 s: a hundred operators, or two conversions of many.
SLOW = {"mobilenet_v3", "mixednet"}
CASES = [
    pytest.param(name, student, marks=[pytest.mark.slow] if student in SLOW else [])
    for name in RECIPES
    for student in students(name)
]


def material_of(name: str, speech_folder: Path) -> Material:
    return recipe(name).prepare(Request(data=speech_folder, word=None if name == "speech_emotion" else "up"))


def point(name: str, student: str, seed: int = 0) -> dict[str, Scalar]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    asked = study.ask()
    space = spaces.recipe_space(name)
    known = parameters(space)
    smallest = {
        "mels": min,
        "hop_ms": max,
        "clip_ms": min,
        "width": min,
        "head": min,
        "mobilenet_v3_multiplier": min,
    }
    small = {key: pick(choices(known[key])) for key, pick in smallest.items() if key in known} | {"student": student}
    # What learns something in a few steps: of a student that says the same of every clip, rounding is all there is.
    learning: dict[str, Scalar] = {"peak_lr": 3e-3, "ema_decay": 0.0, "hard_loss": "cross_entropy"}
    small |= {name: value for name, value in learning.items() if name in known}
    # The widest filter: a narrow one may leave nothing of the few clips here.
    small |= {"negative_below": 0.15} if "negative_below" in known else {}
    Narrowing(small, {"resnet18_width": (4, 8)}).propose(space, asked)
    return asked.params


def assignment_of(name: str, speech_folder: Path, folder: Path, epochs: int = 1) -> Assignment:
    board = load_board(spaces.recipe_space(name).BOARD)
    return Assignment(name, material_of(name, speech_folder), board, epochs, 0, folder)


def test_every_space_has_its_recipe() -> None:
    files = {path.stem for path in Path(recipes_folder.__path__[0]).glob("*.py")} - {"__init__"}
    assert files == set(RECIPES)


def test_unknown_recipe_is_named() -> None:
    with pytest.raises(ValueError, match="'sneeze' is unknown; there are baby_cry, speech_emotion, wakeword"):
        recipe("sneeze")


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")
@pytest.mark.parametrize(("name", "student"), CASES)
def test_a_trial_from_parameters_to_files(name: str, student: str, speech_folder: Path, tmp_path: Path) -> None:
    assignment, params = assignment_of(name, speech_folder, tmp_path, epochs=8), point(name, student)
    metrics = run_trial(assignment, 7, params)
    folder = tmp_path / "7"
    assert json.loads((folder / "metrics.json").read_text()) == json.loads(json.dumps(metrics))
    assert metrics["outcome"] == "trained"
    objectives = [objective.name for objective in spaces.recipe_space(name).OBJECTIVES]
    assert set(objectives) <= set(metrics["objectives"])
    assert all(np.isfinite(metrics["objectives"][objective]) for objective in objectives)
    assert not (folder / "checkpoint.pt").exists()
    check_beside_teacher(assignment, metrics, folder)
    check_runs_in_tflm(assignment, params, folder)
    check_exported_program(assignment, params, folder)


def check_beside_teacher(assignment: Assignment, metrics: Mapping[str, Any], folder: Path) -> None:
    size = assignment.material.teacher.get("parameters")
    assert metrics["compression"] == (size / metrics["parameters"] if size else None)
    rows = json.loads((folder / "evaluation.json").read_text())
    figures = [line[0] for row in rows if row.get("title") == "Beside the teacher" for line in row["rows"]]
    assert ("parameters" in figures) == bool(size)
    assert ("score retained on test" in figures) == ("retention" in metrics["test"])


def check_runs_in_tflm(assignment: Assignment, params: Mapping[str, Scalar], folder: Path) -> None:
    model = (folder / "student.int8.tflite").read_bytes()
    candidate = candidate_of(assignment.recipe, params)
    features = recipe(assignment.recipe).training_set(assignment.material, candidate).features[:12]
    ours = host_model(model)
    distance = np.abs(micro_codes(model, ours.quantized(features)) - ours.codes(features))
    assert distance.max() <= ROUNDING_STEPS.get(candidate.student.kind, 1)
    settings = json.loads((folder / "student.json").read_text())
    assert settings["states"] == json.loads(json.dumps([asdict(state) for state in states_of(model)]))
    assert bool(settings["states"]) == read_model(model).is_step


def exported_logits(program: torch.nn.Module, student: torch.nn.Module, clip: torch.Tensor) -> torch.Tensor:
    if not isinstance(student, StreamingStudent):
        return program(clip[None, None])  # type: ignore[no-any-return]
    logits, states = torch.empty(0), list(student.initial_states(1))
    for frame in student.frames(clip[None]):
        logits, *states = program(frame, *states)
    return logits


def check_exported_program(assignment: Assignment, params: Mapping[str, Scalar], folder: Path) -> None:
    program = torch.export.load(folder / "student.pt2").module()
    settings = json.loads((folder / "student.json").read_text())
    candidate = candidate_of(assignment.recipe, params)
    data = recipe(assignment.recipe).training_set(assignment.material, candidate)
    clips = np.array(data.features[data.rows[:24]])
    untrained = build_student(candidate.student, candidate.front_end, len(settings["labels"]))
    floats = torch.cat([exported_logits(program, untrained, torch.from_numpy(clip)) for clip in clips]).detach().numpy()
    int8 = int8_outputs((folder / "student.int8.tflite").read_bytes(), clips)
    assert np.abs(int8 - floats).mean() < 0.05 * np.ptp(floats)
    assert settings["front_end"]["mels"] == candidate.front_end.mels
    assert settings["labels"] == list(assignment.material.corpus.labels)


@pytest.mark.parametrize("student", ["lstm", "gru", "mixednet"])
def test_a_trial_says_how_far_its_steps_lie_from_whole_clips(student: str, speech_folder: Path, tmp_path: Path) -> None:
    assignment, params = assignment_of("wakeword", speech_folder, tmp_path), point("wakeword", student)
    found = run_trial(assignment, 0, params)["streaming"]
    assert found["float_largest"] < 1e-4
    assert 0 < found["int8_mean"] <= found["int8_largest"] < 0.1 * found["logit_range"]
    rows = json.loads((tmp_path / "0" / "evaluation.json").read_text())
    (table,) = [row for row in rows if row["title"].startswith("Logits frame by frame")]
    assert dict(zip(table["columns"], table["rows"][0], strict=True)) == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize("student", ["ds_cnn", pytest.param("gru", marks=pytest.mark.slow)])
def test_a_quantization_aware_trial_keeps_its_footprint_and_tells_what_calibration_gives(
    student: str, speech_folder: Path, tmp_path: Path
) -> None:
    assignment = assignment_of("wakeword", speech_folder, tmp_path, epochs=4)
    pruned = {"prune_from": 2.0} if student == "ds_cnn" else {}
    params = {**point("wakeword", student), "qat": True, "qat_start": 0.5, **pruned}
    metrics = run_trial(assignment, 0, params)
    assert 0 <= metrics["score_int8_ptq"] <= 1
    assert metrics["best_epoch"] >= 2
    assert metrics["footprint"]["arena_bytes"] == footprint_of_untrained(assignment, params).arena_bytes
    rows = json.loads((tmp_path / "0" / "evaluation.json").read_text())
    (table,) = [row for row in rows if row["title"] == "INT8 ranges of the same weights"]
    assert [row[0] for row in table["rows"]] == ["trained with the weights", "calibrated after training"]
    assert [row[1] for row in table["rows"]] == [round(metrics[name], 4) for name in ("score_int8", "score_int8_ptq")]
    check_runs_in_tflm(assignment, params, tmp_path / "0")
    check_exported_program(assignment, params, tmp_path / "0")


@pytest.mark.parametrize(("name", "student"), CASES)
def test_untrained_and_trained_footprints_agree(name: str, student: str, speech_folder: Path, tmp_path: Path) -> None:
    assignment, params = assignment_of(name, speech_folder, tmp_path), point(name, student, seed=1)
    before = footprint_of_untrained(assignment, params)
    after = run_trial(assignment, 0, params)["footprint"]
    assert after["arena_bytes"] == before.arena_bytes
    # A zero point that training moves to 0 spares a kernel one pass over its weights.
    assert after["decision_ms"] == pytest.approx(before.decision_ms, rel=2e-3)
    assert after["flash_bytes"] == before.flash_bytes


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


@pytest.mark.parametrize("layout", ["class folders", "one speaker"])
def test_data_without_speakers_can_be_learnt_from(layout: str, speech_folder: Path, tmp_path: Path) -> None:
    for path in speech_folder.rglob("*.wav"):
        name = path.name.replace("_nohash_", "-") if layout == "class folders" else "anna_nohash_" + path.stem + ".wav"
        target = tmp_path / path.parent.name / name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)
    material = recipe("wakeword").prepare(Request(data=tmp_path, word="up", split="random"))
    assert material.teacher["train"]["f1"] > 0.5
    assert any("speaker" in warning for warning in material.warnings)


def test_a_teacher_without_effect_is_warned_about(speech_folder: Path, tmp_path: Path) -> None:
    assignment = assignment_of("wakeword", speech_folder, tmp_path)
    metrics = run_trial(assignment, 0, {**point("wakeword", "ds_cnn"), "alpha": 1.0})
    assert "alpha=1: the teacher and the temperature have no effect" in metrics["warnings"]


def test_a_ratio_that_the_data_cannot_give_is_warned_about(speech_folder: Path, tmp_path: Path) -> None:
    assignment = assignment_of("wakeword", speech_folder, tmp_path)
    metrics = run_trial(assignment, 0, {**point("wakeword", "ds_cnn"), "neg_per_pos": 15.0})
    assert "neg_per_pos=15.0 acts as 2.0: the training split holds no more negatives" in metrics["warnings"]


def test_a_student_above_its_teacher_is_warned_about(speech_folder: Path, tmp_path: Path) -> None:
    assignment = assignment_of("wakeword", speech_folder, tmp_path)
    assignment.material.teacher["score"] = -1.0  # type: ignore[index]
    metrics = run_trial(assignment, 0, point("wakeword", "ds_cnn"))
    assert "the student scores above its teacher on validation: the labels alone may do" in metrics["warnings"]


@pytest.mark.parametrize("name", RECIPES)
def test_a_summary_names_data_and_teacher(name: str, speech_folder: Path) -> None:
    material = material_of(name, speech_folder)
    lines = recipe(name).summary(material)
    assert material.data["name"] in lines[0]
    assert material.data["split"] in lines[0]
    (teacher,) = (line for line in lines if line.startswith("teacher: "))
    assert "speech_embedding" in teacher
    assert f"{material.teacher['score']:.3f}" in teacher


@pytest.mark.parametrize("name", RECIPES)
def test_arrays_are_all_that_a_worker_reads(name: str, speech_folder: Path) -> None:
    material = material_of(name, speech_folder)
    kept = recipe(name).arrays(material)
    for seed in range(8):
        candidate = candidate_of(name, point(name, students(name)[0], seed))
        assert audio_key(material.corpus, candidate.front_end.clip_samples) in kept


def test_figures_of_the_emotion_recipe_by_hand(speech_folder: Path) -> None:
    material = material_of("speech_emotion", speech_folder)
    rules, corpus = recipe("speech_emotion"), material.corpus
    rows = rules.judged_rows(material)
    target = corpus.targets()[rows]
    perfect = np.eye(3, dtype=np.float32)[target]
    wrong = np.roll(perfect, 1, axis=1)
    found = rules.judge(material, perfect, wrong)
    assert (found.score_int8, found.score_float) == (1.0, 0.0)
    assert found.test["retention"] == pytest.approx(1 / material.teacher["test"]["uar"])
    tables = {row["title"]: row for row in found.rows}
    test = corpus.targets()[corpus.indices("test")]
    assert tables["Test clips, INT8"]["counts"] == np.diag(np.bincount(test)).tolist()
    by_emotion = tables["Test clips by emotion, INT8"]["rows"]
    assert [row[:3] for row in by_emotion] == [
        [label, int((test == number).sum()), 1.0] for number, label in enumerate(corpus.labels)
    ]
    models = {row[0] for row in tables["Validation chose the student; test is only reported"]["rows"]}
    assert models == {"INT8", "float", "teacher", "log-mel statistics"}


def test_a_random_split_of_emotions_names_what_statistics_reach(speech_folder: Path) -> None:
    material = recipe("speech_emotion").prepare(Request(data=speech_folder, split="random"))
    reached = material.data["baseline"]["validation"]["uar"]
    expected = f"--split random: mere log-mel statistics reach UAR {reached:.2f} on validation"
    assert any(warning.startswith(expected) for warning in material.warnings)


def test_a_teacher_under_the_baseline_is_warned_about(speech_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def clueless(spec: str, corpus: Corpus, clip_seconds: float, seed: int) -> Teacher:
        return Teacher(np.tile(np.array([1, 0, 0], np.float32), (len(corpus.clips), 1)), "clueless", "0")

    monkeypatch.setattr(speech_emotion, "taught_by", clueless)
    warnings = recipe("speech_emotion").prepare(Request(data=speech_folder)).warnings
    assert any(warning.startswith("teacher: reaches UAR 0.33 on validation, and mere log-mel") for warning in warnings)


def test_the_emotion_recipe_has_no_word(speech_folder: Path) -> None:
    with pytest.raises(ValueError, match="--word: speech_emotion has no word; leave it out"):
        recipe("speech_emotion").prepare(Request(data=speech_folder, word="up"))


@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"baby_cry"}))
@pytest.mark.parametrize("captures", [{"private": Path("home")}, {"train_on": "private"}])
def test_recipes_without_captures_refuse_them(name: str, captures: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"--private, --train-on: {name} reads no private captures; leave them out"):
        recipe(name).prepare(Request(**captures))


def test_figures_of_the_word_recipe_by_hand(speech_folder: Path) -> None:
    material = material_of("wakeword", speech_folder)
    rules, corpus = recipe("wakeword"), material.corpus
    rows = rules.judged_rows(material)
    target = corpus.targets()[rows]
    perfect = np.stack([1.0 - target, target * 1.0], axis=1).astype(np.float32)
    flipped = perfect[:, ::-1].copy()
    found = rules.judge(material, perfect, flipped)
    assert (found.score_int8, found.test["f1"], found.test["false_positive_rate"]) == (1.0, 1.0, 0.0)
    assert found.score_float < 1.0
    confusion = next(row for row in found.rows if row["type"] == "confusion")
    test = corpus.targets()[corpus.indices("test")]
    assert confusion["counts"] == [[int((test == 0).sum()), 0], [0, int((test == 1).sum())]]
