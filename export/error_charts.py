"""Charts of what a student gets wrong: the detection error tradeoff, and how far what it says can be believed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from export import figures
from export.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Line, frame, path_of
from export.markup import extend, tag
from export.scale import Scale, number, rate_scale

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from xml.etree.ElementTree import Element

FLOOR = HEIGHT - BOTTOM
LARGEST_DOT, SMALLEST_DOT = 10.0, 3.5


def names(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Title of a row and the names of its axes."""
    return figures.shown(row["title"]), figures.shown(row["x_name"]), figures.shown(row["y_name"])


def det(row: Mapping[str, Any]) -> Element:
    """Miss rate against false positive rate, both on probit scales; no error of n clips is drawn as half a one."""
    x_rates = _held(row["x"], int(row["negatives"]))
    y_rates = _held(row["y"], int(row["positives"]))
    x, y = rate_scale(x_rates, LEFT, WIDTH - RIGHT), rate_scale(y_rates, FLOOR, TOP)
    picture = frame(names(row), x, y, FLOOR)
    low, high = max(x.low, y.low), min(x.high, y.high)
    equal = tag("path", class_="guide", d=f"M{x(low):.1f} {y(low):.1f}L{x(high):.1f} {y(high):.1f}")
    curve = tag("path", class_="series s0", d=path_of(Line("", x_rates, y_rates), x, y))
    return tag("div", extend(picture, [equal, curve]), tag("p", "Dashed: equal error rates.", class_="soft"))


def _held(rates: Sequence[Any], clips: int) -> list[float]:
    half = 0.5 / clips
    return [min(max(float(rate), half), 1 - half) for rate in rates]


def calibration(row: Mapping[str, Any]) -> Element:
    """A reliability diagram: the area of a point is its clips; on the dashed line what is said is so."""
    low, high = (float(end) for end in row["ends"])
    margin = 0.03 * (high - low)
    x = Scale(low - margin, high + margin, LEFT, WIDTH - RIGHT)
    y = Scale(low - margin, high + margin, FLOOR, TOP)
    bins = list(zip(*([float(value) for value in row[name]] for name in ("x", "y", "clips")), strict=True))
    most = max((clips for _, _, clips in bins), default=1.0)
    title, x_name, y_name = names(row)
    picture = frame((title, x_name, y_name), x, y, FLOOR)
    diagonal = tag("path", class_="guide", d=f"M{x(low):.1f} {y(low):.1f}L{x(high):.1f} {y(high):.1f}")
    curve = tag("path", class_="series s0 thin", d=path_of(Line("", [b[0] for b in bins], [b[1] for b in bins]), x, y))
    dots = [
        _bin(x(said), y(found), clips / most, f"{said:.3f} said\n{found:.3f} found\n{number(clips)} clips")
        for said, found, clips in bins
    ]
    extend(picture, [diagonal, curve, *dots])
    error = f"Off by {float(row['error']):.3f} on average over clips; dashed: what is said is so."
    return tag("div", picture, tag("p", error, class_="soft"))


def _bin(x: float, y: float, share: float, tip: str) -> Element:
    radius = max(LARGEST_DOT * math.sqrt(share), SMALLEST_DOT)
    return tag("circle", class_="dot bin", cx=round(x, 1), cy=round(y, 1), r=round(radius, 1), data_tip=tip)
