"""The score along each parameter of distillation, as rows: points, a running median, a correlation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from export.retrained import score_axis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from export.results import Study, TrialRow

SHOWN = ("temperature", "alpha", "neg_per_pos", "peak_lr")
LEAST_TRIALS = 8
# Of the trials a running median is over, and at least so many.
NEIGHBOURS, LEAST_NEIGHBOURS = 1 / 3, 5


@final
@dataclass(frozen=True)
class Effect:
    """Scores of trained trials by a parameter, ascending in it, which was drawn on a logarithmic scale where `log`.

    `groups` are their students, and `median` is over each trial's neighbours in the parameter. `rank_correlation` is
    Spearman's, and `by_chance` what its size stays under in 95 % of studies in which the parameter does nothing.
    """

    name: str
    trials: tuple[int, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    groups: tuple[str, ...]
    median: tuple[float, ...]
    rank_correlation: float
    by_chance: float
    log: bool


def effects(study: Study) -> list[Effect]:
    """An effect for each of `SHOWN` that the space has and that enough trials drew different values of."""
    axis = score_axis(study.run.objectives)
    rows = [row for row in study.trained if math.isfinite(row.values[axis])]
    found = [_effect(name, [row for row in rows if _drawn(row, name)], axis) for name in SHOWN]
    return [effect for effect in found if effect is not None]


def _drawn(row: TrialRow, name: str) -> bool:
    value = row.params.get(name)
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _effect(name: str, rows: Sequence[TrialRow], axis: int) -> Effect | None:
    ordered = sorted(rows, key=lambda row: (float(row.params[name]), row.number))
    x, y = ([float(row.params[name]) for row in ordered], [row.values[axis] for row in ordered])
    if len(ordered) < LEAST_TRIALS or x[0] == x[-1]:
        return None
    return Effect(
        name=name,
        trials=tuple(row.number for row in ordered),
        x=tuple(x),
        y=tuple(y),
        groups=tuple(str(row.params.get("student", "")) for row in ordered),
        median=tuple(_running_median(y)),
        rank_correlation=_rank_correlation(x, y),
        by_chance=1.96 / math.sqrt(len(ordered) - 1),
        log=bool(getattr(ordered[0].distributions.get(name), "log", False)),
    )


def _running_median(ordered: Sequence[float]) -> list[float]:
    """The median of each value's neighbours, as many on one side as on the other where there are so many."""
    width = min(max(LEAST_NEIGHBOURS, round(NEIGHBOURS * len(ordered))), len(ordered))
    medians = np.median(np.lib.stride_tricks.sliding_window_view(np.asarray(ordered), width), axis=1)
    starts = [min(max(at - width // 2, 0), len(ordered) - width) for at in range(len(ordered))]
    return [float(medians[start]) for start in starts]


def _rank_correlation(x: Sequence[float], y: Sequence[float]) -> float:
    first, second = _ranks(x), _ranks(y)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Ranks; equal values share the mean of theirs. Scipy's statistics take most of a second to import."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: NDArray[np.float64] = (ends - (counts - 1) / 2)[inverse]
    return ranks
