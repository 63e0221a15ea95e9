"""One trial from its parameters to a scored INT8 student in a folder of its own."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from optuna.trial import FixedTrial

from export.footprint import PROFILER_VERSION, footprint_of
from export.results import write_atomically
from export.streaming import int8_outputs, states_of
from export.tflite import CALIBRATION_CLIPS
from spaces import recipe_space
from spaces.budget import Footprint
from trainables.beside_teacher import beside_rows, compression, teacher_costs
from trainables.cache import cache_folder, content_key
from trainables.calibrated import Calibrated
from trainables.conversion import int8_student, runs_on_device, streaming_difference
from trainables.distil import Progress, Run, StoppedEarlyError, history_csv, logits_of, teach_in_phases
from trainables.loss_warnings import loss_warnings
from trainables.phases import phases_of, plain
from trainables.recipe import Judgement, Material, OnStream, Recipe, recipe
from trainables.streams import after_stream, epoch_hop, int8_decisions, stream_features, windows
from trainables.students import build_student

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from export.calibration import Calibration
    from spaces.board import Board
    from spaces.candidate import Candidate, Scalar
    from trainables.training_set import TrainingSet

SCHEMA = 1


@dataclass(frozen=True)
class Assignment:
    """What every trial of a study has in common.

    `trials` is the folder that holds one folder per trial, `device` a name that torch knows.
    """

    recipe: str
    material: Material
    board: Board
    epochs: int
    seed: int
    trials: Path
    calibration: Calibration | None = None
    device: str = "cpu"


@final
@dataclass(frozen=True)
class Task:
    """One candidate on its way to a worker: its trial number, parameters and costs by objective name.

    `seed`, `epochs` and `trials`, a folder in the results folder, take the place of the assignment's where given.
    """

    number: int
    params: Mapping[str, Scalar]
    costs: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None
    epochs: int | None = None
    trials: str | None = None

    @property
    def name(self) -> str:
        """What tells it from every other task of a run: its folder, as seen from the results folder."""
        return f"{self.trials or 'trials'}/{self.number}"

    def within(self, assignment: Assignment) -> Assignment:
        """The assignment with what this task changes."""
        return replace(
            assignment,
            seed=assignment.seed if self.seed is None else self.seed,
            epochs=self.epochs or assignment.epochs,
            trials=assignment.trials.parent / self.trials if self.trials else assignment.trials,
        )


@dataclass(frozen=True)
class Taught:
    """A trained student with its files' contents and what it learnt from.

    `streaming` is how far its step lies from whole clips, if it has one; `calibrated` what calibration would have made
    of a quantization-aware one.
    """

    network: nn.Module
    progress: Progress
    int8: bytes
    judgement: Judgement
    data: TrainingSet
    streaming: Mapping[str, float]
    calibrated: Calibrated | None = None


def candidate_of(recipe_name: str, params: Mapping[str, Scalar]) -> Candidate:
    """Replay plain parameters into the candidate that they stand for."""
    return recipe_space(recipe_name).space(FixedTrial(dict(params)))


def footprint_of_untrained(assignment: Assignment, params: Mapping[str, Scalar]) -> Footprint:
    """Footprint of the candidate's INT8 .tflite before any training; kept by (architecture, board, profiler)."""
    known = known_footprint(assignment, params)
    if known is not None:
        return known
    candidate = candidate_of(assignment.recipe, params)
    outputs = recipe(assignment.recipe).outputs(assignment.material, candidate)
    with torch.random.fork_rng(devices=[]):
        # The same footprint each time: a zero point of 0, which weights may bring about, spares a kernel some work.
        torch.manual_seed(0)
        network = _with_distinct_weights(build_student(candidate.student, candidate.front_end, outputs))
    clips = np.random.default_rng(0).standard_normal(
        (8, candidate.front_end.frames, candidate.front_end.values_per_frame)
    )
    model = int8_student(network, clips.astype(np.float32))
    footprint = footprint_of(model, assignment.board, candidate.front_end, assignment.calibration)
    keep_footprint(assignment, params, footprint)
    return footprint


