"""The report: one HTML file of a front that opens offline."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from export import figures
from export.chart import scatter
from export.importance import importances
from export.kept_importance import kept_importances
from export.markup import html, tag
from export.profile_section import profile_section
from export.results import write_atomically
from export.retrained import score_axis
from export.seeds_section import seeds_section
from export.settings_section import settings_section
from export.tables import facts_table, plain_table
from export.teaching_section import teaching_section
from export.trial_section import anchor, trial_section
from export.warnings_section import warnings_section

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from xml.etree.ElementTree import Element

    from export.front import Front
    from export.importance import Branch
    from export.results import Outcome, TrialRow

    Section = tuple[TrialRow, Element]

MAX_BYTES = 3_000_000
# What members may take together; charts, tables and styles need far less than the rest.
MEMBERS_BYTES = 1_800_000
# Of other trials, whose points are there to be clicked on, too.
MOST_OTHERS, OTHERS_BYTES = 24, 1_000_000
REPORTED_ONLY = (
    "Validation figures chose the student and its settings. Test figures are reported only: nothing was chosen on them."
)


def write_report(front: Front, picked: TrialRow | None = None) -> Path:
    """Write report.html into the front's results folder, at most 3 MB, and return its path."""
    path = front.study.results.report_html
    write_atomically(path, report(front, picked, kept_importances(front.study)))
    return path


def report(front: Front, picked: TrialRow | None = None, branches: Sequence[Branch] | None = None) -> str:
    """The page as text; `branches` are the study's importances where they are known.

    It loads nothing: a content security policy in it forbids that and any script but its own.
    """
    sections, left_out, room = _sections(front, picked)
    others = _others(front, picked, min(room, OTHERS_BYTES))
    linked = {row.number for row, _ in [*sections, *others] if not row.final}
    run = front.study.run
    title = f"{run.recipe} on {run.board_name}"
    body = tag(
        "body",
        _headline(front, title, picked),
        *warnings_section(front, linked),
        *_charts(front, picked, linked),
        *_table_of_front(front, picked, linked),
        *seeds_section(front),
        *teaching_section(front),
        *settings_section(front, importances(front.study) if branches is None else branches, linked),
        *profile_section(front, picked),
        *_finals(front, sections),
        *_members([section for row, section in sections if not row.final], left_out),
        *_dominated(front, others),
        *_reasons(front, "failed", "Failed trials"),
        *_reasons(front, "stopped", "Trials that were stopped early"),
        *_reproduction(front, picked),
        tag("div", id="tip", hidden=True),
        tag("script", _asset("report.js")),
    )
    return "<!doctype html>\n" + html(tag("html", _head(title), body, lang="en")) + "\n"


def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _head(title: str) -> Element:
    digest = base64.b64encode(hashlib.sha256(_asset("report.js").encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; media-src data:"
    )
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title} - Potstill"),
        tag("style", _asset("report.css")),
    )


def _headline(front: Front, title: str, picked: TrialRow | None) -> Element:
    run, counts = front.study.run, front.study.counts
    limits = ", ".join(f"{name.rpartition('_')[0]} {figures.with_unit(name, top)}" for name, top in run.budget.items())
    facts: list[tuple[str, str]] = [(str(count), outcome) for outcome, count in counts.items() if count]
    facts += [(str(len(front.members)), "on the front"), (f"{front.hypervolume:.3f}", "hypervolume")]
    if picked is not None:
        facts.append((picked.name, "picked trial"))
    return tag(
        "header",
        tag("h1", title),
        tag("p", f"Ceilings: {limits or 'none'}.", class_="soft"),
        tag("ul", *(tag("li", tag("b", value), tag("span", name)) for value, name in facts), class_="facts"),
    )


def _charts(front: Front, picked: TrialRow | None, linked: set[int]) -> list[Element]:
    cards = [
        tag("div", tag("h3", chart.title), scatter(chart), class_="card")
        for chart in figures.scatters(front, picked, linked)
    ]
    return [tag("h2", "Front"), _key(front, picked), tag("div", *cards, class_="grid2")]


def _key(front: Front, picked: TrialRow | None) -> Element:
    entries = [("on the front", _key_dot("front", 5)), ("dominated", _key_dot("dominated", 3.5))]
    if picked is not None:
        entries.insert(0, ("picked", _key_dot("picked", 6.5)))
    if front.study.counts["refused"]:
        entries.append(
            ("refused at its footprint, never trained", tag("path", class_="refused", d="M4 4l8 8m0-8l-8 8"))
        )
    shown = [tag("span", tag("svg", mark, viewBox="0 0 16 16"), name) for name, mark in entries]
    line = "The line bounds what the front dominates on these two axes; whiskers reach to the upper end of the latency."
    return tag("div", tag("div", *shown, class_="key"), tag("p", line, class_="soft"))


def _key_dot(kind: str, radius: float) -> Element:
    return tag("circle", class_=f"dot {kind}", cx=8, cy=8, r=radius)


def _table_of_front(front: Front, picked: TrialRow | None, linked: set[int]) -> list[Element]:
    extra = [
        o.name
        for o in front.study.run.objectives
        if o.name not in {"score", "decision_ms", "arena_bytes", "flash_bytes"}
    ]
    names = [
        "trial",
        "INT8",
        "float",
        "INT8 - float",
        *extra,
        "decision",
        "Invoke ms (interval)",
        "arena",
        "flash",
        "student",
    ]
    head = tag(
        "tr", *(tag("th", name, class_="n" if 0 < at < len(names) - 1 else None) for at, name in enumerate(names))
    )
    rows = [_front_row(front, row, picked, linked, extra) for row in _shown_members(front, picked)]
    table = tag("table", tag("thead", head), tag("tbody", *rows), class_="front-table")
    return [tag("div", table, class_="card scroll", style="margin-top:16px")]


