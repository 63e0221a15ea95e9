"""One trial from its parameters to a scored INT8 student in a folder of its own."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from export.footprint import footprint_of
from export.results import write_atomically
from export.streaming import states_of
from spaces import recipe_space
from spaces.budget import Footprint
from trainables.assignment import Assignment, candidate_of
from trainables.beside_teacher import beside_rows, compression, teacher_costs
from trainables.conversion import runs_on_device
from trainables.distil import Progress, StoppedEarlyError, Teaching, alone, history_csv
from trainables.loss_warnings import loss_warnings, mask_warnings
from trainables.real_time import real_time, real_time_rows
from trainables.recipe import Judgement, Material, recipe
from trainables.taught import Taught, taught_student

if TYPE_CHECKING:
    from torch import nn

    from spaces.candidate import Candidate, Scalar


SCHEMA = 1


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
    return alone(trial(assignment, number, params, on_epoch))


def trial(
    assignment: Assignment, number: int, params: Mapping[str, Scalar], on_epoch: Callable[[Progress], None]
) -> Teaching[dict[str, Any]]:
    """As `run_trial`, for whoever trains the epochs that are due.

    In a population its `total` seconds hold the others' turns too; an epoch's are a share of what it took for all.
    """
    started = time.perf_counter()
    folder = assignment.trials / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    candidate = candidate_of(assignment.recipe, params)
    data = recipe(assignment.recipe).training_set(assignment.material, candidate)
    prepared = time.perf_counter()
    try:
        taught = yield from taught_student(assignment, candidate, data, folder, on_epoch)
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
        "real_time": real_time(candidate_of(assignment.recipe, params).front_end, footprint),
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
    found = (
        loss_warnings(candidate.distillation, taught.progress.history[-1])
        if candidate.masks is None
        else mask_warnings(candidate.masks, taught.progress.history)
    )
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
        *real_time_rows(metrics["real_time"]),
        *_teacher_rows(assignment, metrics),
    ]
    for name, content in taught.judgement.files.items():
        write_atomically(folder / name, content)
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
    rules, material = recipe(assignment.recipe), assignment.material
    return {
        "schema": SCHEMA,
        "recipe": assignment.recipe,
        "student": asdict(candidate.student),
        "front_end": asdict(candidate.front_end),
        "labels": list(rules.labels(material)),
        "values": list(rules.values(material)),
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
