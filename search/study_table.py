"""The trained trials of a study as rows of one table, and as a figure of parallel axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from export.results import TrialRow

LOG_RATIO = 12.0
NOT_TAKEN = "not taken"
PARAMETER = "param."


def trial_rows(
    trials: Sequence[TrialRow], objectives: Sequence[str], on_front: AbstractSet[int]
) -> list[dict[str, Any]]:
    """A row per trial, all with the same columns in the same order; None where a trial lacks a value.

    Columns: trial, on_front, the objectives, both scores, the footprint, and the parameters, each behind `param.`.
    """
    rows = [_row(trial, objectives, trial.number in on_front) for trial in trials]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: row.get(name) for name in columns} for row in rows]


def _row(trial: TrialRow, objectives: Sequence[str], on_front: bool) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "on_front": on_front,
        **dict(zip(objectives, trial.values, strict=True)),
        **{name: trial.metrics.get(name) for name in ("score_int8", "score_float")},
        **{name: value for name, value in trial.footprint.items() if name not in objectives},
        **{f"{PARAMETER}{name}": value for name, value in trial.params.items()},
    }


def parallel_coordinates(rows: Sequence[Mapping[str, Any]], objectives: Sequence[str]) -> Any:
    """A plotly figure: an axis per parameter and objective, a line per row, coloured by the first objective."""
    from plotly import graph_objects

    names = [name for name in (rows[0] if rows else ()) if name.startswith(PARAMETER)]
    axes = [axis(name, [row[name] for row in rows]) for name in [*names, *objectives] if rows]
    colour = {"color": [row[objectives[0]] for row in rows], "colorscale": "Viridis", "showscale": True}
    return graph_objects.Figure(graph_objects.Parcoords(dimensions=axes, line=colour))


def axis(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """One axis of plotly's Parcoords: categories by number, wide ranges by logarithm, None on a tick of its own."""
    label, given = name.removeprefix(PARAMETER), [value for value in values if value is not None]
    if any(isinstance(value, str | bool) for value in given):
        return {"label": label, **_ticked(values, {value: at for at, value in enumerate(sorted(set(given), key=str))})}
    wide = min(given) > 0 and max(given) / min(given) >= LOG_RATIO
    places = {value: math.log10(value) if wide else float(value) for value in given}
    if not wide and len(given) == len(values):
        return {"label": label, "values": [places[value] for value in values]}
    return {"label": label, **_ticked(values, places, shown={min(given), max(given)})}


def _ticked(
    values: Sequence[Any], places: Mapping[Any, float], shown: AbstractSet[Any] | None = None
) -> dict[str, list[Any]]:
    low, high = min(places.values()), max(places.values())
    below = low - ((high - low) or 1.0) / 4
    ticks = {
        str(value) if isinstance(value, str | bool) else f"{value:g}": place
        for value, place in places.items()
        if shown is None or value in shown
    }
    if None in values:
        ticks[NOT_TAKEN] = below
    return {
        "values": [below if value is None else places[value] for value in values],
        "tickvals": list(ticks.values()),
        "ticktext": list(ticks),
    }
