"""The profile of a model as one HTML page: memory over time, and time by operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from export.markup import html, tag
from export.profile_plots import memory_plot, time_plot
from export.profile_table import summary

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from export.footprint import Profile

_FIELDS = ("index", "operator", "shape", "kernel", "macs", "cycles", "ms", "low_ms", "high_ms", "weight_bytes")
_STYLE = (
    "body{font:15px sans-serif;margin:2em auto;max-width:72em;padding:0 1em}td,th{padding:.15em .7em;text-align:right}"
    "table.rows td:nth-child(-n+4),table.rows th:nth-child(-n+4),table.facts td{text-align:left}"
    "table{border-collapse:collapse}th{border-bottom:1px solid}td{vertical-align:top}"
    "table.facts td:first-child{white-space:nowrap}div{overflow-x:auto}"
    "svg{width:100%;min-width:640px;height:auto}text{font-size:12px}.span{stroke:#333}.block{stroke:#fff}"
    ".tensor,.kernel{fill:#4c78a8}.scratch{fill:#f58518}.waits{fill:#e45756}"
)


def page(data: dict[str, Any], result: Profile, title: str) -> str:
    """A page that needs neither network nor scripts; `data` is the object that `--json` prints."""
    facts = [tag("tr", tag("td", name), tag("td", text)) for name, text in summary(data, result.board)]
    body = tag(
        "body",
        tag("h1", title),
        tag("table", *facts, class_="facts"),
        tag("h2", "Arena over time"),
        tag("div", memory_plot(result.arena.blocks)),
        tag("h2", "Time by operator"),
        tag("p", "Blue: the kernel. Red: it waits for memory. Line: 90 % interval."),
        tag("div", time_plot(data["operators"])),
        tag("div", _rows(data["operators"])),
    )
    phone = tag("meta", name="viewport", content="width=device-width, initial-scale=1")
    head = tag("head", tag("meta", charset="utf-8"), phone, tag("title", title), tag("style", _STYLE))
    return f"<!doctype html>\n{html(tag('html', head, body, lang='en'))}\n"


def _rows(operators: list[dict[str, Any]]) -> Element:
    head = tag("tr", *(tag("th", name) for name in _FIELDS))
    body = [tag("tr", *(tag("td", _cell(row[name])) for name in _FIELDS)) for row in operators]
    return tag("table", head, *body, class_="rows")


def _cell(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
