"""The profile of a model as one HTML page: memory over time, and time by operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from export.markup import html, tag
from export.profile_table import short, summary

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from export.arena import Block
    from export.footprint import Profile

WIDTH, HEIGHT, LEFT, BOTTOM = 960, 380, 74, 34
BAR, NAMES = 24, 250
_COLOURS = {"tensor": "#4c78a8", "scratch": "#f58518"}
_WAITING = "#e45756"
_FIELDS = ("index", "operator", "shape", "kernel", "macs", "cycles", "ms", "low_ms", "high_ms", "weight_bytes")
_STYLE = (
    "body{font:15px sans-serif;margin:2em auto;max-width:72em;padding:0 1em}td,th{padding:.15em .7em;text-align:right}"
    "table.rows td:nth-child(-n+4),table.rows th:nth-child(-n+4),table.facts td{text-align:left}"
    "table{border-collapse:collapse}th{border-bottom:1px solid}td{vertical-align:top}"
    "table.facts td:first-child{white-space:nowrap}div{overflow-x:auto}"
    "svg{width:100%;min-width:640px;height:auto}text{font-size:12px}"
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


def memory_plot(blocks: Sequence[Block]) -> Element:
    """Each block of the head as a rectangle: across, the operators that it lives through; upwards, its bytes."""
    steps = max((block.last for block in blocks), default=0) + 1
    top = max((block.end for block in blocks), default=0) or 1
    wide, tall = (WIDTH - LEFT - 10) / steps, HEIGHT - BOTTOM - 10
    marks = [
        tag("text", f"{top * part:,.0f}", x=LEFT - 6, y=14 + tall * (1 - part), text_anchor="end")
        for part in (0, 0.5, 1)
    ]
    label = tag("text", "operators, first to last; bytes upwards", x=WIDTH - 10, y=HEIGHT - 6, text_anchor="end")
    shapes = [_block(block, wide, tall / top, 10 + tall) for block in blocks]
    return _svg(HEIGHT, "Arena over time", [*shapes, *marks, *_legend(), label])


def _block(block: Block, wide: float, tall: float, floor: float) -> Element:
    span = f"operators {block.first} to {block.last}"
    return tag(
        "rect",
        tag("title", f"{short(block.name)}: {block.size_bytes:,} bytes at {block.offset:,}, {span}"),
        x=LEFT + wide * block.first,
        y=floor - tall * block.end,
        width=wide * (block.last - block.first + 1),
        height=tall * block.size_bytes,
        fill=_COLOURS[block.kind],
        stroke="white",
    )


def _legend() -> list[Element]:
    return [
        shape
        for i, (kind, colour) in enumerate(_COLOURS.items())
        for shape in (
            tag("rect", x=LEFT + 110 * i, y=HEIGHT - 16, width=12, height=12, fill=colour),
            tag("text", kind, x=LEFT + 16 + 110 * i, y=HEIGHT - 6),
        )
    ]


def time_plot(operators: list[dict[str, Any]]) -> Element:
    """A bar for each operator: its kernel, the time it waits for memory behind it, and its 90 % interval."""
    most = max((row["high_ms"] for row in operators), default=0.0) or 1.0
    scale = (WIDTH - NAMES - 80) / most
    shapes = [shape for i, row in enumerate(operators) for shape in _bar(row, 4 + BAR * i, scale)]
    return _svg(BAR * len(operators) + 8, "Time by operator", shapes)


def _bar(row: dict[str, Any], y: float, scale: float) -> list[Element]:
    waits = row["ms"] * row["stall_cycles"] / max(1, row["cycles"])
    kernel, end = row["ms"] - waits, NAMES + scale * row["high_ms"]
    return [
        tag("text", f"{row['index']} {row['operator']}", x=NAMES - 8, y=y + 12, text_anchor="end"),
        _part(f"kernel {kernel:.3f} ms", NAMES, y, scale * kernel, _COLOURS["tensor"]),
        _part(f"waits for memory {waits:.3f} ms", NAMES + scale * kernel, y, scale * waits, _WAITING),
        tag("line", x1=NAMES + scale * row["low_ms"], x2=end, y1=y + 8, y2=y + 8, stroke="#333"),
        tag("text", f"{row['ms']:.{2 if row['ms'] >= 1 else 3}f} ms", x=end + 5, y=y + 12),
    ]


def _part(title: str, x: float, y: float, width: float, colour: str) -> Element:
    return tag("rect", tag("title", title), x=x, y=y, width=width, height=16, fill=colour)


def _svg(height: int, label: str, shapes: Sequence[Element]) -> Element:
    return tag("svg", *shapes, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=label)


def _rows(operators: list[dict[str, Any]]) -> Element:
    head = tag("tr", *(tag("th", name) for name in _FIELDS))
    body = [tag("tr", *(tag("td", _cell(row[name])) for name in _FIELDS)) for row in operators]
    return tag("table", head, *body, class_="rows")


def _cell(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
