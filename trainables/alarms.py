"""Alarms on a stream without the event: counted, and thresholds that keep them under a ceiling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