def known_footprint(assignment: Assignment, params: Mapping[str, Scalar]) -> Footprint | None:
    """The footprint that this machine's cache holds for the candidate's architecture, if it does."""
    kept = _footprint_path(assignment, params)
    try:
        return Footprint(**json.loads(kept.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def keep_footprint(assignment: Assignment, params: Mapping[str, Scalar], footprint: Footprint) -> None:
    """Put a footprint that was worked out, here or elsewhere, into this machine's cache."""
    write_atomically(_footprint_path(assignment, params), json.dumps(footprint.as_dict()))


def _footprint_path(assignment: Assignment, params: Mapping[str, Scalar]) -> Path:
    converters = [version(name) for name in ("litert-torch", "ai-edge-quantizer")]
    candidate = candidate_of(assignment.recipe, params)
    outputs = recipe(assignment.recipe).outputs(assignment.material, candidate)
    conditions = (PROFILER_VERSION, converters, assignment.board, assignment.calibration, outputs)
    key = content_key("footprint", candidate.architecture, *conditions)
    return cache_folder() / "footprints" / f"{key}.json"


def _with_distinct_weights(network: nn.Module) -> nn.Module:
    # The converter stores equal tensors once, and an untrained student's biases are all zero.
    with torch.no_grad():
        for tensor in [*network.parameters(), *network.buffers()]:
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor), alpha=0.1)
    return network


def run_trial(
    assignment: Assignment,
    number: int,
    params: Mapping[str, Scalar],
    on_epoch: Callable[[Progress], None] = lambda progress: None,
) -> dict[str, Any]:
    """Teach, quantize, score and profile one candidate; write its folder; return the content of metrics.json.

    A trial that was interrupted goes on from its checkpoint; one that `on_epoch` stops by a `StoppedEarlyError` leaves
    its curve and no student. Raises `NotANumberError` when the loss diverges.
    """
    started = time.perf_counter()
    folder = assignment.trials / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    candidate = candidate_of(assignment.recipe, params)
    data = recipe(assignment.recipe).training_set(assignment.material, candidate)
    prepared = time.perf_counter()
    try:
        taught = _taught(assignment, candidate, data, folder, on_epoch)
    except StoppedEarlyError as stopped:
        return _stopped(assignment, number, params, folder, stopped)
    scored = time.perf_counter()
    footprint = footprint_of(taught.int8, assignment.board, candidate.front_end, assignment.calibration)
    seconds = {
        "features": prepared - started,
        "training": sum(row["seconds"] for row in taught.progress.history),
        "teach_convert_score": scored - prepared,
        "total": time.perf_counter() - started,
    }
    metrics = _metrics(assignment, number, params, taught, footprint) | {"seconds": seconds}
    _write(folder, assignment, candidate, taught, metrics)
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    return metrics


def _stopped(
    assignment: Assignment, number: int, params: Mapping[str, Scalar], folder: Path, stopped: StoppedEarlyError
) -> dict[str, Any]:
    metrics = {
        "schema": SCHEMA,
        "number": number,
        "outcome": "stopped",
        "params": dict(params),
        "seed": assignment.seed,
        "reason": stopped.reason,
        "epochs": stopped.progress.epoch,
        "validation_score": stopped.progress.best_score,
    }
    write_atomically(folder / "history.csv", history_csv(stopped.progress.history))
    write_atomically(folder / "metrics.json", json.dumps(metrics, indent=2))
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    return metrics


