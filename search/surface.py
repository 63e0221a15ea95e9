"""A Gaussian process over parameters whose length scales come from a small grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import cast, final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, eigh

Floats = NDArray[np.float64]

LENGTHS = (0.3, 0.6, 1.0, 1.7, 3.0)
NOISES = (1e-4, 1e-3, 1e-2, 0.1, 0.5)
GROWTH = 1.1
MOST_POINTS = 200


@final
class Surface:
    """Matern 5/2 with one length for each group of columns; all outputs share lengths and noise.

    The likeliest lengths are looked for again when a tenth more points are there. Of more than `MOST_POINTS` the
    latest are used.
    """

    def __init__(self, groups: Sequence[NDArray[np.bool_]], noises: Sequence[float] = NOISES) -> None:
        self._noises = noises
        self._groups = [group for group in groups if group.any()]
        self.lengths: tuple[float, ...] = (1.0,) * len(self._groups)
        self._noise = 1e-2
        self._looked_at = 0

    def fit(self, points: Floats, values: Floats) -> None:
        """Take points [n, columns] with values [n, outputs]."""
        points, values = points[-MOST_POINTS:], values[-MOST_POINTS:]
        self._points = points
        self._middle, self._spread = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-6)
        standard = (values - self._middle) / self._spread
        if len(points) >= min(GROWTH * self._looked_at, MOST_POINTS) and len(points) != self._looked_at:
            self.lengths, self._noise = self._likeliest(standard)
            self._looked_at = len(points)
        self._standard = standard
        self._solve()
        self._amplitude = max(float((standard * self._weights).sum() / standard.size), 1e-6)

    def believe(self, points: Floats) -> Floats:
        """Take further points as if they had the values that are expected of them, and return these [n, outputs]."""
        expected, _ = self.at(points)
        self._points = np.vstack([self._points, points])
        self._standard = np.vstack([self._standard, (expected - self._middle) / self._spread])
        self._solve()
        return expected

    def _solve(self) -> None:
        covariance = self._correlation(self._points, self.lengths) + self._noise * np.eye(len(self._points))
        self._factor = cho_factor(covariance, lower=True)
        self._weights = cho_solve(self._factor, self._standard)

    def at(self, points: Floats) -> tuple[Floats, Floats]:
        """Means and standard deviations [n, outputs]."""
        across = self._correlation(points, self.lengths, self._points)
        explained = (across * cho_solve(self._factor, across.T).T).sum(axis=1)
        deviation = np.sqrt(self._amplitude * np.maximum(1 - explained, 1e-6))
        return across @ self._weights * self._spread + self._middle, np.outer(deviation, self._spread)

    def _likeliest(self, standard: Floats) -> tuple[tuple[float, ...], float]:
        best = (-math.inf, self.lengths, self._noise)
        for lengths in product(LENGTHS, repeat=len(self._groups)):
            eigenvalues, vectors = eigh(self._correlation(self._points, lengths))
            rotated = (vectors.T @ standard) ** 2
            for noise in self._noises:
                scaled = np.maximum(eigenvalues, 0) + noise
                misfit = (rotated / scaled[:, None]).mean()
                likelihood = -0.5 * standard.shape[1] * (len(scaled) * math.log(misfit) + np.log(scaled).sum())
                best = max(best, (float(likelihood), lengths, noise))
        return best[1:]

    def _correlation(self, points: Floats, lengths: Sequence[float], others: Floats | None = None) -> Floats:
        others = points if others is None else others
        squared = np.zeros((len(points), len(others)))
        for group, length in zip(self._groups, lengths, strict=True):
            ours, theirs = points[:, group] / length, others[:, group] / length
            squared += (ours**2).sum(1)[:, None] + (theirs**2).sum(1) - 2 * ours @ theirs.T
        scaled = np.sqrt(5 * np.maximum(squared, 0))
        return cast("Floats", (1 + scaled + scaled**2 / 3) * np.exp(-scaled))
