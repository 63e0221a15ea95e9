"""What an ablation says: each setting's scores over seeds, with intervals and gains paired by seed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    """INT8 scores of one setting over its seeds; `gain` on test is over the setting `over`, seed by seed."""

    name: str
    seeds: int
    validation: Estimate
    test: Estimate
    rounding: Estimate
    over: str
    gain: Estimate


def ablation_rows(results: Results, settings: Sequence[Setting]) -> list[Row]:
    """The settings that were trained with at least one seed, in their order.

    A folder of other parameters, as an older version may have left, does not count.
    """
    records = {setting.name: _records(setting, results) for setting in settings}
    return [_row(setting, records) for setting in settings if records[setting.name]]


def _records(setting: Setting, results: Results) -> Records:
    found = {}
    for path in sorted((results.ablation / setting.folder).glob("*/metrics.json")):
        record = read_object(path)
        if record.get("outcome") == "trained" and record.get("params") == dict(setting.params):
            found[int(path.parent.name)] = record
    return found


def _row(setting: Setting, records: Mapping[str, Records]) -> Row:
    own, tests = records[setting.name], scores_on_test(records[setting.name])
    others = scores_on_test(records.get(setting.against or "", {}))
    return Row(
        name=setting.name,
        seeds=len(own),
        validation=estimate([record["score_int8"] for record in own.values()]),
        test=estimate(list(tests.values())),
        rounding=estimate([record["score_int8"] - record["score_float"] for record in own.values()]),
        over=setting.against or "",
        gain=estimate([score - others[seed] for seed, score in tests.items() if seed in others]),
    )


def ablation_table(rows: Sequence[Row]) -> str:
    """Markdown: means, and from two seeds on their 95 % intervals by Student's t."""
    lines = [_HEAD, ("---", "---:", *("---" for _ in _HEAD[2:])), *map(_cells, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cells(row: Row) -> tuple[str, ...]:
    gain, rounding = _shown(row.gain, "+"), _shown(row.rounding, "+")
    return row.name, str(row.seeds), _shown(row.validation), _shown(row.test), gain, row.over, rounding


def _shown(value: Estimate, sign: str = "") -> str:
    if value.mean is None:
        return ""
    if value.low is None or value.high is None:
        return f"{value.mean:{sign}.3f}"
    return f"{value.mean:{sign}.3f} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]"


def write_ablation(rows: Sequence[Row], results: Results) -> None:
    """Write ablation.md and ablation.csv into the results folder."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    estimates = ("validation", "test", "gain", "rounding")
    writer.writerow(["setting", "seeds", "over", *(f"{name}_{part}" for name in estimates for part in _PARTS)])
    for row in rows:
        figures = [getattr(getattr(row, name), part) for name in estimates for part in _PARTS]
        writer.writerow([row.name, row.seeds, row.over, *("" if figure is None else figure for figure in figures)])
    write_atomically(results.folder / "ablation.md", ablation_table(rows) + "\n")
    write_atomically(results.folder / "ablation.csv", text.getvalue())
