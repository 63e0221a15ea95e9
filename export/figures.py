"""What the report shows, as rows: points, tables, figures and histories of a front."""

from __future__ import annotations

import csv
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final

from export.chart import Line, Lines, Point, Refused, Scatter
from export.front import ceiling_of
from export.results import read_evaluation, read_object
from export.scale import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from export.confirmation import Confirmed, Estimate
    from export.front import Front
    from export.results import Outcome, TrialRow

FOOTPRINT_AXES = ("decision_ms", "arena_bytes")
SHOWN_REASONS = 20
SUGGESTED_SEEDS = 3
LONGEST_TEXT = 300


@final
@dataclass(frozen=True)
class Share:
    """How much of a ceiling is used: `fraction` is None where there is none."""

    name: str
    used: str
    ceiling: str
    fraction: float | None


@final
@dataclass(frozen=True)
class Member:
    """Everything that the report says about one trial."""

    row: TrialRow
    metrics: Mapping[str, Any]
    evaluation: Sequence[Mapping[str, Any]]
    histories: Sequence[Lines]
    shares: Sequence[Share]
    warnings: Sequence[str]


def with_unit(name: str, value: Any) -> str:
    """A value as people read it; bytes as KiB, `_ms` in milliseconds, by the unit in its name."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return shown(value)
    if name.endswith("_bytes"):
        return f"{value / 1024:.1f} KiB"
    return f"{value:.1f} ms" if name.endswith("_ms") else number(value)


def shown(value: Any) -> str:
    """Any value as short text."""
    if isinstance(value, float):
        return number(value)
    text = str(value)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}..."


def score(value: Any) -> str:
    """A score to three decimals, or a dash where there is none."""
    return f"{value:.3f}" if isinstance(value, int | float) and math.isfinite(value) else "-"


def float_difference(row: TrialRow) -> str:
    """INT8 minus float score, signed."""
    int8, in_float = row.metrics.get("score_int8"), row.metrics.get("score_float")
    if not isinstance(int8, int | float) or not isinstance(in_float, int | float):
        return "-"
    return f"{int8 - in_float:+.3f}"


def interval(footprint: Mapping[str, Any]) -> str:
    """Latency of one Invoke with its interval, in ms."""
    middle, low, high = (footprint.get(key) for key in ("latency_ms", "latency_low_ms", "latency_high_ms"))
    if not isinstance(middle, int | float):
        return "-"
    return f"{middle:.1f}" + (f" ({low:.1f}-{high:.1f})" if low is not None and high is not None else "")


def estimated(estimate: Estimate) -> str:
    """A mean with its interval, to three decimals."""
    if estimate.low is None or estimate.high is None:
        return score(estimate.mean)
    return f"{estimate.mean:.3f} ({estimate.low:.3f}-{estimate.high:.3f})"


def difference(estimate: Estimate) -> str:
    """A signed mean with its interval, to three decimals."""
    if estimate.mean is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean:+.3f}"
    return f"{estimate.mean:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"


def beside_teacher(confirmed: Confirmed) -> str:
    """F1 less the teacher's, and whether that lies within the recipe's margin."""
    if confirmed.within_margin is None:
        return "-"
    return f"{difference(confirmed.gap)}, within {confirmed.margin}: {'yes' if confirmed.within_margin else 'no'}"


def seeds_said(front: Front, row: TrialRow) -> str:
    """How many seeds a trial's score rests on, and what the fresh ones say."""
    confirmed = front.retrained.members.get(row.number)
    if row.final or confirmed is None or not confirmed.scores:
        return "one seed"
    many = f"{len(confirmed.scores)} fresh seed" + ("s" if len(confirmed.scores) > 1 else "")
    return f"mean {estimated(confirmed.score)} of {many}"


def doubt(front: Front) -> str:
    """Which members rest on one seed; empty where none does."""
    alone = front.retrained.unconfirmed
    if front.members and not front.retrained.members:
        return "one seed each: which of two near scores is the better one is not known"
    return f"one seed only: trial{'s' if len(alone) > 1 else ''} {', '.join(map(str, alone))}" if alone else ""


def probability(value: float | None) -> str:
    """A probability to two decimals that is never certain, or a dash where there is none."""
    if value is None:
        return "-"
    return ">0.99" if value > 0.99 else "<0.01" if value < 0.01 else f"{value:.2f}"


def confirming_command(front: Front) -> str:
    """The search's own command with fresh seeds for the front."""
    run = front.study.run
    command = run.details.get("command") or f"python -m search {run.recipe} --results {front.study.results.folder}"
    return f"{command} --confirm {SUGGESTED_SEEDS}"


def scatters(front: Front, picked: TrialRow | None, linked: set[int]) -> list[Scatter]:
    """The first objective against each other one and against latency and arena; `linked` have a section to open."""
    others = [objective.name for objective in front.study.run.objectives[1:]]
    return [_scatter(front, picked, linked, name) for name in dict.fromkeys([*others, *FOOTPRINT_AXES])]


def member(front: Front, row: TrialRow) -> Member:
    """What the folder of one trained trial says; a `ValueError` names a file that cannot be read."""
    folder = front.study.results.of(row)
    metrics = read_object(folder / "metrics.json")
    return Member(
        row=row,
        metrics=metrics,
        evaluation=read_evaluation(folder),
        histories=_histories(folder),
        shares=[_share(front, row, name) for name in ("decision_ms", "arena_bytes", "flash_bytes")],
        warnings=[shown(warning) for warning in metrics.get("warnings") or []],
    )


