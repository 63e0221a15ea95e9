"""What an ablation says: each setting's scores over seeds, with intervals and gains paired by seed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

from export.confirmation import Estimate, estimate
from export.results import read_object, write_atomically
from export.seed_folders import scores_on_test

if TYPE_CHECKING:
    from export.results import Results
    from spaces.ablation import Setting

_HEAD = ("setting", "seeds", "validation", "test", "gain on test", "over", "INT8 less float")
_PARTS = ("mean", "low", "high")

Records = Mapping[int, Mapping[str, Any]]


@final
@dataclass(frozen=True)
class Row:
    """INT8 scores of one setting over its seeds; `gain` on test is over the setting `over`, seed by seed.

    `figures` holds further figures of test by name, each with its gain.
    """

    name: str
    seeds: int
    validation: Estimate
    test: Estimate
    rounding: Estimate
    over: str
    gain: Estimate
    figures: Mapping[str, tuple[Estimate, Estimate]] = field(default_factory=dict)


def ablation_rows(results: Results, settings: Sequence[Setting], figures: Sequence[str] = ()) -> list[Row]:
    """The settings that were trained with at least one seed, in their order, with further `figures` of test.

    A folder of other parameters, as an older version may have left, does not count.
    """
    records = {setting.name: _records(setting, results) for setting in settings}
    return [_row(setting, records, figures) for setting in settings if records[setting.name]]


def _records(setting: Setting, results: Results) -> Records:
    found = {}
    for path in sorted((results.ablation / setting.folder).glob("*/metrics.json")):
        record = read_object(path)
        if record.get("outcome") == "trained" and record.get("params") == dict(setting.params):
            found[int(path.parent.name)] = record
    return found


def _row(setting: Setting, records: Mapping[str, Records], figures: Sequence[str]) -> Row:
    own, against = records[setting.name], records.get(setting.against or "", {})
    tests, others = scores_on_test(own), scores_on_test(against)
    return Row(
        name=setting.name,
        seeds=len(own),
        validation=estimate([record["score_int8"] for record in own.values()]),
        test=estimate(list(tests.values())),
        rounding=estimate([record["score_int8"] - record["score_float"] for record in own.values()]),
        over=setting.against or "",
        gain=_gain(tests, others),
        figures={
            name: (estimate(list(found.values())), _gain(found, _on_test(against, name)))
            for name, found in ((name, _on_test(own, name)) for name in figures)
        },
    )


def _gain(own: Mapping[int, float], others: Mapping[int, float]) -> Estimate:
    return estimate([score - others[seed] for seed, score in own.items() if seed in others])


def _on_test(records: Records, name: str) -> dict[int, float]:
    return {seed: record["test"][name] for seed, record in records.items() if name in record.get("test", {})}


def ablation_table(rows: Sequence[Row]) -> str:
    """Markdown: means, and from two seeds on their 95 % intervals by Student's t."""
    lines = [_HEAD, ("---", "---:", *("---" for _ in _HEAD[2:])), *map(_cells, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def figures_table(rows: Sequence[Row], teacher: Mapping[str, float]) -> str:
    """Markdown: the rows' further figures of test, each with its gain, and below them the `teacher`'s own.

    Empty where the rows have none.
    """
    names = list(rows[0].figures) if rows else []
    if not names:
        return ""
    head = ("setting", *(part for name in names for part in (name, "gain")))
    lines = [head, tuple("---" for _ in head)]
    lines += [(row.name, *(part for pair in row.figures.values() for part in _pair(*pair))) for row in rows]
    own = (f"{teacher[name]:.3f}" if name in teacher else "" for name in names)
    lines.append(("the teacher", *(part for figure in own for part in (figure, ""))))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _pair(figure: Estimate, gain: Estimate) -> tuple[str, str]:
    return _shown(figure), _shown(gain, "+")


def _cells(row: Row) -> tuple[str, ...]:
    gain, rounding = _shown(row.gain, "+"), _shown(row.rounding, "+")
    return row.name, str(row.seeds), _shown(row.validation), _shown(row.test), gain, row.over, rounding


def _shown(value: Estimate, sign: str = "") -> str:
    if value.mean is None:
        return ""
    if value.low is None or value.high is None:
        return f"{value.mean:{sign}.3f}"
    return f"{value.mean:{sign}.3f} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]"


def ablation_text(rows: Sequence[Row], teacher: Mapping[str, float]) -> str:
    """The table, and that of further figures where there are any."""
    return "\n\n".join(filter(None, (ablation_table(rows), figures_table(rows, teacher))))


def write_ablation(rows: Sequence[Row], results: Results, teacher: Mapping[str, float]) -> None:
    """Write ablation.md and ablation.csv into the results folder; `teacher` are its figures on test."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [name for figure in (rows[0].figures if rows else ()) for name in (figure, f"{figure}_gain")]
    estimates = ("validation", "test", "gain", "rounding", *names)
    writer.writerow(["setting", "seeds", "over", *(f"{name}_{part}" for name in estimates for part in _PARTS)])
    for row in rows:
        found = (
            row.validation,
            row.test,
            row.gain,
            row.rounding,
            *(one for pair in row.figures.values() for one in pair),
        )
        figures = [getattr(one, part) for one in found for part in _PARTS]
        writer.writerow([row.name, row.seeds, row.over, *("" if figure is None else figure for figure in figures)])
    write_atomically(results.folder / "ablation.md", ablation_text(rows, teacher) + "\n")
    write_atomically(results.folder / "ablation.csv", text.getvalue())
