"""Budgets: parsing, overruns, messages."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.budget import Budget, Footprint, parse_budget

DEFAULT = Budget(flash_bytes=131072, arena_bytes=65536, latency_ms=50)


def footprint(flash: int = 1000, arena: int = 1000, decision: float = 10.0) -> Footprint:
    return Footprint(flash, arena, arena, decision, decision, decision, decision, decision, "sram", "board", "1")


def test_overrun_is_the_fraction_over_each_ceiling() -> None:
    over = Budget(1000, 2000, 20).overrun(footprint(flash=1500, arena=1000, decision=20.0))
    assert over == {"flash_bytes": 0.5, "arena_bytes": -0.5, "latency_ms": 0.0}


def test_exactly_at_the_ceiling_fits() -> None:
    assert Budget(1000, 1000, 10).fits(footprint())
    assert not Budget(999, 1000, 10).fits(footprint())


def test_latency_is_held_at_the_upper_end_unless_told() -> None:
    uncertain = Footprint(1, 1, 1, 8.0, 6.0, 12.0, 10.0, 20.0, "sram", "board", "1")
    over = {margin: Budget(latency_ms=10, latency_margin=margin).overrun(uncertain) for margin in (0.0, 0.5, 1.0)}
    assert over == {0.0: {"latency_ms": 0.0}, 0.5: {"latency_ms": 0.5}, 1.0: {"latency_ms": 1.0}}
    assert Budget(latency_ms=10).latency_margin == 1.0
    with pytest.raises(ValueError, match=r"--latency-margin: must lie within 0-1, not 1\.5"):
        Budget(latency_margin=1.5)


def test_infinite_ceilings_constrain_nothing() -> None:
    assert Budget().overrun(footprint()) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flash=512K,arena=200K,latency=50", Budget(512 * 1024, 200 * 1024, 50)),
        ("flash=1.5M", Budget(1536 * 1024, 65536, 50)),
        ("arena=none", Budget(131072, math.inf, 50)),
        ("", DEFAULT),
    ],
)
def test_parses_over_the_defaults(text: str, expected: Budget) -> None:
    assert parse_budget(text, DEFAULT) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ram=2K", "'ram' is no ceiling; use flash, arena, latency"),
        ("flash=big", "flash='big' must be bytes"),
        ("latency=5K", "latency='5K' must be milliseconds"),
        ("flash=", "flash='' must be bytes"),
        ("flash=0", "flash_bytes must be above 0"),
    ],
)
def test_bad_budgets_are_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_budget(text, DEFAULT)


@given(st.integers(1, 2**13), st.integers(1, 2**13), st.integers(1, 1000))
def test_written_budget_reads_back(flash: int, arena: int, latency: int) -> None:
    budget = Budget(flash * 1024, arena * 1024, latency)
    assert parse_budget(str(budget), Budget()) == budget
