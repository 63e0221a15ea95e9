"""Search space of the speech-emotion recipe: a large encoder into Wav2Small and Wav2Tiny students."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from spaces import knobs
from spaces.ablation import Setting
from spaces.budget import Budget
from spaces.candidate import Candidate, Distillation, Objective, Scalar, Schedule, Student
from spaces.front_end import FrontEnd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna.trial import BaseTrial

SUMMARY = "speech emotion: Wav2Vec2 or a speech embedding -> Wav2Small, Wav2Tiny"
OBJECTIVES = (
    Objective("score", "maximize"),
    Objective("decision_ms", "minimize"),
    Objective("arena_bytes", "minimize"),
)
BUDGET = Budget(flash_bytes=192 * 1024, arena_bytes=160 * 1024, latency_ms=300.0)
BOARD = "esp32-s3-devkitc-1-n8"
EPOCHS = 20
SOURCE_EPOCHS = 10
DECISION_SECONDS = 0.5
# The source's, from ujpjm30/Knowledge-Distillation-for-TinyML-Embedded-AI.
BATCH = 16
WEIGHT_DECAY = 7e-3

# The source's best setting for its two students: T 2, alpha .5, 26 mels, AdamW 2e-4. Its 2 ms hop makes one activation
# of 338 KB, and two live at once: 16 ms is the nearest that SRAM holds. It names no schedule: the Trainer that it uses
# falls linearly, and flat_then_linear is the nearest of ours.
_PUBLISHED: dict[str, Scalar] = {
    "width": 13,
    "mels": 26,
    "hop_ms": 16,
    "n_fft": 512,
    "clip_ms": 2000,
    "temperature": 2.0,
    "alpha": 0.5,
    "alignment_weight": 0.0,
    "schedule": "flat_then_linear",
    "peak_lr": 2e-4,
}
START_POINTS: tuple[dict[str, Scalar], ...] = (
    {"student": "wav2tiny", "pool": "mean", "assistant": "none", **_PUBLISHED},
    {"student": "wav2small", "pool": "attention", **_PUBLISHED},
)
# Who may stand between the teacher and Wav2Tiny.
ASSISTANTS = {"wav2small": START_POINTS[1]}
# 4 ms, as published, 16 and 25 ms.
WINDOW_SAMPLES = {64: 64, 256: 256, 512: 400}


def _grid(student: Mapping[str, Scalar]) -> list[Setting]:
    alone = f"{student['student']}, labels alone"
    taught = [
        Setting(
            f"{student['student']}, T={temperature} alpha={alpha}",
            {**student, "temperature": float(temperature), "alpha": alpha},
            against=alone,
        )
        for temperature in (1, 2, 3)
        for alpha in (0.0, 0.5)
    ]
    # At alpha 1 the temperature has no effect: one setting stands for the grid's three.
    return [Setting(alone, {**student, "temperature": 1.0, "alpha": 1.0}), *taught]


# The source's grid at a hop that SRAM holds, and its own 2 ms hop and 4 ms window once.
ABLATION = (
    *(setting for student in START_POINTS for setting in _grid(student)),
    Setting(
        "wav2tiny by wav2small, T=2 alpha=0.5",
        {**START_POINTS[0], "assistant": "wav2small"},
        against="wav2tiny, T=2 alpha=0.5",
    ),
    Setting("wav2tiny, hop of 2 ms", {**START_POINTS[0], "hop_ms": 2, "n_fft": 64}, once=True),
)


def space(trial: BaseTrial) -> Candidate:
    """Front end, student, distillation and schedule of one speech-emotion candidate."""
    front_end, student = _front_end(trial), _student(trial)
    return Candidate(
        front_end=front_end,
        student=student,
        distillation=_distillation(trial, student),
        schedule=_schedule(trial),
    )


def _front_end(trial: BaseTrial) -> FrontEnd:
    n_fft = trial.suggest_categorical("n_fft", tuple(WINDOW_SAMPLES))
    return FrontEnd(
        n_fft=n_fft,
        window_samples=WINDOW_SAMPLES[n_fft],
        mels=trial.suggest_categorical("mels", (26, 40)),
        hop_samples=16 * trial.suggest_categorical("hop_ms", (2, 4, 8, 10, 16, 20)),
        clip_seconds=trial.suggest_categorical("clip_ms", (1000, 1500, 2000)) / 1000,
        decision_seconds=DECISION_SECONDS,
    )


def _student(trial: BaseTrial) -> Student:
    kind = trial.suggest_categorical("student", ("wav2tiny", "wav2small"))
    width = trial.suggest_categorical("width", (8, 13, 16))
    return Student(kind, {"width": width, "pool": trial.suggest_categorical("pool", ("mean", "attention", "gram"))})


def _distillation(trial: BaseTrial, student: Student) -> Distillation:
    choices = ("none", *ASSISTANTS)
    assistant = trial.suggest_categorical("assistant", choices) if student.kind == "wav2tiny" else "none"
    return replace(
        knobs.distillation(trial),
        assistant=assistant if assistant in ASSISTANTS else None,
        alignment_weight=knobs.alignment_weight(trial),
    )


def _schedule(trial: BaseTrial) -> Schedule:
    return replace(knobs.schedule(trial), batch=BATCH, weight_decay=WEIGHT_DECAY)
