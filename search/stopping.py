"""Early stopping for several objectives: which trials are not worth going on with, decided from scores at rungs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import moocore
import numpy as np

from export.results import read_object
from trainables.ray_trainable import RUNGS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from spaces.candidate import Objective

POLICIES = ("none", "dominance", "asha")
REDUCTION = 3
DOMINATORS = 2
# Fewer trials at a rung say little about the next one.
LEAST_TRIALS = 4


def rungs_of(policy: str, epochs: int) -> tuple[int, ...]:
    """Finished epochs at which trials are compared: a ninth and a third of the whole; none without a policy."""
    if policy == "none":
        return ()
    marks = {round(epochs / REDUCTION**power) for power in (2, 1)}
    return tuple(sorted(mark for mark in marks if 1 <= mark < epochs))


@final
class Judge:
    """Compares a trial with those that came to the same rung before it.

    `dominance` stops a trial that two others dominate there, by the score so far and by the costs, which are known
    before training. `asha` is asynchronous successive halving over several objectives (Schmucker et al., 2021, arXiv
    2106.12639): a trial goes on while it is in the best third of its rung, ranked by non-dominated sorting and, within
    a front, by how far it lies from those ranked before it.
    """

    def __init__(self, policy: str, objectives: Sequence[Objective]) -> None:
        assert policy in POLICIES[1:]
        self._policy = policy
        self._signs = {o.name: -1.0 if o.direction == "maximize" else 1.0 for o in objectives}
        self._losses: dict[int, dict[int, NDArray[np.float64]]] = {}
        self._verdicts: dict[tuple[int, int], str] = {}

    def remember(self, number: int, costs: Mapping[str, float], epochs: int, score: float, verdict: str) -> None:
        """Take what an earlier run decided."""
        self._losses.setdefault(epochs, {})[number] = self._loss(costs, score)
        self._verdicts[number, epochs] = verdict

    def verdict(self, number: int, costs: Mapping[str, float], epochs: int, score: float) -> str:
        """Why trial `number` should stop after `epochs`, or nothing; the same again when asked again."""
        if (number, epochs) not in self._verdicts:
            others = [loss for other, loss in self._losses.get(epochs, {}).items() if other != number]
            loss = self._loss(costs, score)
            reason = self._reason(loss, np.array(others)) if len(others) >= LEAST_TRIALS else ""
            self.remember(
                number, costs, epochs, score, reason and f"{reason} after {epochs} epochs (score {score:.3f})"
            )
        return self._verdicts[number, epochs]

    def _loss(self, costs: Mapping[str, float], score: float) -> NDArray[np.float64]:
        return np.array([sign * {**costs, "score": score}[name] for name, sign in self._signs.items()])

    def _reason(self, loss: NDArray[np.float64], others: NDArray[np.float64]) -> str:
        if self._policy == "dominance":
            dominators = int(((others <= loss).all(axis=1) & (others < loss).any(axis=1)).sum())
            return f"{dominators} trials dominate it" if dominators >= DOMINATORS else ""
        place, size = rank_of_last(np.vstack([others, loss])), len(others) + 1
        # As Ray's and the paper's: the cut is the quantile of all that came to the rung.
        return f"it ranks {place + 1} of {size}" if place >= max(1, size // REDUCTION) else ""


def rank_of_last(losses: NDArray[np.float64]) -> int:
    """Place, from 0, of the last row when rows [trials, objectives] are ordered by front and then spread."""
    fronts = moocore.pareto_rank(losses)
    low, span = losses.min(axis=0), np.ptp(losses, axis=0)
    unit = (losses - low) / np.where(span > 0, span, 1.0)
    last = len(losses) - 1
    mine = fronts == fronts[last]
    # The last row is the last of its front too.
    return int((fronts < fronts[last]).sum()) + spread_order(unit[mine]).index(int(mine.sum()) - 1)


def spread_order(points: NDArray[np.float64]) -> list[int]:
    """Indices of `points` [n, objectives]: first the one of least sum, then ever the farthest from those taken."""
    taken = [int(points.sum(axis=1).argmin())]
    nearest = np.linalg.norm(points - points[taken[0]], axis=1)
    while len(taken) < len(points):
        nearest[taken] = -1.0
        taken.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[taken[-1]], axis=1))
    return taken


def remembered(judge: Judge, trials: Path) -> Judge:
    """`judge` with every verdict that the trial folders under `trials` hold."""
    for path in sorted(trials.glob(f"*/{RUNGS}")):
        for epochs, rung in _rungs_in(path).items():
            judge.remember(int(path.parent.name), rung["costs"], int(epochs), rung["score"], rung["stop"])
    return judge


def _rungs_in(path: Path) -> dict[str, Any]:
    try:
        return read_object(path)
    except ValueError:
        # A trial's rungs are lost with its file, and nothing else.
        return {}
