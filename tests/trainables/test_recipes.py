"""The contract that every recipe and each of its students passes: trains, converts, runs in TFLM, is scored as INT8."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import spaces
from export.evaluation_rows import drawn
from export.latency import feature_cost
from export.markup import html
from export.operators import read_model
from export.streaming import int8_outputs, states_of
from export.tflite import host_interpreter
from spaces.candidate import Scalar
from spaces.front_end import micro_front_end
from tests.export.tflm_codes import host_model, micro_codes
from tests.trainables.points import CASES, RECIPES, assignment_of, material_of, point, students
from trainables import recipes as recipes_folder
from trainables.assignment import Assignment, candidate_of
from trainables.corpora.audio import audio_key
from trainables.recipe import recipe
from trainables.students import build_student
from trainables.students.streaming import StreamingStudent
from trainables.trial import run_trial
from trainables.untrained import footprint_of_untrained

# torch.export.load, once per process.
pytestmark = pytest.mark.filterwarnings("ignore:The given buffer is not writable")

# Outputs of the host's kernels beside TFLM's: in 20 layers, or through states, single steps add up.
ROUNDING_STEPS = {"resnet18": 4, "lstm": 4, "gru": 4, "mixednet": 2, "mobile_vit": 4, "cruse": 8}
# A transformer takes longer until its outputs vary from clip to clip.
EPOCHS = {"mobile_vit": 40, "cruse": 4}
# What a recipe's evaluation.json holds besides tables.
PICTURES = {
    "wakeword": {"confusion", "curve", "det", "calibration"},
    "baby_cry": {"confusion", "curve", "det", "calibration"},
    "speech_emotion": {"confusion", "calibration"},
    "valence_arousal": {"calibration"},
    "speech_enhancement": {"audio"},
}


def test_every_space_has_its_recipe() -> None:
    files = {path.stem for path in Path(recipes_folder.__path__[0]).glob("*.py")} - {"__init__"}
    assert files == set(RECIPES)


def test_unknown_recipe_is_named() -> None:
    with pytest.raises(
        ValueError,
        match="'sneeze' is unknown; there are baby_cry, speech_emotion, speech_enhancement, valence_arousal, wakeword",
    ):
        recipe("sneeze")


@pytest.mark.parametrize(("name", "student"), CASES)
def test_a_trial_from_parameters_to_files(name: str, student: str, speech_folder: Path, tmp_path: Path) -> None:
    assignment, params = assignment_of(name, speech_folder, tmp_path, EPOCHS.get(student, 8)), point(name, student)
    metrics = run_trial(assignment, 7, params)
    folder = tmp_path / "7"
    assert json.loads((folder / "metrics.json").read_text()) == json.loads(json.dumps(metrics))
    assert metrics["outcome"] == "trained"
    objectives = [objective.name for objective in spaces.recipe_space(name).OBJECTIVES]
    assert set(objectives) <= set(metrics["objectives"])
    assert all(np.isfinite(metrics["objectives"][objective]) for objective in objectives)
    assert not (folder / "checkpoint.pt").exists()
    check_beside_teacher(assignment, metrics, folder)
    check_report_draws(name, folder)
    check_runs_in_tflm(assignment, params, folder)
    check_exported_program(assignment, params, folder)


@pytest.mark.parametrize("student", ["ds_cnn", "gru"])
def test_a_student_of_tflms_features_runs_in_tflm(student: str, speech_folder: Path, tmp_path: Path) -> None:
    assignment = assignment_of("wakeword", speech_folder, tmp_path)
    params = {**point("wakeword", student), "front_end": "micro", "view_share": 0.25}
    taken = {name: value for name, value in params.items() if name not in ("mels", "hop_ms")}
    metrics = run_trial(assignment, 7, taken)
    assert metrics["outcome"] == "trained"
    folder = tmp_path / "7"
    assert json.loads((folder / "student.json").read_text())["front_end"] == asdict(micro_front_end())
    model = (folder / "student.int8.tflite").read_bytes()
    assert host_interpreter(model).get_input_details()[0]["quantization"] == (1 / 64, -88)
    check_runs_in_tflm(assignment, taken, folder)
    footprint = metrics["footprint"]
    invokes = 1 if student == "ds_cnn" else 10
    features_ms = 10 * feature_cost(micro_front_end()).cycles / 240_000
    assert footprint["decision_ms"] == pytest.approx(invokes * footprint["latency_ms"] + features_ms)


def check_beside_teacher(assignment: Assignment, metrics: Mapping[str, Any], folder: Path) -> None:
    size = assignment.material.teacher.get("parameters")
    assert metrics["compression"] == (size / metrics["parameters"] if size else None)
    rows = json.loads((folder / "evaluation.json").read_text())
    figures = [line[0] for row in rows if row.get("title") == "Beside the teacher" for line in row["rows"]]
    assert ("parameters" in figures) == bool(size)
    assert ("score retained on test" in figures) == ("retention" in metrics["test"])


def check_report_draws(name: str, folder: Path) -> None:
    rows = json.loads((folder / "evaluation.json").read_text())
    assert {row["type"] for row in rows} == {"table"} | PICTURES[name]
    said = [html(drawn(row)[1]) for row in rows]
    assert not [text for text in said if "malformed" in text or "draws no rows" in text or "nan" in text]
    assert (folder / "evaluation.json").stat().st_size < 100_000


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
    # Where every frame counts, few clips tell enough.
    clips = np.array(data.features[data.rows[: 3 if candidate.masks else 24]])
    outputs = recipe(assignment.recipe).outputs(assignment.material, candidate)
    untrained = build_student(candidate.student, candidate.front_end, outputs)
    floats = torch.cat([exported_logits(program, untrained, torch.from_numpy(clip)) for clip in clips]).detach().numpy()
    int8 = int8_outputs((folder / "student.int8.tflite").read_bytes(), clips)
    assert np.abs(int8 - floats).mean() < 0.05 * np.ptp(floats)
    assert settings["front_end"]["mels"] == candidate.front_end.mels
    rules = recipe(assignment.recipe)
    assert settings["labels"] == list(rules.labels(assignment.material))
    assert settings["values"] == list(rules.values(assignment.material))
    named = settings["labels"] if settings["class_of_output"] is None else settings["class_of_output"]
    assert len(named or settings["values"] or range(candidate.front_end.values_per_frame)) == floats.shape[-1]


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
    assignment = assignment_of("wakeword", speech_folder, tmp_path, epochs=24)
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


@pytest.mark.parametrize("name", RECIPES)
def test_a_summary_names_data_and_teacher(name: str, speech_folder: Path) -> None:
    material = material_of(name, speech_folder)
    lines = recipe(name).summary(material)
    assert material.data["name"] in lines[0]
    assert material.data["split"] in lines[0]
    (teacher,) = (line for line in lines if line.startswith("teacher: "))
    assert spaces.recipe_space(name).TEACHER in teacher
    assert f"{material.teacher['score']:.3f}" in teacher


@pytest.mark.parametrize("name", RECIPES)
def test_arrays_are_all_that_a_worker_reads(name: str, speech_folder: Path) -> None:
    material = material_of(name, speech_folder)
    kept = recipe(name).arrays(material)
    for seed in range(8):
        candidate = candidate_of(name, point(name, students(name)[0], seed))
        own = material.mixtures
        assert (own.key if own else audio_key(material.corpus, candidate.front_end.clip_samples)) in kept
