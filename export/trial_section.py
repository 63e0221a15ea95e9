"""One trial in the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from export import figures
from export.audio_row import with_sounds
from export.chart import lines
from export.evaluation_rows import drawn
from export.markup import extend, tag
from export.tables import bullets, facts_table, plain_table
from export.under_tflm import read_under_tflm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from xml.etree.ElementTree import Element

    from export.figures import Member
    from export.front import Front
    from export.results import TrialRow
    from export.under_tflm import UnderTflm

SHOWN_WARNINGS = 50
# Tables of more columns take the whole width.
WIDE_TABLE = 5


def trial_section(front: Front, row: TrialRow, *, chosen: bool) -> Element:
    """One trial: footprint, figures, parameters, the rows of its evaluation and its training; open if it is chosen."""
    section = tag("details", _summary(front, row, chosen), class_="card", id=anchor(row), open=chosen)
    try:
        results = front.study.results
        member = figures.member(front, row)
        rows = with_sounds(member.evaluation, results.of(row), results.folder, embedded=chosen)
        content = _content(member, rows, read_under_tflm(results.of(row)))
    except ValueError as error:
        content = [tag("p", f"This trial's folder cannot be shown: {error}")]
    return extend(section, content)


def anchor(row: TrialRow) -> str:
    """The id of a trial's section."""
    return f"trial-{row.name.replace(':', '-')}"


def _summary(front: Front, row: TrialRow, chosen: bool) -> Element:
    facts = [
        f"score {figures.score(row.metrics.get('score_int8'))}",
        figures.seeds_said(front, row),
        f"decision {figures.with_unit('_ms', row.footprint.get('decision_ms', '-'))}",
        f"arena {figures.with_unit('_bytes', row.footprint.get('arena_bytes', '-'))}",
        f"flash {figures.with_unit('_bytes', row.footprint.get('flash_bytes', '-'))}",
        figures.shown(row.params.get("student", "")),
    ]
    pill = tag("span", "picked", class_="pill") if chosen else None
    title = f"Trial {row.number}" + (" at full length" if row.final else "")
    return tag("summary", tag("b", title), pill, *(tag("span", fact, class_="soft") for fact in facts))


def _content(member: Member, evaluation: Sequence[Mapping[str, Any]], micro: UnderTflm | None) -> list[Element]:
    blocks = [bullets(member.warnings, SHOWN_WARNINGS)] if member.warnings else []
    first = [_footprint(member), _figures(member, micro), _parameters(member)]
    charts = [_titled(chart.title, lines(chart)) for chart in member.histories]
    rows = [_evaluated(row) for row in evaluation]
    return [
        *blocks,
        *(tag("div", *group, class_="grid3", style="margin-top:18px") for group in (first, rows, charts) if group),
    ]


def _evaluated(row: Mapping[str, Any]) -> Element:
    columns = row.get("columns") if row["type"] == "table" else None
    element = _titled(*drawn(row))
    if isinstance(columns, list) and len(columns) > WIDE_TABLE:
        element.set("class", "wide")
    return element


def _titled(title: str, *content: Element) -> Element:
    return tag("div", tag("h3", title), *content)


def _footprint(member: Member) -> Element:
    bars: list[Element] = []
    for share in member.shares:
        bars.append(
            tag(
                "div",
                tag("span", share.name),
                tag("span", f"{share.used} of {share.ceiling}", class_="soft"),
                class_="share",
            )
        )
        if share.fraction is not None:
            fill = tag("i", style=f"width:{min(max(share.fraction, 0), 1):.1%}")
            bars.append(tag("div", fill, class_="bar over" if share.fraction > 1 else "bar"))
    rest = [("Invoke ms (interval)", figures.interval(member.row.footprint))]
    rest += [
        (key, figures.shown(member.row.footprint[key]))
        for key in ("placement", "board", "profiler_version")
        if key in member.row.footprint
    ]
    return _titled("Footprint", *bars, facts_table(rest))


def _figures(member: Member, micro: UnderTflm | None) -> Element:
    validation, test = (_mapping(member.metrics.get(split)) for split in ("validation", "test"))
    rows = [
        [name, figures.shown(validation.get(name, "-")), figures.shown(test.get(name, "-"))]
        for name in dict.fromkeys([*validation, *test])
    ]
    scores = [
        ["score, INT8", figures.score(member.metrics.get("score_int8")), ""],
        ["score, float", figures.score(member.metrics.get("score_float")), ""],
        *_under_tflm(micro),
    ]
    return _titled("Figures", plain_table(["", "validation", "test"], [*scores, *rows, *_beside_teacher(member)]))


def _under_tflm(micro: UnderTflm | None) -> list[list[str]]:
    if micro is None:
        return []
    # Of fewer clips the score would be of other clips than the one above it.
    beside = (
        "" if micro.clips == micro.of_clips else f" (the host's kernels on these {figures.score(micro.score_host)})"
    )
    return [
        ["score under TFLM", figures.score(micro.score_tflm) + beside, ""],
        ["outputs that differ under TFLM", str(micro), ""],
    ]


def _beside_teacher(member: Member) -> list[list[str]]:
    said = _mapping(member.metrics.get("beside_teacher"))
    if not said:
        return []
    return [
        ["teacher's F1", "", figures.score(said.get("teacher_f1"))],
        [
            f"within {figures.shown(said.get('margin'))} of the teacher",
            "",
            "yes" if said.get("within_margin") else "no",
        ],
    ]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _parameters(member: Member) -> Element:
    seconds = [(f"seconds.{name}", text) for name, text in figures.flattened(_mapping(member.metrics.get("seconds")))]
    return _titled("Parameters", facts_table([*figures.flattened(dict(member.row.params)), *seconds]))
