"""Real-time figures of students that turn sound into sound."""

from __future__ import annotations

import pytest

from spaces.budget import Footprint
from spaces.front_end import FrontEnd
from spaces.speech_enhancement import FRONT_END
from trainables.real_time import real_time, real_time_rows

FOOTPRINT = Footprint(1, 1, 1, 6.0, 5.0, 8.0, 7.0, 9.0, "arena sram", "a board", "1")


def test_a_hop_is_held_against_its_length() -> None:
    found = real_time(FRONT_END, FOOTPRINT)
    assert (found["real_time_factor"], found["real_time_factor_high"]) == pytest.approx((0.7, 0.9))
    assert (found["hop_ms"], found["algorithmic_delay_ms"], found["delay_ms"]) == pytest.approx((10.0, 20.0, 27.0))
    (row,) = real_time_rows(found)
    assert dict(zip(row["columns"], row["rows"][0], strict=True)) == pytest.approx(found)


def test_who_only_decides_says_nothing() -> None:
    assert real_time_rows(real_time(FrontEnd(), FOOTPRINT)) == []
