"""A model's memory over time and its time by operator: rows, and plots that a page styles by their classes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from export.latency import INTERVAL_DEVIATIONS
from export.markup import tag
from export.profile_table import short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from xml.etree.ElementTree import Element

    from export.arena import Block
    from export.latency import OperatorLatency
    from export.operators import Tensor

WIDTH, HEIGHT, LEFT, BOTTOM = 960, 380, 74, 34
BAR, NAMES = 24, 250


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
        class_=f"block {block.kind}",
    )


def _legend() -> list[Element]:
    return [
        shape
        for i, kind in enumerate(("tensor", "scratch"))
        for shape in (
            tag("rect", x=LEFT + 110 * i, y=HEIGHT - 16, width=12, height=12, class_=kind),
            tag("text", kind, x=LEFT + 16 + 110 * i, y=HEIGHT - 6),
        )
    ]


def time_plot(operators: Sequence[Mapping[str, Any]]) -> Element:
    """A bar for each operator: its kernel, the time it waits for memory behind it, and its 90 % interval."""
    most = max((row["high_ms"] for row in operators), default=0.0) or 1.0
    scale = (WIDTH - NAMES - 80) / most
    shapes = [shape for i, row in enumerate(operators) for shape in _bar(row, 4 + BAR * i, scale)]
    return _svg(BAR * len(operators) + 8, "Time by operator", shapes)


def _bar(row: Mapping[str, Any], y: float, scale: float) -> list[Element]:
    waits = row["ms"] * row["stall_cycles"] / max(1, row["cycles"])
    kernel, end = row["ms"] - waits, NAMES + scale * row["high_ms"]
    return [
        tag("text", f"{row['index']} {row['operator']}", x=NAMES - 8, y=y + 12, text_anchor="end"),
        _part(f"kernel {kernel:.3f} ms", NAMES, y, scale * kernel, "kernel"),
        _part(f"waits for memory {waits:.3f} ms", NAMES + scale * kernel, y, scale * waits, "waits"),
        tag("line", x1=NAMES + scale * row["low_ms"], x2=end, y1=y + 8, y2=y + 8, class_="span"),
        tag("text", f"{row['ms']:.{2 if row['ms'] >= 1 else 3}f} ms", x=end + 5, y=y + 12),
    ]


def _part(title: str, x: float, y: float, width: float, kind: str) -> Element:
    return tag("rect", tag("title", title), x=x, y=y, width=width, height=16, class_=kind)


def _svg(height: int, label: str, shapes: Sequence[Element]) -> Element:
    return tag("svg", *shapes, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=label)


def operator_row(row: OperatorLatency, cpu_mhz: int) -> dict[str, Any]:
    """What plots and tables say of one operator; its 90 % interval is `low_ms` to `high_ms`."""
    operator = row.operator
    ms = row.cycles / cpu_mhz / 1000
    reach = math.exp(INTERVAL_DEVIATIONS * row.log_sd)
    return {
        "index": operator.index,
        "operator": operator.kind,
        "shape": _shape(operator.outputs),
        "kernel": row.work.kernel,
        "macs": row.work.macs,
        "cycles": round(row.cycles),
        "stall_cycles": round(row.stall_cycles),
        "ms": ms,
        "low_ms": ms / reach,
        "high_ms": ms * reach,
        "weight_bytes": sum(t.size_bytes for t in operator.constant_inputs),
        "output_bytes": sum(t.size_bytes for t in operator.outputs),
    }


def _shape(tensors: Sequence[Tensor]) -> str:
    return " ".join("x".join(map(str, tensor.shape)) or "scalar" for tensor in tensors) or "-"
