"""Every trial of a study as one table, for spreadsheets and notebooks: CSV or Parquet."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from export.results import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from export.front import Front
    from export.results import TrialRow

TABLE_SCHEMA = 1
FORMATS = (".csv", ".parquet")
_SCORES = ("score_int8", "score_float")


def check_table(path: Path) -> None:
    """A `ValueError` for a name that does not say which format is wanted."""
    if path.suffix not in FORMATS:
        raise ValueError(f"--table: {path} must end in {' or '.join(FORMATS)}")


def write_table(front: Front, path: Path) -> None:
    """Write the table; trials are in the order of the study.

    Columns: schema, results, trial, outcome, reason, on_front, fits; then `value.`, the objectives; score_int8 and
    score_float; `over.`, the fraction over each ceiling; `footprint.` and `param.`. A cell without a value is empty in
    CSV and null in Parquet, whose metadata hold `potstill_schema` too.
    """
    check_table(path)
    rows = [_row(front, row) for row in front.study.trials]
    columns = list(dict.fromkeys(name for row in rows for name in row)) or ["schema", "trial"]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, _as_csv(columns, rows) if path.suffix == ".csv" else _as_parquet(columns, rows))


def _row(front: Front, row: TrialRow) -> dict[str, Any]:
    objectives = front.study.run.objectives
    values = row.values or [None] * len(objectives)
    return {
        "schema": TABLE_SCHEMA,
        "results": str(row.source.results.folder if row.source else front.study.results.folder),
        "trial": row.source.number if row.source else row.number,
        "outcome": "damaged" if row.number in front.study.damaged else row.outcome,
        "reason": front.study.damaged.get(row.number, row.reason),
        "on_front": front.member(row.number),
        "fits": row.fits,
        **{f"value.{objective.name}": value for objective, value in zip(objectives, values, strict=True)},
        **{name: row.metrics.get(name) for name in _SCORES},
        **{f"over.{name}": over for name, over in row.constraints.items()},
        **{f"footprint.{name}": value for name, value in row.footprint.items()},
        **{f"param.{name}": value for name, value in row.params.items()},
    }


def _as_csv(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _as_parquet(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    arrays = {name: _column([row.get(name) for row in rows]) for name in columns}
    table = pyarrow.table(arrays, metadata={"potstill_schema": str(TABLE_SCHEMA)})
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def _column(values: Sequence[Any]) -> list[Any]:
    # A parameter may be a word in one branch of a space and a number in another: Parquet takes one type.
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else str(value) for value in values] if len(kinds) > 1 else list(values)
