"""Search space of the speech-emotion recipe: a large encoder into Wav2Small and Wav2Tiny students."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from spaces import knobs
from spaces.budget import Budget
from spaces.candidate import Candidate, Objective, Schedule, Student
from spaces.front_end import FrontEnd

if TYPE_CHECKING:
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
_PUBLISHED = {
    "width": 13,
    "mels": 26,
    "hop_ms": 16,
    "clip_ms": 2000,
    "temperature": 2.0,
    "alpha": 0.5,
    "schedule": "flat_then_linear",
    "peak_lr": 2e-4,
}
START_POINTS = (
    {"student": "wav2tiny", "pool": "mean", **_PUBLISHED},
    {"student": "wav2small", "pool": "attention", **_PUBLISHED},
)


def space(trial: BaseTrial) -> Candidate:
    """Front end, student, distillation and schedule of one speech-emotion candidate."""
    return Candidate(
        front_end=_front_end(trial),
        student=_student(trial),
        distillation=knobs.distillation(trial),
        schedule=_schedule(trial),
    )


def _front_end(trial: BaseTrial) -> FrontEnd:
    return FrontEnd(
        mels=trial.suggest_categorical("mels", (26, 40)),
        hop_samples=16 * trial.suggest_categorical("hop_ms", (8, 10, 16, 20)),
        clip_seconds=trial.suggest_categorical("clip_ms", (1000, 1500, 2000)) / 1000,
        decision_seconds=DECISION_SECONDS,
    )


def _student(trial: BaseTrial) -> Student:
    kind = trial.suggest_categorical("student", ("wav2tiny", "wav2small"))
    width = trial.suggest_categorical("width", (8, 13, 16))
    return Student(kind, {"width": width, "pool": trial.suggest_categorical("pool", ("mean", "attention", "gram"))})


def _schedule(trial: BaseTrial) -> Schedule:
    return replace(knobs.schedule(trial), batch=BATCH, weight_decay=WEIGHT_DECAY)
