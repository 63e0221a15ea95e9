"""Ranges of the hyperparameters that recipes share, from the settings that published systems use."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from spaces.candidate import DataMix, Distillation, HardLabel, Pruning, Quantization, Schedule, ScheduleKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.trial import BaseTrial

    from spaces.candidate import Scalar

# The focal loss of sarpel/wakeword-training-platform.
FOCAL_GAMMA, FOCAL_ALPHA = 2.5, 0.85

SCHEDULES = ("step", "cosine", "one_cycle", "flat_then_linear")
# What points stand for that are older than the choice.
BEFORE: dict[str, Scalar] = {"front_end": "log_mel"}


def later_choice(trial: BaseTrial, name: str, choices: Sequence[str]) -> str:
    """A choice that older points do not hold: replayed, they get what there was before it."""
    try:
        return str(trial.suggest_categorical(name, choices))
    except ValueError as error:
        # Optuna's fixed and frozen trials raise no other kind of error for want of a parameter.
        if f"'{name}' is not found" not in str(error):
            raise
        return str(BEFORE[name])


def distillation(trial: BaseTrial) -> Distillation:
    """Temperature 1-8 (published: 1, 2, 4, 6) and the weight of the hard label 0-1 (published: 0, .02, .3, .5, .7)."""
    return Distillation(
        temperature=trial.suggest_float("temperature", 1.0, 8.0, log=True),
        alpha=trial.suggest_float("alpha", 0.0, 1.0),
    )


def alignment_weight(trial: BaseTrial) -> float:
    """Weight of the alignment with the teacher's layers, 0-.2 (published: .05-.2)."""
    return trial.suggest_float("alignment_weight", 0.0, 0.2, step=0.05)


def schedule(trial: BaseTrial, kinds: Sequence[str] = SCHEDULES) -> Schedule:
    """Peak learning rate 1e-4 to 1e-2 and one of several shapes."""
    kind = cast("ScheduleKind", trial.suggest_categorical("schedule", kinds))
    return Schedule(kind=kind, peak_lr=trial.suggest_float("peak_lr", 1e-4, 1e-2, log=True))


def data_mix(trial: BaseTrial) -> DataMix:
    """Negatives per positive 0.5-20 (published: 1, 3, 20)."""
    return DataMix(neg_per_pos=trial.suggest_float("neg_per_pos", 0.5, 20.0, log=True))


def hard_negatives(trial: BaseTrial) -> float:
    """Share of an epoch's negatives that are the hardest so far, up to a half."""
    return trial.suggest_float("hard_negatives", 0.0, 0.5, step=0.25)


def hard_label(trial: BaseTrial) -> HardLabel:
    """Cross-entropy, or the focal loss at its published setting; label smoothing 0-.2 (published: .1)."""
    smoothing = trial.suggest_float("label_smoothing", 0.0, 0.2, step=0.1)
    if trial.suggest_categorical("hard_loss", ("cross_entropy", "focal")) == "focal":
        return HardLabel(smoothing, FOCAL_GAMMA, FOCAL_ALPHA)
    return HardLabel(smoothing)


def ema_decay(trial: BaseTrial) -> float:
    """Decay of the average of the weights; 0 keeps the weights themselves (published: .999)."""
    return trial.suggest_categorical("ema_decay", (0.0, 0.99, 0.999))


def mask_share(trial: BaseTrial) -> float:
    """Longest stretch that SpecAugment blanks, as a share of the frames and of the mels."""
    return trial.suggest_float("mask_share", 0.0, 0.2, step=0.1)


def view_share(trial: BaseTrial) -> float:
    """Share of the clips heard in noise, half of these in a room too (published: .5 in noise, .25-.3 in a room)."""
    return trial.suggest_float("view_share", 0.0, 0.75, step=0.25)


def quantization(trial: BaseTrial) -> Quantization:
    """INT8 by calibration, or quantization-aware training over the last 20-80 % of the run (published: 10-100 %).

    From there on the statistics of batch normalisation stay as they are, so some epochs have to come before.
    """
    if not trial.suggest_categorical("qat", (False, True)):
        return Quantization()
    return Quantization(qat_start=trial.suggest_float("qat_start", 0.2, 0.8, step=0.1))


def pruning(trial: BaseTrial) -> Pruning:
    """No pruning, or a student that begins one and a half times or twice as wide as it ends."""
    return Pruning(prune_from=trial.suggest_categorical("prune_from", (1.0, 1.5, 2.0)))
