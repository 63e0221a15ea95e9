"""Search space of the wake-word recipe: Wav2Vec2 or a speech embedding into students with or without states."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from spaces import knobs
from spaces.ablation import Setting
from spaces.budget import Budget
from spaces.candidate import Augmentation, Candidate, Objective, Pruning, Scalar, Schedule, Student
from spaces.front_end import FrontEnd, micro_front_end
from spaces.wakeword_students import PRUNABLE, student

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna.trial import BaseTrial

SUMMARY = "wake word: Wav2Vec2 or a speech embedding -> nine kinds of students, from TinyConv to streaming MixedNet"
OBJECTIVES = (
    Objective("score", "maximize"),
    Objective("decision_ms", "minimize"),
    Objective("arena_bytes", "minimize"),
)
BUDGET = Budget(flash_bytes=128 * 1024, arena_bytes=100 * 1024, latency_ms=50.0)
BOARD = "esp32-s3-devkitc-1-n8"
TEACHER = "speech_embedding"
EPOCHS = 20
# The no-PSRAM preset of the source.
SOURCE_EPOCHS = 150
PATIENCE = 15
# What makes a student's twin without a teacher: at alpha 1 the temperature means nothing.
LABELS_ALONE: dict[str, Scalar] = {"alpha": 1.0, "temperature": 1.0, "alignment_weight": 0.0}
# The source's lengths of a clip: without PSRAM, and otherwise.
CLIP_SECONDS = (1.0, 1.5)
# Log-mels, or what micro-wake-word's models hear under ESPHome.
FRONT_ENDS = ("log_mel", "micro")

# The no-PSRAM preset of sarpel/wakeword-training-platform: TinyConv [16, 32, 64, 64], 40 mels, 1 s, T 4, teacher's
# weight 0.7, label smoothing, averaged weights, SpecAugment, half of the clips in noise and a quarter in a room. It
# names neither ratio nor schedule: three negatives to a positive and a cosine are ours.
_NO_PSRAM: dict[str, Scalar] = {
    "front_end": "log_mel",
    "clip_ms": 1000,
    "mels": 40,
    "hop_ms": 10,
    "student": "tiny_conv",
    "tiny_conv_width": 16,
    "tiny_conv_depth": 4,
    "tiny_conv_depthwise": False,
    "temperature": 4.0,
    "alpha": 0.3,
    "alignment_weight": 0.0,
    "schedule": "cosine",
    "peak_lr": 1e-3,
    "neg_per_pos": 3.0,
    "hard_negatives": 0.0,
    "label_smoothing": 0.1,
    "hard_loss": "cross_entropy",
    "ema_decay": 0.999,
    "mask_share": 0.1,
    "view_share": 0.5,
    "qat": False,
    "prune_from": 1.0,
}
# Its general preset (T 3, teacher's weight 0.6) and the one for a teacher of one's own (T 2.5, weight 0.5), both at
# 1.5 s and 64 mels. They name no student that would fit a microcontroller: the TinyConv is ours.
_LONG: dict[str, Scalar] = {**_NO_PSRAM, "clip_ms": 1500, "mels": 64}
START_POINTS: tuple[dict[str, Scalar], ...] = (
    _NO_PSRAM,
    {**_LONG, "temperature": 3.0, "alpha": 0.4},
    {**_LONG, "temperature": 2.5, "alpha": 0.5},
)

_SMALL: dict[str, Scalar] = {
    **{name: value for name, value in START_POINTS[0].items() if not name.startswith("tiny_conv")},
    "student": "ds_cnn",
    "hop_ms": 20,
    "ds_cnn_width": 32,
    "ds_cnn_depth": 3,
    "ds_cnn_second_stride": 1,
    "peak_lr": 3e-3,
}
_TINY_NAME, _SMALL_NAME = "TinyConv preset", "DS-CNN 32 x 3"


def _teaching(name: str, student: Mapping[str, Scalar]) -> list[Setting]:
    alone = f"{name}, labels alone"
    half = {**student, "temperature": 2.0, "alpha": 0.5}
    return [
        Setting(alone, {**student, **LABELS_ALONE}),
        Setting(f"{name}, T=4 alpha=0.3", student, against=alone),
        Setting(f"{name}, T=2 alpha=0.5", half, against=alone),
    ]


def _changed(what: str, **changes: Scalar) -> Setting:
    return Setting(f"{_SMALL_NAME}, {what}", {**_SMALL, **changes}, against=f"{_SMALL_NAME}, T=4 alpha=0.3")


# Does the teacher help? The preset and a smaller DS-CNN by labels alone, with the source's weights, with half and half.
# Then the DS-CNN without each of the preset's other means, and with each that the preset does not use.
ABLATION = (
    *_teaching(_TINY_NAME, START_POINTS[0]),
    *_teaching(_SMALL_NAME, _SMALL),
    _changed("weights not averaged", ema_decay=0.0),
    _changed("no label smoothing", label_smoothing=0.0),
    _changed("no masks", mask_share=0.0),
    _changed("no noise or rooms", view_share=0.0),
    _changed("focal loss", hard_loss="focal"),
    _changed("a quarter hard negatives", hard_negatives=0.25),
    _changed("aligned with the teacher", alignment_weight=0.1),
    _changed("INT8 from half way", qat=True, qat_start=0.5),
    _changed("pruned from twice the width", prune_from=2.0),
)
ABLATION_FIGURES: tuple[str, ...] = ()


def space(trial: BaseTrial) -> Candidate:
    """Front end, student, distillation, schedule and data mix of one wake-word candidate."""
    front_end, chosen = _front_end(trial), student(trial)
    return Candidate(
        front_end=front_end,
        student=chosen,
        distillation=replace(knobs.distillation(trial), alignment_weight=knobs.alignment_weight(trial)),
        schedule=_schedule(trial),
        data_mix=replace(knobs.data_mix(trial), hard_negatives=knobs.hard_negatives(trial)),
        hard_label=knobs.hard_label(trial),
        augmentation=Augmentation(view_share=knobs.view_share(trial), mask_share=knobs.mask_share(trial)),
        quantization=knobs.quantization(trial),
        pruning=_pruning(trial, chosen),
    )


def _pruning(trial: BaseTrial, chosen: Student) -> Pruning:
    return knobs.pruning(trial) if chosen.kind in PRUNABLE else Pruning()


def _schedule(trial: BaseTrial) -> Schedule:
    return replace(knobs.schedule(trial), ema_decay=knobs.ema_decay(trial), patience=PATIENCE)


def _front_end(trial: BaseTrial) -> FrontEnd:
    if knobs.later_choice(trial, "front_end", FRONT_ENDS) == "micro":
        return micro_front_end(_clip_seconds(trial))
    mels = trial.suggest_categorical("mels", (20, 32, 40, 64))
    hop_ms = trial.suggest_categorical("hop_ms", (10, 16, 20))
    return FrontEnd(mels=mels, hop_samples=16 * hop_ms, clip_seconds=_clip_seconds(trial))


def _clip_seconds(trial: BaseTrial) -> float:
    return trial.suggest_categorical("clip_ms", tuple(round(1000 * seconds) for seconds in CLIP_SECONDS)) / 1000
