"""Alarms on a stream without the event: counted, bounded, and thresholds that keep them under a ceiling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from scipy.special import gammaincinv

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL = 0.95


@final
@dataclass(frozen=True)
class FalseAlarms:
    """How many alarms `hours` of a stream brought; `low` and `high` per hour bound the true rate with 95 % confidence.

    The bounds are Poisson's exact ones, half of the rest on each side; without an alarm all of it lies above, so that
    none in one hour says fewer than 3.0 per hour.
    """

    alarms: int
    hours: float

    @property
    def per_hour(self) -> float:
        """The rate that was seen."""
        return self.alarms / self.hours

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return float(gammaincinv(self.alarms, (1 - LEVEL) / 2)) / self.hours if self.alarms else 0.0

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        beyond = (1 - LEVEL) / 2 if self.alarms else 1 - LEVEL
        return float(gammaincinv(self.alarms + 1, 1 - beyond)) / self.hours


def count_alarms(scores: NDArray[np.floating], threshold: float, refractory: int) -> int:
    """Alarms of decisions [n] in their order: after each, `refractory` decisions from it on raise no other."""
    fired = np.flatnonzero(scores >= threshold)
    alarms, at = 0, 0
    while at < len(fired):
        alarms += 1
        at = int(np.searchsorted(fired, fired[at] + refractory))
    return alarms


def threshold_under(scores: NDArray[np.floating], alarms: int, refractory: int) -> float:
    """The lowest threshold that, like all higher ones, brings at most `alarms`; midway to the score that is too low.

    Where the highest score is one alarm too many already, the threshold lies just above it.
    """
    kept = None
    for score in np.unique(scores)[::-1]:
        if count_alarms(scores, float(score), refractory) > alarms:
            above = np.nextafter(score, np.inf, dtype=scores.dtype)
            return float(above if kept is None else (float(kept) + float(score)) / 2)
        kept = score
    return float(scores.min())


def threshold_at_recall(scores: NDArray[np.floating], recall: float) -> float:
    """The highest threshold that at least this share of the positives' scores [n] reaches."""
    wanted = max(1, int(np.ceil(recall * len(scores) - 1e-9)))
    return float(np.sort(scores)[::-1][wanted - 1])
