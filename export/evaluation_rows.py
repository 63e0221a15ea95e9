"""The typed rows of evaluation.json, drawn: table, confusion, curve, det, calibration, audio, pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from export import figures
from export.audio_row import audio
from export.chart import Line, Lines, lines
from export.error_charts import calibration, det, names
from export.markup import tag
from export.picture_row import pictures
from export.scale import number
from export.tables import plain_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from xml.etree.ElementTree import Element

SHOWN_ROWS = 200
LARGE_CONFUSION = 8


def drawn(row: Mapping[str, Any]) -> tuple[str, Element]:
    """The title of a row and its picture, or what is wrong with it."""
    title = figures.shown(row.get("title", row["type"]))
    draw = _DRAWN.get(str(row["type"]))
    if draw is None:
        return title, tag("p", f"This version draws no rows of type {row['type']}.", class_="soft")
    try:
        return title, draw(row)
    except (KeyError, TypeError, ValueError, IndexError, ArithmeticError) as error:
        return title, tag("p", f"This row is malformed: {type(error).__name__} {error}.", class_="soft")


def _confusion(row: Mapping[str, Any]) -> Element:
    labels, counts = [figures.shown(label) for label in row["labels"]], row["counts"]
    head = tag("tr", tag("th", "said \\ heard", class_="row"), *(tag("th", label) for label in labels))
    body = [
        tag("tr", tag("th", label, class_="row"), *(_confusion_cell(count, sum(line)) for count in line))
        for label, line in zip(labels, counts, strict=True)
    ]
    large = " large" if len(labels) > LARGE_CONFUSION else ""
    return tag("div", tag("table", head, *body, class_=f"confusion{large}"), class_="scroll")


def _confusion_cell(count: float, total: float) -> Element:
    share = count / total if total else 0.0
    return tag("td", number(count), tag("small", f"{share:.0%}"), style=f"--share:{share:.3f}")


def _curve(row: Mapping[str, Any]) -> Element:
    x, y = [[float(value) for value in row[axis]] for axis in ("x", "y")]
    title, x_name, y_name = names(row)
    return lines(Lines(title, x_name, y_name, [Line(y_name, x, y)], log_x=row.get("x_scale") == "log"))


def _table_row(row: Mapping[str, Any]) -> Element:
    shown = [[figures.shown(value) for value in line] for line in row["rows"][:SHOWN_ROWS]]
    table = plain_table([figures.shown(column) for column in row["columns"]], shown)
    more = len(row["rows"]) - SHOWN_ROWS
    return tag("div", table, tag("p", f"and {more} more rows in evaluation.json", class_="soft") if more > 0 else None)


_DRAWN: dict[str, Callable[[Mapping[str, Any]], Element]] = {
    "audio": audio,
    "calibration": calibration,
    "confusion": _confusion,
    "curve": _curve,
    "det": det,
    "pictures": pictures,
    "table": _table_row,
}
