"""Warnings in the report: of the study, of folders that were left out, and what guards raised trial by trial."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export import figures
from export.guards import raised
from export.markup import tag
from export.tables import bullets
from export.trial_section import anchor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from export.front import Front
    from export.guards import Raised

SHOWN_WARNINGS, SHOWN_TRIALS = 50, 24


def warnings_section(front: Front, linked: set[int]) -> list[Element]:
    """Nothing where nothing was warned of."""
    said, by_trial = _said(front), raised(front.study)
    if not said and not by_trial:
        return []
    general = [bullets(said, SHOWN_WARNINGS)] if said else []
    return [tag("section", tag("h2", "Warnings"), *general, *_table(by_trial, linked))]


def _said(front: Front) -> list[str]:
    said = [figures.shown(warning) for warning in front.study.run.details.get("warnings") or []]
    said += [f"trial {row}: left out, its folder is damaged: {fault}" for row, fault in front.study.damaged.items()]
    said += [f"{folder}: left out: {fault}" for folder, fault in front.retrained.left_out.items()]
    if unfinished := front.study.counts["unfinished"]:
        said.append(
            f"not finished: {unfinished} of {len(front.study.trials)} trials; the search runs or was interrupted"
        )
    return said


def _table(found: Sequence[Raised], linked: set[int]) -> list[Element]:
    if not found:
        return []
    head = tag("tr", tag("th", "raised in training"), tag("th", "trials", class_="n"), tag("th", "which"))
    rows = [
        tag("tr", tag("td", one.text), tag("td", str(len(one.trials)), class_="n"), _which(one, linked))
        for one in found[:SHOWN_WARNINGS]
    ]
    return [tag("div", tag("div", tag("table", head, *rows), class_="scroll"), class_="card warned")]


def _which(one: Raised, linked: set[int]) -> Element:
    cell = tag("td")
    for at, row in enumerate(one.trials[:SHOWN_TRIALS]):
        named = tag("a", row.name, href=f"#{anchor(row)}") if row.number in linked else tag("span", row.name)
        named.tail = ", " if at < min(len(one.trials), SHOWN_TRIALS) - 1 else ""
        cell.append(named)
    if len(one.trials) > SHOWN_TRIALS:
        cell.append(tag("span", f" and {len(one.trials) - SHOWN_TRIALS} more"))
    return cell
