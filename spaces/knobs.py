"""Ranges of the hyperparameters that recipes share, from the settings that published systems use."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from spaces.candidate import DataMix, Distillation, Schedule, ScheduleKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.trial import BaseTrial

SCHEDULES = ("step", "cosine", "one_cycle", "flat_then_linear")


def distillation(trial: BaseTrial) -> Distillation:
    """Temperature 1-8 (published: 1, 2, 4, 6) and the weight of the hard label 0-1 (published: 0, .02, .3, .5, .7)."""
    return Distillation(
        temperature=trial.suggest_float("temperature", 1.0, 8.0, log=True),
        alpha=trial.suggest_float("alpha", 0.0, 1.0),
    )


def schedule(trial: BaseTrial, kinds: Sequence[str] = SCHEDULES) -> Schedule:
    """Peak learning rate 1e-4 to 1e-2 and one of several shapes."""
    kind = cast("ScheduleKind", trial.suggest_categorical("schedule", kinds))
    return Schedule(kind=kind, peak_lr=trial.suggest_float("peak_lr", 1e-4, 1e-2, log=True))


def data_mix(trial: BaseTrial) -> DataMix:
    """Negatives per positive 0.5-20 (published: 1, 3, 20)."""
    return DataMix(neg_per_pos=trial.suggest_float("neg_per_pos", 0.5, 20.0, log=True))
