"""The pick on its board, in the report: time by operator, and the arena over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from export import figures
from export.markup import tag
from export.results import TFLITE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from xml.etree.ElementTree import Element

    from export.footprint import Plan
    from export.front import Front
    from export.results import Run, TrialRow

# Larger graphs have a thousand operators and more; the slowest are what is to be seen.
SHOWN_OPERATORS, SHOWN_BLOCKS = 60, 400
KEY = (
    ("kernel", "its kernel"),
    ("waits", "waits for memory"),
    ("tensor", "tensor"),
    ("scratch", "scratch of a kernel"),
)


def profile_section(front: Front, picked: TrialRow | None) -> list[Element]:
    """Both plots of the pick's INT8 model, or why there are none."""
    if picked is None:
        return []
    head = tag("h2", f"Where the milliseconds and the memory of trial {picked.name} go")
    try:
        planned, cpu_mhz = _plan(front, picked)
    except (OSError, ValueError) as error:
        said = f"The model cannot be profiled: {figures.shown(str(error))}"
        return [head, tag("div", tag("p", said, class_="soft"), class_="card")]
    return [head, tag("p", _said(planned, picked, cpu_mhz), class_="soft"), _key(), *_plots(planned, cpu_mhz)]


def _plan(front: Front, picked: TrialRow) -> tuple[Plan, int]:
    from export.footprint import plan
    from export.operators import read_model

    run = front.study.run
    board = _board(run)
    path = front.study.results.of(picked) / TFLITE
    calibration = run.details.get("calibration")
    fitted = None
    if calibration:
        from export.calibration import recorded_calibration

        fitted = recorded_calibration(calibration)
    return plan(read_model(path.read_bytes(), path.name), board, calibration=fitted), board.cpu_mhz


def _board(run: Run) -> Any:
    from spaces.board import Board

    try:
        return Board(**run.board)
    except TypeError:
        raise ValueError("run.json does not describe its board in full") from None


def _said(planned: Plan, picked: TrialRow, cpu_mhz: int) -> str:
    from export.footprint import PROFILER_VERSION

    total = sum(row.cycles for row in planned.rows) / cpu_mhz / 1000
    steps = f"One Invoke: {total:.2f} ms in {len(planned.rows)} operators"
    arena = planned.arena
    memory = (
        f"arena {figures.with_unit('_bytes', arena.total_bytes)}: head {figures.with_unit('_bytes', arena.head_bytes)}"
    )
    text = f"{steps}, {planned.choice.placement}; {memory}, drawn below, and the rest for the model's life. Estimates."
    version = str(picked.footprint.get("profiler_version", PROFILER_VERSION))
    if version != PROFILER_VERSION:
        text += f" The search's own figures are of profiler version {version}, these of {PROFILER_VERSION}."
    return text


def _key() -> Element:
    box = {"x": 2, "y": 2, "width": 12, "height": 12}
    shown = [tag("span", tag("svg", tag("rect", class_=kind, **box), viewBox="0 0 16 16"), name) for kind, name in KEY]
    return tag("div", *shown, tag("span", "line: 90 % interval"), class_="key")


def _plots(planned: Plan, cpu_mhz: int) -> list[Element]:
    from export.profile_plots import memory_plot, operator_row, time_plot

    rows: list[Mapping[str, Any]] = [operator_row(row, cpu_mhz) for row in planned.rows]
    slowest = sorted(rows, key=lambda row: -row["ms"])[:SHOWN_OPERATORS]
    shown = sorted(slowest, key=lambda row: row["index"])
    rest = sum(row["ms"] for row in rows) - sum(row["ms"] for row in shown)
    blocks = sorted(planned.arena.blocks, key=lambda block: -block.size_bytes)[:SHOWN_BLOCKS]
    more = f"and {len(rows) - len(shown)} more operators, {rest:.3f} ms together"
    return [
        tag(
            "div",
            tag("h3", "Time by operator"),
            tag("div", time_plot(shown), class_="scroll"),
            tag("p", more, class_="soft") if len(rows) > len(shown) else None,
            class_="card profile",
            style="margin-bottom:16px",
        ),
        tag(
            "div",
            tag("h3", "Arena over time"),
            tag("div", memory_plot(blocks), class_="scroll"),
            class_="card profile",
        ),
    ]
