"""Scales of charts: from data to picture units, with round ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ScaleKind = Literal["linear", "log", "probit"]

LOG_RATIO = 12.0
_WARPS: dict[ScaleKind, Callable[[float], float]] = {"linear": float, "log": math.log, "probit": NormalDist().inv_cdf}
_RATES = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999)


@final
@dataclass(frozen=True)
class Scale:
    """From data to picture units; a probit scale spreads both ends of rates, as plots of detection errors do."""

    low: float
    high: float
    start: float
    stop: float
    kind: ScaleKind = "linear"

    @property
    def log(self) -> bool:
        """Whether it is logarithmic."""
        return self.kind == "log"

    def __call__(self, value: float) -> float:
        """Where a value lies; outside values are held at 5 units beyond the ends."""
        warp = _WARPS[self.kind]
        low, high, at = (warp(v) for v in (self.low, self.high, max(value, self._least)))
        share = (at - low) / (high - low)
        position = self.start + share * (self.stop - self.start)
        first, last = sorted((self.start, self.stop))
        return min(max(position, first - 5), last + 5)

    @property
    def _least(self) -> float:
        return -math.inf if self.kind == "linear" else self.low * 1e-3

    def ticks(self) -> list[float]:
        """Round values within the scale."""
        if self.kind == "probit":
            return [rate for rate in _RATES if self.low <= rate <= self.high]
        return _log_ticks(self.low, self.high) if self.log else _linear_ticks(self.low, self.high)

    def label(self, tick: float) -> str:
        """A tick as people read it."""
        return f"{100 * tick:g}%" if self.kind == "probit" else number(tick)


def scale_of(
    values: Sequence[float], start: float, stop: float, *, may_be_log: bool = False, always_log: bool = False
) -> Scale:
    """A scale with a margin around all finite values.

    Logarithmic, if they are positive, where they spread over a decade and `may_be_log`, or where `always_log`.
    """
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if low > 0 and (always_log or (may_be_log and high / low > LOG_RATIO)):
        margin = max(high / low, 2.0) ** 0.05
        return Scale(low / margin, high * margin, start, stop, "log")
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    return Scale(max(low - margin, 0.0) if low >= 0 else low - margin, high + margin, start, stop)


def rate_scale(rates: Sequence[float], start: float, stop: float) -> Scale:
    """A probit scale around rates that lie between 0 and 1, both excluded."""
    low, high = min([0.02, *rates]), max([0.6, *rates])
    return Scale(low / 1.3, 1 - (1 - high) / 1.3, start, stop, "probit")


def number(value: float) -> str:
    """A number as people read it: four digits, no needless zeros."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e7:
        return str(int(value))
    return f"{value:.4g}"


def _linear_ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw * 0.999)
    return [round(index * step, 12) for index in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high / low < 1000 else (1,)
    every = 1 + len(decades) // 8
    ticks = [factor * 10.0**decade for decade in decades[::every] for factor in factors]
    return [tick for tick in ticks if low <= tick <= high]
