"""Charts as SVG: a scatter with its front, ceiling and refused points, and lines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final

from export.markup import extend, tag
from export.scale import Scale, number, scale_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

WIDTH, HEIGHT = 480, 350
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 22, 44
STRIP = 26
# Beyond these a page of thousands of trials would outgrow its 3 MB.
HOVERED_MARKS = 1500
POINTS_PER_LINE = 240
SERIES_COLOURS = 9


@final
@dataclass(frozen=True)
class Point:
    """A trained trial; `x_high` is the upper end of x's interval, `link` what a click opens."""

    trial: int
    x: float
    y: float
    kind: Literal["dominated", "front", "picked"]
    on_front: bool
    tip: str
    x_high: float | None = None
    link: str | None = None


@final
@dataclass(frozen=True)
class Refused:
    """A point that was never trained: it has a footprint and no score."""

    x: float
    tip: str


@final
@dataclass(frozen=True)
class Scatter:
    """Rows of one scatter chart. `best_right` and `best_up` say where the better end of each axis lies."""

    title: str
    x_label: str
    y_label: str
    points: Sequence[Point]
    refused: Sequence[Refused] = ()
    ceiling: float | None = None
    best_right: bool = False
    best_up: bool = True


@final
@dataclass(frozen=True)
class Line:
    """One named series; where `y` is not finite the line has a gap."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@final
@dataclass(frozen=True)
class Lines:
    """Rows of one line chart, over a logarithmic x axis where `log_x`."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    log_x: bool = False


def scatter(chart: Scatter) -> Element:
    """Draw a scatter: front as a staircase, what lies beyond the ceiling shaded, refused points on a strip below."""
    strip = STRIP if chart.refused else 0
    floor = HEIGHT - BOTTOM - strip
    xs = [p.x for p in chart.points] + [r.x for r in chart.refused] + [chart.ceiling] * (chart.ceiling is not None)
    x = scale_of([value for value in xs if value is not None], LEFT, WIDTH - RIGHT, may_be_log=True)
    y = scale_of([p.y for p in chart.points], floor, TOP)
    picture = frame((chart.title, chart.x_label, chart.y_label), x, y, HEIGHT - BOTTOM)
    extend(picture, _ceiling(chart.ceiling, x, HEIGHT - BOTTOM))
    extend(picture, _strip(chart.refused, x, floor) if strip else [])
    extend(picture, _staircase(chart, x, y, floor))
    extend(picture, _dots(chart.points, x, y))
    return picture


def lines(chart: Lines) -> Element:
    """Draw named series over one x axis, with a legend where there is more than one."""
    floor = HEIGHT - BOTTOM
    at = [value for line in chart.lines for value in line.x]
    x = scale_of(at, LEFT, WIDTH - RIGHT, always_log=chart.log_x)
    values = [value for line in chart.lines for value in line.y]
    y = scale_of(values, floor, TOP + (20 if len(chart.lines) > 1 else 0), may_be_log="lr" in chart.y_label)
    picture = frame((chart.title, chart.x_label, chart.y_label), x, y, floor)
    for index, line in enumerate(chart.lines):
        colour = f"series s{index % SERIES_COLOURS}"
        picture.append(tag("path", class_=colour, d=path_of(line, x, y)))
    return extend(picture, _legend(chart.lines) if len(chart.lines) > 1 else [])


def frame(names: tuple[str, str, str], x: Scale, y: Scale, floor: float) -> Element:
    """An empty chart with its axes; `names` are its title and the labels of x and y."""
    title, x_label, y_label = names
    picture = tag("svg", viewBox=f"0 0 {WIDTH} {HEIGHT}", class_="chart", role="img", aria_label=title)
    for tick in y.ticks():
        at = y(tick)
        picture.append(tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=at, y2=at))
        picture.append(tag("text", y.label(tick), class_="tick", x=LEFT - 7, y=at + 4, text_anchor="end"))
    for tick in x.ticks():
        at = x(tick)
        picture.append(tag("line", class_="grid", x1=at, x2=at, y1=TOP, y2=floor))
        picture.append(tag("text", x.label(tick), class_="tick", x=at, y=floor + 17, text_anchor="middle"))
    picture.append(tag("line", class_="axis", x1=LEFT, x2=WIDTH - RIGHT, y1=floor, y2=floor))
    picture.append(
        tag(
            "text",
            x_label + (", log scale" if x.log else ""),
            class_="label",
            x=WIDTH - RIGHT,
            y=floor + 37,
            text_anchor="end",
        )
    )
    picture.append(tag("text", y_label, class_="label", x=4, y=11))
    return picture


def _ceiling(ceiling: float | None, x: Scale, floor: float) -> list[Element]:
    if ceiling is None:
        return []
    at = x(ceiling)
    left = at > (LEFT + WIDTH) / 2
    label = tag(
        "text",
        f"ceiling {number(ceiling)}",
        class_="ceiling-label",
        x=at + (-6 if left else 6),
        y=TOP - 8,
        text_anchor="end" if left else "start",
    )
    beyond = tag("rect", class_="beyond", x=at, y=TOP, width=max(WIDTH - RIGHT - at, 0), height=floor - TOP)
    return [beyond, tag("line", class_="ceiling", x1=at, x2=at, y1=TOP, y2=floor), label]


