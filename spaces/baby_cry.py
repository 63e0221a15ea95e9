"""Search space of the baby-cry recipe: YAMNet into a DS-CNN of 80,713 weights and its family."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from spaces import knobs
from spaces.ablation import Setting
from spaces.budget import Budget
from spaces.candidate import Augmentation, Candidate, DataMix, Objective, Scalar, Schedule, Student, TeacherFilter
from spaces.front_end import FrontEnd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna.trial import BaseTrial

SUMMARY = "baby cry: YAMNet or a speech embedding -> DS-CNN"
OBJECTIVES = (
    Objective("score", "maximize"),
    Objective("decision_ms", "minimize"),
    Objective("arena_bytes", "minimize"),
)
BUDGET = Budget(flash_bytes=160 * 1024, arena_bytes=128 * 1024, latency_ms=200.0)
BOARD = "waveshare-esp32-s3-cam-gc2145"
TEACHER = "speech_embedding"
EPOCHS = 20
SOURCE_EPOCHS = 60
# YAMNet's patch: 96 frames need 0.975 s. A device decides with every half patch.
WINDOW_SECONDS = 0.975
DECISION_SECONDS = 0.48
BATCH = 32
# What the head tells apart: YAMNet's 521 classes, whose two cries are summed, or a cry and everything else.
YAMNET_HEAD, CRY_HEAD = "yamnet", "cry"
# YAMNet's magnitudes, band and floor, but triangles that are straight in Hz where YAMNet's are straight in mel.
YAMNET_FRONT_END = FrontEnd(
    clip_seconds=WINDOW_SECONDS,
    mels=64,
    low_hz=125.0,
    high_hz=7_500.0,
    log_floor=1e-3,
    log_mean=-2.0,
    log_std=3.0,
    decision_seconds=DECISION_SECONDS,
    spectrum_power=1,
)

# The settings of chayuto/yamnet-cry-distill-int8 (positives above .30, negatives below .05, three to one, AdamW 1e-3,
# a tenth from half way, the teacher alone), with its 521-way head and with two outputs.
_PUBLISHED: dict[str, Scalar] = {
    "front_end": "yamnet",
    "student": "cry_ds_cnn",
    "width": 8,
    "depth": 4,
    "temperature": 1.0,
    "alpha": 0.0,
    "schedule": "step",
    "peak_lr": 1e-3,
    "resample": True,
    "neg_per_pos": 3.0,
    "filter": True,
    "positive_above": 0.30,
    "negative_below": 0.05,
    "view_share": 0.0,
}
# What makes a student's twin without a teacher, whose filter of the training windows stays: it is of the data.
LABELS_ALONE: dict[str, Scalar] = {"alpha": 1.0, "temperature": 1.0}
START_POINTS: tuple[dict[str, Scalar], ...] = ({**_PUBLISHED, "head": YAMNET_HEAD}, {**_PUBLISHED, "head": CRY_HEAD})

# The source's ladder, each rung on top of the one before. With two outputs, so that any teacher can teach it.
_LADDER: dict[str, dict[str, Scalar]] = {
    "random windows": {"resample": False, "filter": False, "schedule": "constant"},
    "+ teacher's filter": {"resample": False, "schedule": "constant"},
    "+ three negatives to a positive": {"schedule": "constant"},
    "+ a tenth of the rate from half way": {},
}
_NEEDS = {"neg_per_pos": "resample", "positive_above": "filter", "negative_below": "filter"}


def _rung(changes: Mapping[str, Scalar]) -> dict[str, Scalar]:
    whole = {**START_POINTS[1], **changes}
    return {name: value for name, value in whole.items() if whole.get(_NEEDS.get(name, ""), True)}


ABLATION = tuple(
    Setting(name, _rung(changes), against=before)
    for before, (name, changes) in zip((None, *_LADDER), _LADDER.items(), strict=False)
)
ABLATION_FIGURES: tuple[str, ...] = ()


def space(trial: BaseTrial) -> Candidate:
    """Front end, student, distillation, schedule, data mix and teacher's filter of one baby-cry candidate."""
    return Candidate(
        front_end=_front_end(trial),
        student=_student(trial),
        distillation=knobs.distillation(trial),
        schedule=_schedule(trial),
        data_mix=_data_mix(trial),
        teacher_filter=_teacher_filter(trial),
        augmentation=Augmentation(view_share=knobs.view_share(trial)),
    )


def _front_end(trial: BaseTrial) -> FrontEnd:
    if trial.suggest_categorical("front_end", ("yamnet", "log_mel")) == "yamnet":
        return YAMNET_FRONT_END
    return FrontEnd(
        mels=trial.suggest_categorical("mels", (32, 40)),
        hop_samples=16 * trial.suggest_categorical("hop_ms", (10, 20)),
        clip_seconds=WINDOW_SECONDS,
        decision_seconds=DECISION_SECONDS,
    )


def _student(trial: BaseTrial) -> Student:
    kind = trial.suggest_categorical("student", ("cry_ds_cnn",))
    return Student(
        kind,
        {
            "width": trial.suggest_categorical("width", (4, 6, 8, 12, 16)),
            "depth": trial.suggest_int("depth", 2, 5),
            "head": trial.suggest_categorical("head", (YAMNET_HEAD, CRY_HEAD)),
        },
    )


def _schedule(trial: BaseTrial) -> Schedule:
    return replace(knobs.schedule(trial, (*knobs.SCHEDULES, "constant")), batch=BATCH)


def _data_mix(trial: BaseTrial) -> DataMix | None:
    return knobs.data_mix(trial) if trial.suggest_categorical("resample", (True, False)) else None


def _teacher_filter(trial: BaseTrial) -> TeacherFilter | None:
    if not trial.suggest_categorical("filter", (True, False)):
        return None
    return TeacherFilter(
        positive_above=trial.suggest_float("positive_above", 0.15, 0.6),
        negative_below=trial.suggest_float("negative_below", 0.01, 0.15),
    )
