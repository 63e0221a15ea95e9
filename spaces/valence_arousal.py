"""Search space of the valence/arousal recipe: a vision transformer into MobileViT-style students of music."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from spaces import knobs
from spaces.ablation import Setting
from spaces.budget import Budget
from spaces.candidate import (
    Augmentation,
    Candidate,
    Distillation,
    Objective,
    Scalar,
    Schedule,
    Student,
    SyntheticMix,
)
from spaces.front_end import FrontEnd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna.trial import BaseTrial

SUMMARY = "valence and arousal of music: ViT or AST -> MobileViT-style students"
OBJECTIVES = (
    Objective("score", "maximize"),
    Objective("decision_ms", "minimize"),
    Objective("arena_bytes", "minimize"),
)
BUDGET = Budget(flash_bytes=640 * 1024, arena_bytes=192 * 1024, latency_ms=700.0)
BOARD = "esp32-s3-devkitc-1-n8"
TEACHER = "small_vit"
EPOCHS = 30
SOURCE_EPOCHS = 10
CLIP_SECONDS = 4.0
DECISION_SECONDS = 1.0
# Of the distribution that a student gives for each value.
BINS = 11
# Music is slower than speech: windows of 64 ms tell its semitones apart from about 400 Hz up.
WINDOW_SAMPLES = 1024
BATCH = 16
WEIGHT_DECAY = 1e-2

# The design of winzerprince/sentio: 4 blocks, 4 heads, MLP ratio 2. Its 192 channels make 1.2 MB; these fit, beside
# SRAM too. It trains at 2e-4, which is for its 12 million weights.
_STUDENT: dict[str, Scalar] = {
    "student": "mobile_vit",
    "dim": 64,
    "depth": 4,
    "heads": 4,
    "mlp_ratio": 2,
    "patch_frames": 16,
    "patch_mels": 16,
    "stem": 16,
    "activation": "relu",
    "pool": "mean",
    "mels": 64,
    "hop_ms": 32,
}
_TRAINED: dict[str, Scalar] = {"schedule": "cosine", "peak_lr": 1e-3, "mask_share": 0.1, "synthetic_clips": 0}
# Its weights of response, features and attention, as designed and as executed; it weighs the hard label by the first.
_WEIGHTS = (
    {"temperature": 4.0, "response": 0.5, "alignment": 0.3, "attention": 0.2},
    {"temperature": 6.0, "response": 0.3, "alignment": 0.4, "attention": 0.3},
)
LABELS_ALONE: dict[str, Scalar] = {"alpha": 1.0, "temperature": 1.0, "alignment_weight": 0.0, "attention_weight": 0.0}
# As many as the source makes, for 1,442 songs or so.
SYNTHETIC: dict[str, Scalar] = {"synthetic_clips": 3200, "synthetic_share": 0.7}


def _published(weights: Mapping[str, float]) -> dict[str, Scalar]:
    return {
        **_STUDENT,
        **_TRAINED,
        "temperature": weights["temperature"],
        "alpha": weights["response"],
        **{f"{name}_weight": weights[name] for name in ("response", "alignment", "attention")},
    }


PUBLISHED = tuple(_published(weights) for weights in _WEIGHTS)
START_POINTS = PUBLISHED

_ALONE = "labels alone"
ABLATION = (
    Setting(_ALONE, {**PUBLISHED[0], **LABELS_ALONE}),
    Setting("response", {**PUBLISHED[0], "alignment_weight": 0.0, "attention_weight": 0.0}, against=_ALONE),
    Setting("response, features", {**PUBLISHED[0], "attention_weight": 0.0}, against=_ALONE),
    Setting("response, features, attention", PUBLISHED[0], against=_ALONE),
    Setting("all, and synthetic clips", {**PUBLISHED[0], **SYNTHETIC}, against="response, features, attention"),
)
ABLATION_FIGURES = ("ccc_valence", "ccc_arousal")


def space(trial: BaseTrial) -> Candidate:
    """Front end, student, distillation and schedule of one valence/arousal candidate."""
    return Candidate(
        front_end=_front_end(trial),
        student=_student(trial),
        distillation=_distillation(trial),
        schedule=_schedule(trial),
        augmentation=Augmentation(mask_share=knobs.mask_share(trial)),
        synthetic=_synthetic(trial),
    )


def _front_end(trial: BaseTrial) -> FrontEnd:
    return FrontEnd(
        clip_seconds=CLIP_SECONDS,
        window_samples=WINDOW_SAMPLES,
        n_fft=WINDOW_SAMPLES,
        hop_samples=16 * trial.suggest_categorical("hop_ms", (16, 32)),
        mels=trial.suggest_categorical("mels", (32, 64)),
        decision_seconds=DECISION_SECONDS,
    )


def _student(trial: BaseTrial) -> Student:
    """The source's design is within, its channels among the choices; what fits is smaller."""
    kind = trial.suggest_categorical("student", ("mobile_vit",))
    choices: dict[str, tuple[Scalar, ...]] = {
        "dim": (48, 64, 96, 128, 192, 256),
        "depth": (2, 3, 4, 6, 8),
        "heads": (2, 4),
        "mlp_ratio": (1, 2, 3),
        "patch_frames": (8, 16, 32),
        "patch_mels": (8, 16),
        "stem": (8, 16, 32),
        "activation": ("relu", "hard_swish"),
        "pool": ("mean", "class_token"),
    }
    chosen = {name: cast("Scalar", trial.suggest_categorical(name, values)) for name, values in choices.items()}
    return Student(kind, {**chosen, "affine": False, "bins": BINS})


def _distillation(trial: BaseTrial) -> Distillation:
    """Weights of features and attention from 0 to beyond the source's; only their ratios to the response's count."""
    return replace(
        knobs.distillation(trial),
        response_weight=trial.suggest_float("response_weight", 0.1, 1.0),
        alignment_weight=trial.suggest_float("alignment_weight", 0.0, 0.5, step=0.1),
        attention_weight=trial.suggest_float("attention_weight", 0.0, 0.5, step=0.1),
    )


def _schedule(trial: BaseTrial) -> Schedule:
    return replace(knobs.schedule(trial), batch=BATCH, weight_decay=WEIGHT_DECAY)


def _synthetic(trial: BaseTrial) -> SyntheticMix:
    clips = trial.suggest_categorical("synthetic_clips", (0, 800, 3200))
    return SyntheticMix(clips, trial.suggest_float("synthetic_share", 0.1, 0.7, step=0.1)) if clips else SyntheticMix()