def _strip(refused: Sequence[Refused], x: Scale, floor: float) -> list[Element]:
    middle = floor + STRIP / 2
    drawn: list[Element] = [
        tag("line", class_="axis", x1=LEFT, x2=WIDTH - RIGHT, y1=floor, y2=floor),
        tag("text", "refused", class_="tick", x=LEFT - 7, y=middle + 4, text_anchor="end"),
    ]
    for mark in refused[:HOVERED_MARKS]:
        drawn.append(tag("path", class_="refused", d=_cross(x(mark.x), middle), data_tip=mark.tip))
    rest = "".join(_cross(x(mark.x), middle) for mark in refused[HOVERED_MARKS:])
    return [*drawn, *([tag("path", class_="refused", d=rest)] if rest else [])]


def _cross(x: float, y: float) -> str:
    return f"M{x - 4:.1f} {y - 4:.1f}l8 8m0-8l-8 8"


def _staircase(chart: Scatter, x: Scale, y: Scale, floor: float) -> list[Element]:
    """The edge of what the front dominates in this projection."""
    sign_x, sign_y = (-1 if chart.best_right else 1), (1 if chart.best_up else -1)
    members = sorted((p for p in chart.points if p.on_front), key=lambda p: (sign_x * p.x, -sign_y * p.y))
    steps: list[Point] = []
    for point in members:
        if not steps or sign_y * point.y > sign_y * steps[-1].y:
            steps.append(point)
    if not steps:
        return []
    worst_x, worst_y = _worst_x(chart, x), (floor if chart.best_up else TOP)
    edge = f"M{x(steps[0].x):.1f} {worst_y:.1f}" + "".join(f"H{x(p.x):.1f}V{y(p.y):.1f}" for p in steps)
    edge += f"H{worst_x:.1f}"
    return [tag("path", class_="reach", d=f"{edge}V{worst_y:.1f}Z"), tag("path", class_="front-edge", d=edge)]


def _worst_x(chart: Scatter, x: Scale) -> float:
    if chart.best_right:
        return LEFT
    return WIDTH - RIGHT if chart.ceiling is None else x(chart.ceiling)


def _dots(points: Sequence[Point], x: Scale, y: Scale) -> list[Element]:
    dominated = [p for p in points if p.kind == "dominated"]
    rest = "".join(f"M{x(p.x):.1f} {y(p.y):.1f}h0" for p in dominated[HOVERED_MARKS:])
    drawn = [tag("path", class_="dots", d=rest)] if rest else []
    drawn += [_linked(p, _dot(p, x, y)) for p in dominated[:HOVERED_MARKS]]
    front = sorted((p for p in points if p.kind != "dominated"), key=lambda p: p.kind == "picked")
    drawn += [_whisker(p, x, y) for p in front if p.x_high is not None]
    return drawn + [_linked(p, _dot(p, x, y)) for p in front]


def _dot(point: Point, x: Scale, y: Scale) -> Element:
    radius = {"dominated": 3.5, "front": 5.5, "picked": 7.5}[point.kind]
    return tag(
        "circle",
        class_=f"dot {point.kind}",
        cx=round(x(point.x), 1),
        cy=round(y(point.y), 1),
        r=radius,
        data_tip=point.tip,
        data_trial=point.trial,
    )


def _whisker(point: Point, x: Scale, y: Scale) -> Element:
    end = x(point.x_high if point.x_high is not None else point.x)
    return tag("path", class_="whisker", d=f"M{x(point.x):.1f} {y(point.y):.1f}H{end:.1f}m0-3v6")


def _linked(point: Point, dot: Element) -> Element:
    return tag("a", dot, href=point.link, aria_label=f"trial {point.trial}") if point.link else dot


def path_of(line: Line, x: Scale, y: Scale) -> str:
    """A line as an SVG path, thinned where it has many points and with its gaps."""
    pairs = _thinned([pair for pair in zip(line.x, line.y, strict=True) if math.isfinite(pair[0])])
    commands, pen_down = [], False
    for at, value in pairs:
        if not math.isfinite(value):
            pen_down = False
            continue
        commands.append(f"{'L' if pen_down else 'M'}{x(at):.1f} {y(value):.1f}" + ("" if pen_down else "h0"))
        pen_down = True
    return "".join(commands)


def _thinned(pairs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if len(pairs) <= POINTS_PER_LINE:
        return pairs
    last = len(pairs) - 1
    return [pairs[round(index * last / (POINTS_PER_LINE - 1))] for index in range(POINTS_PER_LINE)]


def _legend(series: Sequence[Line]) -> list[Element]:
    drawn: list[Element] = []
    at = float(LEFT)
    for index, line in enumerate(series):
        drawn.append(tag("path", class_=f"series s{index % SERIES_COLOURS}", d=f"M{at:.1f} {TOP + 10}h14"))
        drawn.append(tag("text", line.name, class_="tick", x=at + 18, y=TOP + 14))
        at += 30 + 6.9 * len(line.name)
    return drawn
