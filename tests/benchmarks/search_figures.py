"""Figures of a benchmark of searches: feasible hypervolume, intervals over seeds, Markdown tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import moocore
import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

if TYPE_CHECKING:
    from spaces.budget import Budget
    from tests.benchmarks.ledger import Trained

RESAMPLES = 10_000
Interval = tuple[float, float, float]


def feasible_hypervolume(trained: Sequence[Trained], budget: Budget, until_seconds: float = math.inf) -> float:
    """Share of the box from score 0 and the ceilings to score 1 and no cost that what fits dominates, 0-1."""
    points = [
        (1 - score, decision_ms / budget.latency_ms, arena_bytes / budget.arena_bytes)
        for score, decision_ms, arena_bytes in (
            trial.values for trial in trained if trial.fits and trial.at_seconds <= until_seconds
        )
    ]
    return float(moocore.hypervolume(np.array(points), ref=[1.0, 1.0, 1.0])) if points else 0.0


def mean_interval(values: Sequence[float]) -> Interval:
    """Mean with the ends of its 95 % interval by Student's t."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, math.nan, math.nan
    half = float(student_t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
    return mean, mean - half, mean + half


def ratio_interval(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """Ratio of the means over seeds that both ran, with a 95 % interval by resampling the seeds in pairs.

    Of means rather than of each seed, because a peer that found nothing has a hypervolume of 0.
    """
    pairs = np.array(list(zip(ours, theirs, strict=False)), dtype=np.float64)
    drawn = np.random.default_rng(0).integers(len(pairs), size=(RESAMPLES, len(pairs)))
    # Not np.percentile, which cannot stand between infinities.
    ratios = np.sort(_ratio(pairs[drawn].mean(axis=1)))
    low, high = ratios[[round(0.025 * RESAMPLES), round(0.975 * RESAMPLES)]]
    return float(_ratio(pairs.mean(axis=0))), float(low), float(high)


def _ratio(means: NDArray[np.float64]) -> NDArray[np.float64]:
    ours, theirs = means[..., 0], means[..., 1]
    return np.divide(ours, theirs, out=np.full_like(np.asarray(ours), math.inf), where=theirs > 0)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    ruler = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ruler, *rows))


def with_interval(interval: Interval, digits: int = 3) -> str:
    """Such as `.311 (.290-.332)`."""
    middle, low, high = (f"{value:.{digits}f}" for value in interval)
    return middle if math.isnan(interval[1]) else f"{middle} ({low}-{high})"
