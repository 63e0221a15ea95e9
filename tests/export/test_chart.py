"""Scales, ticks and what charts draw."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.chart import (
    HEIGHT,
    HOVERED_MARKS,
    WIDTH,
    Line,
    Lines,
    Point,
    Refused,
    Scatter,
    lines,
    scatter,
)
from export.markup import html
from export.scale import number, rate_scale, scale_of

MAGNITUDES = st.floats(1e-6, 1e9)


@given(st.lists(MAGNITUDES, min_size=1, max_size=8), st.booleans())
def test_scale_holds_its_values_in_order_with_round_ticks(values: list[float], may_be_log: bool) -> None:
    scale = scale_of(values, 10, 110, may_be_log=may_be_log)
    places = [scale(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(10 <= place <= 110 for place in places)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 12
    assert all(10 - 1e-6 <= scale(tick) <= 110 + 1e-6 for tick in ticks)


def test_scale_turns_logarithmic_where_values_spread() -> None:
    assert scale_of([1, 1000], 0, 1, may_be_log=True).log
    assert not scale_of([1, 10], 0, 1, may_be_log=True).log
    assert not scale_of([0, 1000], 0, 1, may_be_log=True).log
    assert not scale_of([1, 1000], 0, 1).log


def test_probit_scale_puts_normal_quantiles_at_equal_distances() -> None:
    scale = rate_scale([0.001, 0.5], 0, 100)
    # 0.0228, 0.1587 and 0.5 are two, one and no deviations from the middle.
    two, one, none = scale(0.022750), scale(0.158655), scale(0.5)
    assert one - two == pytest.approx(none - one, rel=1e-3)
    assert [scale.label(rate) for rate in scale.ticks()][:3] == ["0.1%", "1%", "5%"]
    assert scale(0.0) >= -5


def test_an_axis_that_is_asked_to_be_logarithmic_is() -> None:
    assert scale_of([0.5, 2.0], 0, 1, always_log=True).log
    assert not scale_of([0.0, 2.0], 0, 1, always_log=True).log
    assert 0 < scale_of([3.0], 0, 1, always_log=True)(3.0) < 1
    rows = Lines("L", "per hour", "recall", [Line("recall", [0.5, 100.0], [0.2, 0.9])], log_x=True)
    assert "per hour, log scale" in html(lines(rows))


def test_linear_ticks_by_hand() -> None:
    assert scale_of([0.0, 1.0], 0, 1).ticks() == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_scale_of_nothing_and_of_one_value_can_be_drawn() -> None:
    assert scale_of([], 0, 1).ticks()
    assert 0 < scale_of([7.0], 0, 1)(7.0) < 1
    assert 0 <= scale_of([math.nan, 0.0], 0, 1)(0.0) < 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, "3"), (0.123456, "0.1235"), (-2.5, "-2.5"), (math.nan, "nan"), (math.inf, "inf"), (1e9, "1e+09")],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def point(trial: int, x: float, y: float, on_front: bool = True) -> Point:
    return Point(trial, x, y, "front" if on_front else "dominated", on_front, f"trial {trial}")


def test_staircase_passes_through_the_front_of_this_projection_only() -> None:
    rows = [point(0, 10, 0.5), point(1, 20, 0.9), point(2, 15, 0.4), point(3, 12, 0.95, on_front=False)]
    edge = scatter(Scatter("t", "x", "y", rows)).find("path[@class='front-edge']")
    assert edge is not None
    # One corner up for each of trials 0 and 1, then out to the right.
    assert edge.attrib["d"].count("V") == 2


def test_staircase_ends_at_the_ceiling() -> None:
    chart = scatter(Scatter("t", "x", "y", [point(0, 10, 0.5)], [Refused(30, "refused")], ceiling=20))
    edge, ceiling = chart.find("path[@class='front-edge']"), chart.find("line[@class='ceiling']")
    assert edge is not None and ceiling is not None
    assert float(edge.attrib["d"].rpartition("H")[2]) == pytest.approx(float(ceiling.attrib["x1"]), abs=0.1)


@pytest.mark.parametrize("best_right", [False, True])
@pytest.mark.parametrize("best_up", [False, True])
def test_marks_stay_inside_the_picture(best_right: bool, best_up: bool) -> None:
    rows = [point(index, 3.0 * index + 1, 0.1 * index) for index in range(8)]
    chart = scatter(Scatter("t", "x", "y", rows, [Refused(500, "far")], 12, best_right, best_up))
    for dot in chart.iter("circle"):
        assert 0 < float(dot.attrib["cx"]) < WIDTH
        assert 0 < float(dot.attrib["cy"]) < HEIGHT


def test_scatter_of_nothing_can_be_drawn() -> None:
    assert "<svg" in html(scatter(Scatter("t", "x", "y", [])))


def test_thousands_of_marks_stay_small() -> None:
    rows = [point(index, index % 97 + 1, (index % 89) / 89, on_front=False) for index in range(10_000)]
    refused = [Refused(index % 300 + 1, "refused") for index in range(10_000)]
    chart = scatter(Scatter("t", "x", "y", rows, refused))
    assert len(chart.findall("circle")) == HOVERED_MARKS
    drawn_as_dots = chart.find("path[@class='dots']")
    assert drawn_as_dots is not None
    assert drawn_as_dots.attrib["d"].count("M") == 10_000 - HOVERED_MARKS
    assert len(html(chart)) < 900_000


def test_line_has_a_gap_where_it_is_not_finite() -> None:
    chart = lines(Lines("t", "x", "y", [Line("a", [0, 1, 2, 3, 4], [1, 2, math.nan, 3, 4])]))
    path = chart.find("path[@class='series s0']")
    assert path is not None
    assert (path.attrib["d"].count("M"), path.attrib["d"].count("L")) == (2, 2)


def test_lines_are_thinned_but_keep_their_ends() -> None:
    steps = [float(index) for index in range(5000)]
    thin = lines(Lines("t", "x", "y", [Line("a", steps, steps)])).find("path[@class='series s0']")
    two = lines(Lines("t", "x", "y", [Line("a", [0.0, 4999.0], [0.0, 4999.0])])).find("path[@class='series s0']")
    assert thin is not None and two is not None
    assert thin.attrib["d"].count("L") < 300
    assert thin.attrib["d"].rpartition("L")[2] == two.attrib["d"].rpartition("L")[2]


def test_several_lines_have_a_legend_and_one_has_none() -> None:
    both = html(lines(Lines("t", "x", "y", [Line("first", [0, 1], [0, 1]), Line("second", [0, 1], [1, 0])])))
    assert ">first<" in both and ">second<" in both
    assert ">first<" not in html(lines(Lines("t", "x", "y", [Line("first", [0, 1], [0, 1])])))
