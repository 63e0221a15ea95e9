"""Enhanced speech at every input SNR: means with intervals, gains over the noisy input, and what INT8 costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from scipy.stats import bootstrap

from trainables.speech_quality import MEASURES, available, left_out, quality

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOISY, TEACHER, FLOAT, INT8 = "noisy input", "teacher", "float student", "INT8 student"
# Differences of two signals, clip by clip, that are worth a line, besides that of each to the noisy input.
DIFFERENCES = ((INT8, FLOAT), (INT8, TEACHER))
# A network of its own judges DNSMOS: seconds per clip on one core.
SLOW = frozenset({"dnsmos"})
FEW_CLIPS = 8
LEVEL = 0.95

_RESAMPLES = 2000


@final
@dataclass(frozen=True)
class Estimate:
    """A mean over `clips` with the ends of its 95 % interval, or None where a single clip gives none."""

    mean: float
    low: float | None
    high: float | None
    clips: int

    def said(self) -> str:
        """`6.34 (5.91 to 6.70)`."""
        if not self.clips:
            return "-"
        return f"{self.mean:.2f}" if self.low is None else f"{self.mean:.2f} ({self.low:.2f} to {self.high:.2f})"


@final
@dataclass(frozen=True)
class Heard:
    """Scores [clips] of each signal by measure, NaN where a clip was not measured, and the input SNR of every clip."""

    scores: Mapping[str, Mapping[str, NDArray[np.float64]]]
    snrs_db: NDArray[np.float64]

    def estimate(self, measure: str, snr_db: float, signal: str, less: str | None = None) -> Estimate:
        """The mean of a signal's scores at one SNR, or of their differences to another signal's, clip by clip."""
        values = self.scores[signal][measure] - (0.0 if less is None else self.scores[less][measure])
        return estimated(values[self.snrs_db == snr_db])

    def figures(self, signal: str, less: str | None = None) -> dict[str, float]:
        """Means over all SNRs and at each, such as `si_sdr_db`, `si_sdr_db_at_-5db`.

        Of differences to another signal `si_sdr_improvement_db` and so on. What was not measured is not there.
        """
        found = {}
        for measure, values in self.scores[signal].items():
            name = measure if less is None else improvement(measure)
            found[name] = estimated(values - (0.0 if less is None else self.scores[less][measure])).mean
            for snr_db in self._snrs():
                found[f"{name}_at_{snr_db:g}db"] = self.estimate(measure, snr_db, signal, less).mean
        return {name: mean for name, mean in found.items() if np.isfinite(mean)}

    def rows(self) -> list[dict[str, Any]]:
        """A table for each SNR, its lines signals and their differences, its columns measures; and what is left out."""
        tables = [self._table(snr_db) for snr_db in self._snrs()]
        missing = [[sentence] for sentence in left_out()]
        return tables + (
            [{"type": "table", "title": "Not measured", "columns": ["why"], "rows": missing}] * bool(missing)
        )

    def _snrs(self) -> list[float]:
        return sorted(set(self.snrs_db.tolist()))

    def _table(self, snr_db: float) -> dict[str, Any]:
        measures = list(next(iter(self.scores.values())))
        lines: list[tuple[str, str, str | None]] = [(signal, signal, None) for signal in self.scores]
        wanted = [*((signal, NOISY) for signal in self.scores if signal != NOISY), *DIFFERENCES]
        there = [pair for pair in wanted if set(pair) <= self.scores.keys()]
        lines += [(f"{signal} less {other}", signal, other) for signal, other in there]
        clips = [self.estimate(measure, snr_db, next(iter(self.scores))).clips for measure in measures]
        return {
            "type": "table",
            "title": f"Test at {snr_db:g} dB SNR: means with {LEVEL:.0%} intervals over clips",
            "columns": ["signal", *(f"{MEASURES[m].title}, {n} clips" for m, n in zip(measures, clips, strict=True))],
            "rows": [
                [name, *(self.estimate(measure, snr_db, signal, less).said() for measure in measures)]
                for name, signal, less in lines
            ],
        }


def heard(
    clean: NDArray[np.float32],
    snrs_db: NDArray[np.float64],
    signals: Mapping[str, NDArray[np.float32]],
    names: Sequence[str] | None = None,
) -> Heard:
    """Measure signals [clips, samples] against the clean speech, slow measures on a few clips of every SNR.

    All measures that can be computed here, or the named ones.
    """
    few = few_rows(snrs_db)
    scores: dict[str, dict[str, NDArray[np.float64]]] = {}
    for signal, clips in signals.items():
        scores[signal] = {}
        for name in available() if names is None else names:
            rows = few if name in SLOW else np.arange(len(clips))
            found = np.full(len(clips), np.nan)
            found[rows] = quality(clips[rows], clean[rows], [name])[name]
            scores[signal][name] = found
    return Heard(scores, snrs_db)


def improvement(measure: str) -> str:
    """The name of differences of a measure: `si_sdr_improvement_db` of `si_sdr_db`."""
    plain = measure.removesuffix("_db")
    return f"{plain}_improvement{measure.removeprefix(plain)}"


def few_rows(snrs_db: NDArray[np.float64]) -> NDArray[np.int64]:
    """`FEW_CLIPS` numbers of clips of every SNR, evenly spread, ascending."""
    chosen = []
    for snr_db in np.unique(snrs_db):
        rows = np.flatnonzero(snrs_db == snr_db)
        chosen.append(rows[np.unique(np.linspace(0, len(rows) - 1, FEW_CLIPS).round().astype(int))])
    return np.sort(np.concatenate(chosen))


def estimated(values: NDArray[np.float64]) -> Estimate:
    """The mean with its percentile bootstrap interval over clips; values that are not numbers are left out."""
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return Estimate(float(known.mean()) if len(known) else float("nan"), None, None, len(known))
    drawn = bootstrap(
        (known,),
        np.mean,
        n_resamples=_RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = drawn.confidence_interval
    return Estimate(float(known.mean()), float(low), float(high), len(known))
