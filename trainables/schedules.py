"""Learning rates as a function of how much of the run is done."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spaces.candidate import Schedule

ONE_CYCLE_RISE = 0.3
ONE_CYCLE_START = 1 / 25


def learning_rate(schedule: Schedule, progress: float) -> float:
    """Learning rate when `progress` (0-1) of the steps are done.

    step: a tenth from half way; cosine: to zero; one_cycle: from peak/25 up over 30 %, then cosine to zero (Smith,
    arXiv 1708.07120); flat_then_linear: constant to half way, then linearly to zero.
    """
    return schedule.peak_lr * _SHAPES[schedule.kind](progress)


def _step(progress: float) -> float:
    return 1.0 if progress < 0.5 else 0.1


def _cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _one_cycle(progress: float) -> float:
    if progress >= ONE_CYCLE_RISE:
        return _cosine((progress - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE))
    return 1 + (ONE_CYCLE_START - 1) * _cosine(progress / ONE_CYCLE_RISE)


def _flat_then_linear(progress: float) -> float:
    return min(1.0, 2 * (1 - progress))


def _constant(progress: float) -> float:
    return 1.0


_SHAPES = {
    "step": _step,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
    "flat_then_linear": _flat_then_linear,
    "constant": _constant,
}
