"""Tables and lists of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.markup import tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from xml.etree.ElementTree import Element


def facts_table(rows: Iterable[tuple[str, str]]) -> Element:
    """Names beside their values."""
    body = [tag("tr", tag("td", name), tag("td", value)) for name, value in rows]
    return tag("div", tag("table", *body, class_="facts-table"), class_="scroll")


def plain_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Element:
    """Rows under their columns; all but the first column are set as numbers."""
    head = tag("tr", *(tag("th", column, class_="n" if at else None) for at, column in enumerate(columns)))
    body = [tag("tr", *(tag("td", cell, class_="n" if at else None) for at, cell in enumerate(row))) for row in rows]
    return tag("div", tag("table", head, *body), class_="scroll")


def bullets(entries: Sequence[str], most: int) -> Element:
    """Entries as a list, cut after `most`."""
    shown = [tag("li", entry) for entry in entries[:most]]
    if len(entries) > most:
        shown.append(tag("li", f"and {len(entries) - most} more"))
    return tag("div", tag("ul", *shown), class_="card notes")
