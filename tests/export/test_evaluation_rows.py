"""The typed rows that have a picture of their own: DET and calibration."""

from __future__ import annotations

import re
from statistics import NormalDist

import pytest

from export.evaluation_rows import drawn
from export.markup import html

DET = {
    "type": "det",
    "title": "DET",
    "x_name": "false positive rate",
    "y_name": "miss rate",
    "x": [0.5, 0.158655, 0.0],
    "y": [0.022750, 0.158655, 0.5],
    "negatives": 500,
    "positives": 100,
}
CALIBRATION = {
    "type": "calibration",
    "title": "Calibration",
    "x_name": "probability",
    "y_name": "share",
    "x": [0.05, 0.5, 0.95],
    "y": [0.0, 0.25, 1.0],
    "clips": [400, 4, 100],
    "error": 0.0316,
    "ends": [0, 1],
}


def path(page: str, kind: str) -> list[tuple[float, float]]:
    found = re.search(f'class="{kind}" d="([^"]+)"', page)
    assert found
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", found[1])]


def test_det_is_straight_in_normal_deviates_and_draws_no_error_as_half_a_clip() -> None:
    title, element = drawn(DET)
    page = html(element)
    assert title == "DET"
    first, second, third = path(page, "series s0")
    deviates = [NormalDist().inv_cdf(rate) for rate in (0.5, 0.158655, 0.001)]
    share = (deviates[1] - deviates[0]) / (deviates[2] - deviates[0])
    assert (second[0] - first[0]) / (third[0] - first[0]) == pytest.approx(share, abs=2e-3)
    heights = [NormalDist().inv_cdf(rate) for rate in (0.022750, 0.158655, 0.5)]
    rise = (heights[1] - heights[0]) / (heights[2] - heights[0])
    assert (second[1] - first[1]) / (third[1] - first[1]) == pytest.approx(rise, abs=2e-3)
    # On the line of equal error rates lies the point where both are .1587.
    start, end = path(page, "guide")
    slope = (end[1] - start[1]) / (end[0] - start[0])
    assert second[1] == pytest.approx(start[1] + slope * (second[0] - start[0]), abs=0.3)
    assert ">5%<" in page and "nan" not in page


def test_a_perfect_detector_can_be_drawn() -> None:
    page = html(drawn({**DET, "x": [0.0], "y": [0.0]})[1])
    assert "malformed" not in page and "nan" not in page


def test_calibration_draws_bins_by_their_clips_beside_the_diagonal() -> None:
    page = html(drawn(CALIBRATION)[1])
    dots = [(float(x), float(y), float(r)) for x, y, r in re.findall(r'cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"', page)]
    assert len(dots) == 3
    areas = [radius**2 for _, _, radius in dots]
    assert areas[2] / areas[0] == pytest.approx(100 / 400, abs=0.01)
    start, end = path(page, "guide")
    below = [y - (start[1] + (end[1] - start[1]) * (x - start[0]) / (end[0] - start[0])) for x, y, _ in dots]
    # Downwards is more: the middle bin lies under the diagonal by a quarter of the axis, the others by a twentieth.
    height = start[1] - end[1]
    assert below == pytest.approx([0.05 * height, 0.25 * height, -0.05 * height], abs=0.2)
    assert "0.500 said\n0.250 found\n4 clips" in page
    assert "Off by 0.032 on average" in page


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**DET, "positives": 0}, "malformed: ZeroDivisionError"),
        ({**DET, "y": [0.1]}, "malformed: ValueError"),
        ({**CALIBRATION, "clips": [1]}, "malformed: ValueError"),
        ({**CALIBRATION, "ends": [0]}, "malformed: ValueError"),
        ({name: value for name, value in CALIBRATION.items() if name != "error"}, "malformed: KeyError"),
    ],
)
def test_rows_that_are_not_whole_say_why(row: dict[str, object], said: str) -> None:
    assert said in html(drawn(row)[1])


def test_a_curve_can_ask_for_a_logarithmic_axis() -> None:
    row = {"type": "curve", "title": "C", "x_name": "per hour", "y_name": "recall", "x": [1, 10], "y": [0, 1]}
    assert "per hour, log scale" not in html(drawn(row)[1])
    assert "per hour, log scale" in html(drawn({**row, "x_scale": "log"})[1])
