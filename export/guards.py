"""The warnings that guards raised in a study, as rows: one for each wording, with the trials that it concerns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from export import figures
from export.results import read_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from export.results import Study, TrialRow

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")


@final
@dataclass(frozen=True)
class Raised:
    """One warning; where its trials say different numbers, the text holds the least and the greatest."""

    text: str
    trials: tuple[TrialRow, ...]


def raised(study: Study) -> list[Raised]:
    """What the trained trials' metrics.json warn of, the most frequent first; unreadable ones warn of nothing."""
    return gathered({row.number: _warnings(study, row) for row in study.trained}, study.trained)


def gathered(warnings: Mapping[int, Iterable[str]], rows: Sequence[TrialRow]) -> list[Raised]:
    """Warnings by trial, put together where they differ in numbers alone."""
    by_wording: dict[str, dict[int, str]] = {}
    for number, texts in warnings.items():
        for text in texts:
            by_wording.setdefault(_NUMBER.sub("#", text), {})[number] = text
    named = {row.number: row for row in rows}
    found = [
        Raised(_together(list(texts.values())), tuple(named[number] for number in texts))
        for texts in by_wording.values()
    ]
    return sorted(found, key=lambda one: -len(one.trials))


def _together(texts: Sequence[str]) -> str:
    columns = list(zip(*(_NUMBER.findall(text) for text in texts), strict=True))
    spans = iter([_span(column) for column in columns])
    return _NUMBER.sub(lambda _: next(spans), texts[0])


def _span(numbers: Sequence[str]) -> str:
    least, most = min(numbers, key=float), max(numbers, key=float)
    return least if float(least) == float(most) else f"{least} to {most}"


def _warnings(study: Study, row: TrialRow) -> list[str]:
    try:
        found = read_object(study.results.of(row) / "metrics.json").get("warnings")
    except ValueError:
        return []
    return [figures.shown(warning) for warning in found] if isinstance(found, list) else []
