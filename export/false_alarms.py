"""Alarms on a stream without the event, as a rate with its bounds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import final

from scipy.special import gammaincinv

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

    def as_dict(self) -> dict[str, float]:
        """The count, the hours, and the rate per hour with its bounds."""
        rates = {"per_hour": self.per_hour, "per_hour_low": self.low, "per_hour_high": self.high}
        return {**asdict(self), **rates}