def reasons(front: Front, outcome: Outcome) -> list[tuple[str, int]]:
    """Why trials failed or were stopped, the most frequent first."""
    counted = Counter(shown(row.reason or "no reason recorded") for row in front.study.trials if row.outcome == outcome)
    return counted.most_common(SHOWN_REASONS)


def flattened(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested mappings as dotted names and short texts."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", shown(value)


def _scatter(front: Front, picked: TrialRow | None, linked: set[int], x_name: str) -> Scatter:
    objectives = front.study.run.objectives
    directions = {objective.name: objective.direction for objective in objectives}
    ceiling = ceiling_of(x_name, front.study.run.budget)
    rows = [*front.dominated, *front.members]
    points = [_point(front, row, picked, linked, x_name) for row in rows if _value(front, row, x_name) is not None]
    return Scatter(
        title=f"{objectives[0].name} against {_label(x_name)}",
        x_label=_label(x_name),
        y_label=objectives[0].name,
        points=points,
        refused=_refused(front, x_name),
        ceiling=None if ceiling is None else _scaled(x_name, ceiling),
        best_right=directions.get(x_name) == "maximize",
        best_up=objectives[0].direction == "maximize",
    )


def _point(front: Front, row: TrialRow, picked: TrialRow | None, linked: set[int], x_name: str) -> Point:
    on_front = front.member(row.number)
    kind: Literal["dominated", "front", "picked"] = "front" if on_front else "dominated"
    if picked is not None and row.name == picked.name:
        kind = "picked"
    high = row.footprint.get("decision_high_ms") if x_name == "decision_ms" else None
    return Point(
        trial=row.number,
        x=_value(front, row, x_name) or 0.0,
        y=row.values[0],
        kind=kind,
        on_front=on_front,
        tip="\n".join([_tip(row), *([seeds_said(front, row)] if on_front else [])]),
        x_high=high,
        link=f"#trial-{row.number}" if row.number in linked else None,
    )


def _value(front: Front, row: TrialRow, name: str) -> float | None:
    names = [objective.name for objective in front.study.run.objectives]
    value = row.values[names.index(name)] if name in names and row.values else row.footprint.get(name)
    return _scaled(name, value) if isinstance(value, int | float) and math.isfinite(value) else None


def _scaled(name: str, value: float) -> float:
    return value / 1024 if name.endswith("_bytes") else value


def _label(name: str) -> str:
    for suffix, unit in (("_bytes", "KiB"), ("_ms", "ms")):
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix)} ({unit})"
    return name


def _tip(row: TrialRow) -> str:
    footprint = row.footprint
    lines = [
        f"trial {row.number}" + ("" if row.fits else " (over budget)"),
        f"score {score(row.metrics.get('score_int8'))} INT8, {score(row.metrics.get('score_float'))} float",
        f"decision {with_unit('_ms', footprint.get('decision_ms', '-'))}, Invoke {interval(footprint)}",
        f"arena {with_unit('_bytes', footprint.get('arena_bytes', '-'))}, "
        f"flash {with_unit('_bytes', footprint.get('flash_bytes', '-'))}",
    ]
    return "\n".join([*lines, _student(row)]).rstrip()


def _student(row: TrialRow) -> str:
    return shown(row.params.get("student", ""))


def _refused(front: Front, x_name: str) -> list[Refused]:
    rows = [row for row in front.study.trials if row.outcome == "refused"]
    placed = [(row, value) for row in rows if (value := _value(front, row, x_name)) is not None]
    return [
        Refused(value, f"{refusal(row)}\n{x_name} {with_unit(x_name, row.footprint[x_name])}") for row, value in placed
    ]


def refusal(row: TrialRow) -> str:
    """A refused trial's number and the ceilings that it exceeds, in two lines."""
    over = [f"{name} by {value:.0%}" for name, value in row.constraints.items() if value > 0]
    return f"trial {row.number}, never trained\nover {', '.join(over) or 'budget'}"


def _share(front: Front, row: TrialRow, name: str) -> Share:
    used, ceiling = row.footprint.get(name), ceiling_of(name, front.study.run.budget)
    fraction = used / ceiling if isinstance(used, int | float) and ceiling else None
    limit = with_unit(name, ceiling) if ceiling else "no ceiling"
    return Share(name.rpartition("_")[0], with_unit(name, "-" if used is None else used), limit, fraction)


def _histories(folder: Path) -> list[Lines]:
    epochs, columns = _history(folder / "history.csv")
    groups = {
        "loss": [name for name in columns if "loss" in name],
        "score": [name for name in columns if "score" in name],
        "lr": [name for name in columns if name == "lr"],
    }
    titles = {"loss": "Training loss", "score": "Score while training", "lr": "Learning rate"}
    return [
        Lines(titles[kind], "epoch", kind, [Line(name.replace("_", " "), epochs, columns[name]) for name in names])
        for kind, names in groups.items()
        if names
    ]


def _history(path: Path) -> tuple[list[float], dict[str, list[float]]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    names = [name for name in (rows[0] if rows else {}) if name and name != "epoch"]
    columns = {name: [_float(row.get(name)) for row in rows] for name in names}
    return [_float(row.get("epoch")) for row in rows], columns


def _float(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