def _shown_members(front: Front, picked: TrialRow | None) -> list[TrialRow]:
    outside = picked is not None and (picked.final or not front.member(picked.number))
    return [*front.members, *([picked] if picked is not None and outside else [])]


def _front_row(front: Front, row: TrialRow, picked: TrialRow | None, linked: set[int], extra: Sequence[str]) -> Element:
    chosen = picked is not None and row.name == picked.name
    label = tag("a", row.name, href=f"#{anchor(row)}") if row.final or row.number in linked else row.name
    values = dict(zip((o.name for o in front.study.run.objectives), row.values, strict=True))
    cells = [
        figures.score(row.metrics.get("score_int8")),
        figures.score(row.metrics.get("score_float")),
        figures.float_difference(row),
        *(figures.with_unit(column, values[column]) for column in extra),
        figures.with_unit("_ms", row.footprint.get("decision_ms", "-")),
        figures.interval(row.footprint),
        figures.with_unit("_bytes", row.footprint.get("arena_bytes", "-")),
        figures.with_unit("_bytes", row.footprint.get("flash_bytes", "-")),
    ]
    return tag(
        "tr",
        tag("td", label, " ", tag("span", "picked", class_="pill") if chosen else None),
        *(tag("td", cell, class_="n") for cell in cells),
        tag("td", figures.shown(row.params.get("student", ""))),
        class_="picked" if chosen else None,
        data_trial=row.number,
    )


def _sections(front: Front, picked: TrialRow | None) -> tuple[list[Section], list[str], int]:
    """Sections of the pick, the front's members and full-length trainings while they fit; others' names; bytes left."""
    shown = {row.name: row for row in [*_shown_members(front, picked), *front.retrained.finals]}
    rows = sorted(shown.values(), key=lambda row: picked is None or row.name != picked.name)
    sections: list[Section] = []
    left_out: list[str] = []
    room = MEMBERS_BYTES
    for row in rows:
        section = trial_section(front, row, chosen=picked is not None and row.name == picked.name)
        size = len(html(section).encode())
        if size > room:
            left_out.append(row.name)
        else:
            room -= size
            sections.append((row, section))
    return sections, left_out, room


def _others(front: Front, picked: TrialRow | None, room: int) -> list[Section]:
    """Sections of the best dominated trials, while there is room for so many bytes."""
    axis = score_axis(front.study.run.objectives)
    sign = -1 if front.study.run.objectives[axis].direction == "maximize" else 1
    rows = [row for row in front.dominated if picked is None or row.name != picked.name]
    found: list[Section] = []
    for row in sorted(rows, key=lambda row: sign * row.values[axis])[:MOST_OTHERS]:
        section = trial_section(front, row, chosen=False)
        room -= len(html(section).encode())
        if room < 0:
            break
        found.append((row, section))
    return found


def _dominated(front: Front, others: Sequence[Section]) -> list[Element]:
    if not others:
        return []
    rows = len(front.dominated)
    few = f"The best {len(others)} of {rows} by score." if len(others) < rows else ""
    said = f"Dominated, or over budget once trained. {few}"
    return [
        tag("h2", "Other trained trials"),
        tag("p", said.rstrip(), class_="soft"),
        *(section for _, section in others),
    ]


def _members(sections: Iterable[Element], left_out: Sequence[str]) -> list[Element]:
    note = f"Left out to keep this page under {MAX_BYTES // 1_000_000} MB: trials {', '.join(left_out)}."
    return [
        tag("h2", "Trials on the front"),
        tag("p", REPORTED_ONLY, class_="soft"),
        *sections,
        *([tag("p", note, class_="soft")] if left_out else []),
    ]


def _finals(front: Front, sections: Sequence[Section]) -> list[Element]:
    finals = front.retrained.finals
    if not finals:
        return []
    searched = {row.number: row for row in front.study.trials}
    rows = [[row.name, *_lengths(searched[row.number], row)] for row in finals]
    table = plain_table(["trial", "INT8 in the search", "INT8 at full length", "float", "decision", "arena"], rows)
    said = "Trained again at the source's full length, one seed each; --pick final:NUMBER exports one."
    return [
        tag("h2", "At full length"),
        tag("p", said, class_="soft"),
        tag("div", table, class_="card", style="margin-bottom:12px"),
        *(section for row, section in sections if row.final),
    ]


def _lengths(searched: TrialRow, final: TrialRow) -> list[str]:
    return [
        figures.score(searched.metrics.get("score_int8")),
        figures.score(final.metrics.get("score_int8")),
        figures.score(final.metrics.get("score_float")),
        figures.with_unit("_ms", final.footprint.get("decision_ms", "-")),
        figures.with_unit("_bytes", final.footprint.get("arena_bytes", "-")),
    ]


def _reasons(front: Front, outcome: Outcome, title: str) -> list[Element]:
    rows = [[reason, str(count)] for reason, count in figures.reasons(front, outcome)]
    return [tag("h2", title), tag("div", plain_table(["reason", "trials"], rows), class_="card")] if rows else []


def _reproduction(front: Front, picked: TrialRow | None) -> list[Element]:
    details = {key: value for key, value in front.study.run.details.items() if key not in {"warnings", "command"}}
    command = figures.shown(front.study.run.details.get("command") or "not recorded")
    export = f"python -m export RESULTS --pick {picked.name}" if picked is not None else "python -m export RESULTS"
    return [
        tag("h2", "How to reproduce"),
        tag(
            "div",
            tag("p", tag("code", command)),
            tag("p", tag("code", export)),
            facts_table(figures.flattened(details)),
            class_="card",
        ),
    ]