def _taught(
    assignment: Assignment,
    candidate: Candidate,
    data: TrainingSet,
    folder: Path,
    on_epoch: Callable[[Progress], None],
) -> Taught:
    rules, material = recipe(assignment.recipe), assignment.material
    torch.manual_seed(assignment.seed)
    outputs = rules.outputs(material, candidate)
    calibration = _calibration_clips(data, assignment.seed)
    start, phases = phases_of(
        candidate,
        assignment.epochs,
        lambda student: build_student(student, candidate.front_end, outputs).to(assignment.device),
        calibration,
    )
    run = Run(
        data,
        candidate,
        epochs=assignment.epochs,
        seed=assignment.seed,
        validate=_validation(rules, material, candidate, data),
        checkpoint=folder / "checkpoint.pt",
        identity=_identity(assignment, candidate),
        on_epoch=on_epoch,
    )
    trained, progress = teach_in_phases(start, phases, run)
    network, ranges = plain(trained.cpu())
    model = int8_student(network, calibration, ranges)
    judged = np.ascontiguousarray(data.features[rules.judged_rows(material)])
    int8, float32 = int8_outputs(model, judged), logits_of(network, judged)
    streaming = streaming_difference(network, judged, float32, int8)
    judgement = rules.judge(material, int8, float32)
    if material.streams:
        judgement = rules.with_streams(
            material, candidate.front_end, judgement, _on_streams(model, material, candidate, data)
        )
    taught = Taught(network, progress, model, judgement, data, streaming)
    if ranges is None:
        return taught
    calibrated = int8_outputs(int8_student(network, calibration), judged)
    by_calibration = rules.judge(material, calibrated, float32)
    return replace(taught, calibrated=Calibrated.of(by_calibration, int8, calibrated, float32))


def _calibration_clips(data: TrainingSet, seed: int) -> NDArray[np.float32]:
    clips = min(CALIBRATION_CLIPS, len(data.rows))
    return np.asarray(data.features[np.random.default_rng(seed).choice(data.rows, clips, replace=False)])


def _on_streams(model: bytes, material: Material, candidate: Candidate, data: TrainingSet) -> dict[str, OnStream]:
    heard = {}
    for split, stream in material.streams.items():
        frames = stream_features(stream, candidate.front_end)
        rows = material.corpus.indices(split)
        clips = np.ascontiguousarray(data.features[rows[material.corpus.targets()[rows] > 0]])
        heard[split] = OnStream(
            after_stream(model, clips, frames, candidate.front_end), int8_decisions(model, frames, candidate.front_end)
        )
    return heard


def _validation(
    rules: Recipe, material: Material, candidate: Candidate, data: TrainingSet
) -> Callable[[nn.Module], float]:
    """What orders the epochs: the recipe's score, or under a ceiling of false alarms what the recipe makes of it."""
    rows = material.corpus.indices("validation")
    features = np.ascontiguousarray(data.features[rows])
    if material.max_false_alarms_per_hour is None:
        return lambda student: rules.score(material, rows, logits_of(student, features))
    front_end = candidate.front_end
    stream = windows(stream_features(material.streams["validation"], front_end), front_end, epoch_hop(front_end))
    return lambda student: rules.score_under_ceiling(
        material, front_end, rows, logits_of(student, features), logits_of(student, stream)
    )


def _identity(assignment: Assignment, candidate: Candidate) -> str:
    # A folder may hold the checkpoint of another candidate, whose number was given anew.
    material = assignment.material
    facts = [part.get("content_hash") for part in (material.data, material.teacher)]
    views = material.views.content_hash if material.views else ""
    ceiling = material.max_false_alarms_per_hour
    heard = (material.teacher_layers, views, ceiling)
    return content_key("checkpoint", candidate, assignment.seed, assignment.epochs, facts, *heard)


def _metrics(
    assignment: Assignment, number: int, params: Mapping[str, Scalar], taught: Taught, footprint: Footprint
) -> dict[str, Any]:
    judgement = taught.judgement
    parameters = sum(weight.numel() for weight in taught.network.parameters())
    return {
        "schema": SCHEMA,
        "number": number,
        "outcome": "trained",
        "params": dict(params),
        "seed": assignment.seed,
        "objectives": _objectives(assignment.recipe, judgement, footprint),
        "tflite_sha256": hashlib.sha256(taught.int8).hexdigest(),
        "score_int8": judgement.score_int8,
        "score_float": judgement.score_float,
        **({"score_int8_ptq": taught.calibrated.judgement.score_int8} if taught.calibrated else {}),
        "validation": dict(judgement.validation),
        "test": dict(judgement.test),
        "streaming": dict(taught.streaming),
        "beside_teacher": _beside_teacher(assignment, judgement),
        "footprint": footprint.as_dict(),
        "parameters": parameters,
        "compression": compression(assignment.material.teacher, parameters),
        "best_epoch": taught.progress.best_epoch,
        "warnings": _warnings(assignment.material, candidate_of(assignment.recipe, params), taught),
    }


