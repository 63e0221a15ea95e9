"""Rates of false alarms against SciPy's distributions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from export.false_alarms import FalseAlarms


def test_an_hour_without_an_alarm_says_under_three_per_hour() -> None:
    none = FalseAlarms(0, 1.0)
    assert (none.per_hour, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(-math.log(0.05))
    assert FalseAlarms(0, 0.5).high == pytest.approx(2 * none.high)


@given(alarms=st.integers(1, 200), hours=st.floats(0.01, 50))
def test_the_ends_of_the_interval_are_poissons(alarms: int, hours: float) -> None:
    found = FalseAlarms(alarms, hours)
    assert found.low < found.per_hour < found.high
    assert poisson.sf(alarms - 1, found.low * hours) == pytest.approx(0.025, rel=1e-6)
    assert poisson.cdf(alarms, found.high * hours) == pytest.approx(0.025, rel=1e-6)
