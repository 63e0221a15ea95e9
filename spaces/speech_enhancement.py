"""Search space of the speech-enhancement recipe: a large CRUSE into small ones, in two steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from spaces import knobs
from spaces.ablation import Setting
from spaces.budget import Budget
from spaces.candidate import (
    Candidate,
    Distillation,
    GramKind,
    MapChoice,
    MaskDistillation,
    MaskMode,
    Objective,
    Scalar,
    Student,
)
from spaces.front_end import FrontEnd

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

SUMMARY = "speech enhancement: CRUSE -> CRUSE of 62 K or 30 K that masks spectra frame by frame, taught in two steps"
OBJECTIVES = (
    Objective("score", "maximize"),
    Objective("decision_ms", "minimize"),
    Objective("arena_bytes", "minimize"),
)
# A decision is one hop of 10 ms: above that no board keeps up.
BUDGET = Budget(flash_bytes=512 * 1024, arena_bytes=128 * 1024, latency_ms=10.0)
# Its octal PSRAM holds the weights: read from flash, those of the GRUs of a 62 K student take 1.6 ms more.
BOARD = "esp32-s3-devkitc-1-n8r8"
TEACHER = "cruse"
EPOCHS = 20
# 100 epochs of the first step and 300 of the second.
SOURCE_EPOCHS = 400
BATCH = 16
CLIP_SECONDS = 3.0

# 20 ms square-root Hann, half overlapping, 161 bins, as published. Constants put speech at -35 to -15 dBFS within +-2.
FRONT_END = FrontEnd(
    kind="log_power",
    window_samples=320,
    hop_samples=160,
    n_fft=320,
    clip_seconds=CLIP_SECONDS,
    decision_seconds=0.01,
    log_floor=1e-6,
    log_mean=-5.0,
    log_std=4.0,
)

# The source names no channels: the nearest of this family to its parameters, in five layers.
SIZES: dict[str, dict[str, Scalar]] = {
    "1.9M": {"cruse_width": 16, "cruse_depth": 5, "cruse_top": 122, "cruse_groups": 2, "cruse_slope": 0.2},
    "350K": {"cruse_width": 16, "cruse_depth": 5, "cruse_top": 64, "cruse_groups": 4, "cruse_slope": 0.2},
    "62K": {"cruse_width": 5, "cruse_depth": 5, "cruse_top": 21, "cruse_groups": 2, "cruse_slope": 0.2},
    "30K": {"cruse_width": 6, "cruse_depth": 5, "cruse_top": 14, "cruse_groups": 2, "cruse_slope": 0.2},
}
PARAMETERS = {"1.9M": 1_900_000, "350K": 350_000, "62K": 62_000, "30K": 30_000}

# Of the source's rate, 8e-5 for 400 epochs, nothing is learnt in twenty.
_TRAINED: dict[str, Scalar] = {"student": "cruse", "schedule": "flat_then_linear", "peak_lr": 2e-3}
_GRAMS: dict[str, Scalar] = {"gram": "time_frequency", "maps": "all"}
_TWO_STEP: dict[str, Scalar] = {"distillation": "two_step", **_GRAMS, "first_share": 0.25}
_ONE_STEP: dict[str, Scalar] = {"distillation": "one_step", **_GRAMS, "alpha": 0.5}
_OUTPUT: dict[str, Scalar] = {"distillation": "output", "alpha": 0.5}
# What makes a student's twin without a teacher.
LABELS_ALONE: dict[str, Scalar] = {"distillation": "none"}
START_POINTS: tuple[dict[str, Scalar], ...] = tuple({**_TRAINED, **SIZES[size], **_TWO_STEP} for size in ("62K", "30K"))


def _modes(size: str) -> list[Setting]:
    alone = f"{size}, labels alone"
    taught = {"output KD": _OUTPUT, "one step": _ONE_STEP, "two steps, 1:3": _TWO_STEP}
    student = {**_TRAINED, **SIZES[size]}
    return [
        Setting(alone, {**student, **LABELS_ALONE}),
        *(Setting(f"{size}, {name}", {**student, **mode}, against=alone) for name, mode in taught.items()),
    ]


ABLATION = (*_modes("62K"), *_modes("30K"))
# Of test, beside the score: the source states its gains at each SNR.
ABLATION_FIGURES = tuple(f"sdr_improvement_db_at_{snr}db" for snr in (-5, 0, 5))


def space(trial: BaseTrial) -> Candidate:
    """Student, distillation and schedule of one speech-enhancement candidate."""
    student = _student(trial)
    masks, alpha = _masks(trial)
    return Candidate(
        front_end=FRONT_END,
        student=student,
        distillation=Distillation(temperature=1.0, alpha=alpha),
        schedule=replace(knobs.schedule(trial), batch=BATCH),
        masks=masks,
    )


def _student(trial: BaseTrial) -> Student:
    kind = trial.suggest_categorical("student", ("cruse",))
    return Student(
        kind,
        {
            "width": trial.suggest_int("cruse_width", 3, 16),
            "depth": trial.suggest_int("cruse_depth", 4, 5),
            "top": trial.suggest_int("cruse_top", 8, 128),
            "groups": trial.suggest_categorical("cruse_groups", (1, 2, 4, 8)),
            "slope": trial.suggest_categorical("cruse_slope", (0.0, 0.2)),
        },
    )


def _masks(trial: BaseTrial) -> tuple[MaskDistillation, float]:
    """What is learnt from the teacher, and the weight of the labels beside it."""
    mode = cast("MaskMode", trial.suggest_categorical("distillation", ("none", "output", "one_step", "two_step")))
    alpha = {"none": 1.0, "two_step": 0.0}.get(mode)
    if alpha is None:
        alpha = trial.suggest_float("alpha", 0.0, 1.0)
    if mode in ("none", "output"):
        return MaskDistillation(mode), alpha
    gram = trial.suggest_categorical("gram", ("time_frequency", "time", "frequency", "batch"))
    maps = trial.suggest_categorical("maps", ("all", "encoder", "bottleneck", "decoder"))
    share = trial.suggest_float("first_share", 0.05, 0.75) if mode == "two_step" else 0.0
    return MaskDistillation(mode, cast("GramKind", gram), cast("MapChoice", maps), share), alpha