def _beside_teacher(assignment: Assignment, judgement: Judgement) -> dict[str, Any]:
    """F1 on test beside the teacher's, for recipes that state a margin."""
    margin = recipe(assignment.recipe).f1_margin
    teacher = assignment.material.teacher.get("test", {}).get("f1")
    if margin is None or teacher is None:
        return {}
    ours = judgement.test["f1"]
    return {"f1": ours, "teacher_f1": teacher, "margin": margin, "within_margin": ours >= teacher - margin}


def _objectives(recipe_name: str, judgement: Judgement, footprint: Footprint) -> dict[str, Any]:
    values = {"score": judgement.score_int8, **footprint.as_dict()}
    return {objective.name: values[objective.name] for objective in recipe_space(recipe_name).OBJECTIVES}


def _warnings(material: Material, candidate: Candidate, taught: Taught) -> list[str]:
    found = loss_warnings(candidate.distillation, taught.progress.history[-1])
    if taught.judgement.score_int8 > material.teacher.get("score", math.inf):
        found.append("the student scores above its teacher on validation: the labels alone may do")
    mix, had = candidate.data_mix, taught.data.most_neg_per_pos
    if mix is not None and mix.neg_per_pos > had:
        found.append(f"neg_per_pos={mix.neg_per_pos:.1f} acts as {had:.1f}: the training split holds no more negatives")
    return found


def _write(
    folder: Path, assignment: Assignment, candidate: Candidate, taught: Taught, metrics: Mapping[str, Any]
) -> None:
    write_atomically(folder / "student.int8.tflite", taught.int8)
    _write_exported(folder / "student.pt2", taught.network, candidate)
    write_atomically(folder / "student.json", json.dumps(_student(assignment, candidate, taught), indent=2))
    rows = [
        *taught.judgement.rows,
        *_streaming_rows(taught),
        *_calibrated_rows(taught),
        *_teacher_rows(assignment, metrics),
    ]
    write_atomically(folder / "evaluation.json", json.dumps(rows))
    write_atomically(folder / "history.csv", history_csv(taught.progress.history))
    # Last, because a folder with metrics.json counts as finished.
    write_atomically(folder / "metrics.json", json.dumps(metrics, indent=2))


def _streaming_rows(taught: Taught) -> list[dict[str, Any]]:
    if not taught.streaming:
        return []
    columns = list(taught.streaming)
    values = [round(taught.streaming[name], 6) for name in columns]
    title = "Logits frame by frame, less the float student's of whole clips"
    return [{"type": "table", "title": title, "columns": columns, "rows": [values]}]


def _teacher_rows(assignment: Assignment, metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    teacher = recipe(assignment.recipe).device_teacher(assignment.material)
    on_device = teacher_costs(teacher, assignment.board, assignment.calibration) if teacher else None
    return beside_rows(assignment.material.teacher, metrics, on_device)


def _calibrated_rows(taught: Taught) -> list[dict[str, Any]]:
    return [] if taught.calibrated is None else [taught.calibrated.row(taught.judgement)]


def _student(assignment: Assignment, candidate: Candidate, taught: Taught) -> dict[str, Any]:
    classes = taught.data.class_of_output
    return {
        "schema": SCHEMA,
        "recipe": assignment.recipe,
        "student": asdict(candidate.student),
        "front_end": asdict(candidate.front_end),
        "labels": list(assignment.material.corpus.labels),
        # The device sums the softmax over the outputs of each label; null: they are one and the same.
        "class_of_output": None if classes is None else classes.tolist(),
        "states": [asdict(state) for state in states_of(taught.int8)],
        "decision": dict(taught.judgement.decision),
    }


def _write_exported(path: Path, network: nn.Module, candidate: Candidate) -> None:
    network = network.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    logging.getLogger("torch.export").setLevel(logging.ERROR)
    front_end = candidate.front_end
    program = torch.export.export(*runs_on_device(network, front_end.frames, front_end.values_per_frame))
    partial = path.with_name(f"student.{os.getpid()}.tmp.pt2")
    torch.export.save(program, partial)
    partial.replace(path)
