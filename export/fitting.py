"""Fit of the latency constants to measured rows, and its test by leaving out whole families of sources."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from scipy.optimize import least_squares

from export.latency import CONSTANTS, INTERVAL_DEVIATIONS, Constant, Constants
from export.measurements import terms_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from export.measurements import Row, Terms

# How far a row can lie from a right model: a stated build, an inferred one, one operator of a log.
ROW_LOG_SD = {"kernel": 0.10, "ops": 0.10, "op": 0.20}
KNOWN_MODEL_LOG_SD = 0.08
INFERRED_MODEL_LOG_SD = 0.15
# Spread of one kernel between shapes, beyond what the fitted factor can be wrong by; met by 90 % of the left-out rows.
SHAPE_LOG_SD = 0.10
# What differs from one application to the next and no row of another can tell: how many blocks a heap holds.
APPLICATION_LOG_SD = {"heap_check": 0.5}


@final
@dataclass(frozen=True)
class Prior:
    """What is known of a constant before the rows: a value, how far off it may be, and where it comes from."""

    value: float
    log_sd: float
    origin: str


@final
@dataclass(frozen=True)
class Error:
    """One row predicted: relative error, and whether the measurement lies within the 90 % interval."""

    row: Row
    predicted_cycles: float
    log_sd: float

    @property
    def relative(self) -> float:
        """Predicted over measured, less one."""
        return self.predicted_cycles / self.row.cycles - 1

    @property
    def covered(self) -> bool:
        """Whether the interval holds the measurement."""
        return abs(math.log1p(self.relative)) <= INTERVAL_DEVIATIONS * self.log_sd


def priors() -> dict[str, Prior]:
    """Priors by constant, from the file of constants."""
    table = tomllib.loads(CONSTANTS.read_text(encoding="utf-8"))
    return {n: Prior(float(r["prior"]), float(r["prior_log_sd"]), str(r["origin"])) for n, r in table.items()}


def usable(rows: Iterable[Row], models: Path | None) -> list[tuple[Row, Terms]]:
    """Rows to fit with their terms; those of models are left out where the model is not at hand."""
    chosen = [row for row in rows if row.use == "fit" and math.isfinite(row.cycles)]
    return [(r, terms_of(r, models)) for r in chosen if r.model is None or (models and (models / r.model).is_file())]


def fit(pairs: Sequence[tuple[Row, Terms]], known: dict[str, Prior]) -> Constants:
    """Constants that meet the rows and stray from their priors no further than these allow.

    A maximum a posteriori fit on logarithms; the spread of each constant is that of the Laplace approximation, widened
    by what one kernel varies between shapes.
    """
    names = [name for name in known if any(name in terms.counts for _, terms in pairs)]
    start = np.log([known[name].value for name in names])
    spread = np.array([known[name].log_sd for name in names])
    fixed = {name: prior.value for name, prior in known.items()}

    def residuals(logs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        values = {**fixed, **dict(zip(names, np.exp(logs), strict=True))}
        errors = [math.log(terms.cycles(values) / row.cycles) / _row_log_sd(row) for row, terms in pairs]
        return np.array([*errors, *((logs - start) / spread)])

    found = least_squares(residuals, start, loss="soft_l1", f_scale=1.5)
    deviations = np.sqrt(np.diag(np.linalg.inv(found.jac.T @ found.jac)))
    fitted = {
        name: Constant(float(np.exp(log)), _widened(name, float(sd)))
        for name, log, sd in zip(names, found.x, deviations, strict=True)
    }
    return Constants({n: fitted.get(n, Constant(p.value, _widened(n, p.log_sd))) for n, p in known.items()})


def _row_log_sd(row: Row) -> float:
    if row.level == "model":
        return KNOWN_MODEL_LOG_SD if row.known else INFERRED_MODEL_LOG_SD
    return ROW_LOG_SD[row.level]


def _widened(name: str, log_sd: float) -> float:
    return math.hypot(log_sd, SHAPE_LOG_SD, APPLICATION_LOG_SD.get(name, 0.0))


def errors_of(pairs: Iterable[tuple[Row, Terms]], constants: Constants) -> list[Error]:
    """Every row under given constants."""
    return [_error(row, terms, constants) for row, terms in pairs]


def _error(row: Row, terms: Terms, constants: Constants) -> Error:
    parts = {name: count * constants.cycles(name) for name, count in terms.counts.items()}
    total = sum(parts.values())
    variance = sum((constants.log_sd(name) * part / total) ** 2 for name, part in parts.items())
    return Error(row, total, math.sqrt(variance + constants.build_log_sd**2))


def left_out_errors(pairs: Sequence[tuple[Row, Terms]], known: dict[str, Prior]) -> list[Error]:
    """Every row under constants fitted without its family."""
    errors: list[Error] = []
    for family in dict.fromkeys(row.family for row, _ in pairs):
        rest = [pair for pair in pairs if pair[0].family != family]
        errors += errors_of([pair for pair in pairs if pair[0].family == family], fit(rest, known))
    return errors


def macs_only(pairs: Sequence[tuple[Row, float]]) -> list[float]:
    """Relative errors of a baseline that knows products alone, each row under a rate fitted without its family."""
    errors = []
    for row, macs in pairs:
        rest = [math.log(other.cycles / count) for other, count in pairs if other.family != row.family]
        rate = math.exp(float(np.median(rest)))
        errors.append(macs * rate / row.cycles - 1)
    return errors


def written(constants: Constants, known: dict[str, Prior], pairs: Sequence[tuple[Row, Terms]]) -> str:
    """The file of constants, with the number of rows behind each."""
    lines = [
        "# Cycles per counted cycle of each kernel (or of the unit that its origin names), and the spread of a",
        "# prediction (standard deviation of the natural logarithm). Written by `make fit-latency`: prior and origin",
        "# are by hand, value, log_sd and rows from the fit to esp32s3_measurements.csv.",
    ]
    for name, prior in known.items():
        rows = sum(name in terms.counts for _, terms in pairs)
        constant = constants.table[name]
        lines += [
            "",
            f"[{name}]",
            f"value = {constant.value:.5g}",
            f"log_sd = {constant.log_sd:.3f}",
            f"rows = {rows}",
            f"prior = {prior.value:.5g}",
            f"prior_log_sd = {prior.log_sd:g}",
            f'origin = "{prior.origin}"',
        ]
    return "\n".join(lines) + "\n"
