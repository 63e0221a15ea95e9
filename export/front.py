"""The Pareto front of a study: its members, its hypervolume, picks from it, and front.json with front.csv."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from export.results import (
    TFLITE,
    Results,
    Study,
    TrialRow,
    read_evaluation,
    read_study,
    require_trained,
    write_atomically,
)
from export.retrained import Retrained, read_retrained, score_axis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.confirmation import Confirmed, Estimate
    from spaces.candidate import Objective

FRONT_SCHEMA = 1
PICKS = "knee, best, smallest, within:0.01, a trial's number or final:NUMBER"
FINAL = "final:"
# decision_ms is what the budget's latency_ms bounds.
CEILING_OF = {"decision_ms": "latency_ms", "arena_bytes": "arena_bytes", "flash_bytes": "flash_bytes"}


@final
@dataclass(frozen=True)
class NonDominated:
    """Indices of the rows that nothing dominates, and their hypervolume from 0 to 1."""

    indices: tuple[int, ...]
    hypervolume: float


@final
@dataclass(frozen=True)
class Front:
    """The front of a study: members by the first objective, best first; `dominated` are the other trained trials.

    `retrained` is what was trained again: with fresh seeds, or at full length.
    """

    study: Study
    members: tuple[TrialRow, ...]
    dominated: tuple[TrialRow, ...]
    hypervolume: float
    retrained: Retrained = field(default_factory=Retrained)

    def member(self, number: int) -> bool:
        """Whether a trial is on the front."""
        return any(row.number == number for row in self.members)


def front_of(
    values: Sequence[Sequence[float]], directions: Sequence[str], ceilings: Sequence[float | None] | None = None
) -> NonDominated:
    """Non-dominated rows of `values` (trials x objectives; directions maximize or minimize), and their hypervolume.

    Of equal rows the first counts; a row with a value that is not finite is never on the front. The hypervolume is the
    share of a box that the front dominates. On a minimised axis the box reaches from 0 to the ceiling, or to the
    largest value seen where there is none (from the smallest value where one is negative); on a maximised one from 0
    to 1, or from the least to the greatest value seen where one lies outside 0-1. A row beyond the box adds nothing.
    """
    losses, valid = _losses(values, directions)
    if not valid.any():
        return NonDominated((), 0.0)
    import moocore

    kept = np.flatnonzero(valid)
    indices = kept[moocore.is_nondominated(losses[kept])]
    best, worst = _box(losses[kept], directions, ceilings or [None] * len(directions))
    unit = (losses[indices] - best) / np.where(worst > best, worst - best, 1.0)
    # moocore ignores rows beyond its reference point.
    volume = float(moocore.hypervolume(unit.clip(min=0.0), ref=np.ones(len(directions))))
    return NonDominated(tuple(int(index) for index in indices), volume)


def find_front(study: Study) -> Front:
    """The front over the trained trials that fit the budget.

    A member whose evaluation cannot be read joins the damaged trials, and the front is found without it.
    """
    while True:
        rows = [row for row in study.trained if row.fits]
        objectives = study.run.objectives
        found = front_of([row.values for row in rows], [o.direction for o in objectives], ceilings_of(study))
        members = [rows[index] for index in found.indices]
        faults = {row.number: fault for row in members if (fault := _evaluation_fault(study.results, row))}
        if not faults:
            break
        study = replace(study, damaged={**study.damaged, **faults})
    members.sort(key=lambda row: (_losses([row.values], [o.direction for o in objectives])[0][0].tolist(), row.number))
    numbers = {row.number for row in members}
    dominated = tuple(row for row in study.trained if row.number not in numbers)
    return Front(study, tuple(members), dominated, found.hypervolume, read_retrained(study, rows, members))


def ceilings_of(study: Study) -> list[float | None]:
    """The budget's ceiling for each objective that has one."""
    return [ceiling_of(objective.name, study.run.budget) for objective in study.run.objectives]


def ceiling_of(name: str, budget: Mapping[str, float]) -> float | None:
    """The ceiling on an objective or footprint field, if the budget has one."""
    ceiling = budget.get(CEILING_OF.get(name, name))
    return ceiling if ceiling is not None and math.isfinite(ceiling) else None


def pick(front: Front, rule: str) -> TrialRow:
    """One trial by knee, best, smallest, within:TOLERANCE or its number; `ValueError` names the choices.

    knee: nearest to the best value of every objective, each scaled from its best to its worst on the front. best: the
    highest INT8 score. smallest: the smallest arena, then flash. within:0.01: the smallest whose score is at most 0.01
    below the best. Ties go to the smaller, then to the lower number. A number may also be a dominated trial's, and
    final:NUMBER is that trial as it was trained again at full length.
    """
    require_trained(front.study)
    if rule.isdecimal():
        return _numbered(front, int(rule))
    if rule.startswith(FINAL):
        return _final(front, rule.removeprefix(FINAL))
    if not front.members:
        raise ValueError(f"--pick: no trained trial fits the budget; pick by number: {_numbers(front.dominated)}")
    if rule == "knee":
        return _knee(front.members, front.study.run.objectives)
    if rule == "best":
        return min(front.members, key=lambda row: (_score_loss(front, row), _size(row)))
    if rule == "smallest":
        return _smallest(front, front.members)
    if rule.startswith("within:"):
        return _within(front, rule)
    raise ValueError(f"--pick: {rule!r} is unknown; use {PICKS}")


def write_front(results: Results) -> Front:
    """Find the front of a results folder and write its front.json and front.csv; also while the search still runs.

    Errors as `export.results.read_study`; an empty study has an empty front.
    """
    front = find_front(read_study(results.folder))
    write_front_files(front)
    return front


def write_front_files(front: Front) -> None:
    """Write front.json and front.csv into the front's results folder."""
    results = front.study.results
    write_atomically(results.front_json, json.dumps(front_as_dict(front), indent=1) + "\n")
    write_atomically(results.front_csv, _csv(front))


def front_as_dict(front: Front) -> dict[str, Any]:
    """The content of front.json: `tflite` is relative to the results folder."""
    run = front.study.run
    return {
        "schema": FRONT_SCHEMA,
        "recipe": run.recipe,
        "objectives": [[objective.name, objective.direction] for objective in run.objectives],
        "board": run.board,
        "budget": dict(run.budget),
        "latency_margin": run.details.get("latency_margin"),
        "calibration": run.details.get("calibration"),
        "members": [_confirmed_member(front, row) for row in front.members],
        **({"finals": [_member(front, row) for row in finals]} if (finals := front.retrained.finals) else {}),
    }


def _confirmed_member(front: Front, row: TrialRow) -> dict[str, Any]:
    confirmed = front.retrained.members.get(row.number)
    return _member(front, row) | ({} if confirmed is None else _confirmation(confirmed))


def _confirmation(confirmed: Confirmed) -> dict[str, Any]:
    fields: dict[str, Any] = {**_interval("", confirmed.score), **_interval("test_", confirmed.test)}
    fields = {**fields, "seeds": confirmed.score.count, "p_nondominated": confirmed.p_nondominated}
    if confirmed.gains:
        fields |= {**_interval("gain_", confirmed.gain), "gain_seeds": confirmed.gain.count}
    if confirmed.gaps:
        fields |= {**_interval("teacher_gap_", confirmed.gap), "within_teacher_margin": confirmed.within_margin}
    return fields


def _interval(prefix: str, estimate: Estimate) -> dict[str, float | None]:
    return {f"{prefix}mean": estimate.mean, f"{prefix}low": estimate.low, f"{prefix}high": estimate.high}


def _member(front: Front, row: TrialRow) -> dict[str, Any]:
    objectives, results = front.study.run.objectives, front.study.results
    return {
        "trial": row.number,
        "params": dict(row.params),
        "values": {objective.name: value for objective, value in zip(objectives, row.values, strict=True)},
        "score_int8": _number(row.metrics.get("score_int8")),
        "score_float": _number(row.metrics.get("score_float")),
        "footprint": dict(row.footprint),
        "tflite": (results.of(row) / TFLITE).relative_to(results.folder).as_posix(),
    }


def _number(value: Any) -> float | None:
    # JSON knows no NaN.
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _csv(front: Front) -> str:
    rows = [_flat(_confirmed_member(front, row)) for row in front.members]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or ["trial"], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(member: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in member.items():
        flat.update({f"{key}.{inner}": v for inner, v in value.items()} if isinstance(value, Mapping) else {key: value})
    return flat


def _losses(
    values: Sequence[Sequence[float]], directions: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    signs = np.array([-1.0 if direction == "maximize" else 1.0 for direction in directions])
    losses = np.asarray(values, dtype=np.float64).reshape(-1, len(directions)) * signs
    return losses, np.isfinite(losses).all(axis=1)


def _box(
    losses: NDArray[np.float64], directions: Sequence[str], ceilings: Sequence[float | None]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sides = [_side(*column) for column in zip(losses.T, directions, ceilings, strict=True)]
    return np.array([best for best, _ in sides]), np.array([worst for _, worst in sides])


def _side(losses: NDArray[np.float64], direction: str, ceiling: float | None) -> tuple[float, float]:
    least, most = float(losses.min()), float(losses.max())
    if direction == "maximize":
        return (-1.0, 0.0) if least >= -1 and most <= 0 else (least, most)
    return min(0.0, least), most if ceiling is None else ceiling


def _evaluation_fault(results: Results, row: TrialRow) -> str:
    try:
        read_evaluation(results.of(row))
    except ValueError as error:
        return str(error)
    return ""


def _numbers(rows: Sequence[TrialRow]) -> str:
    return ", ".join(str(row.number) for row in rows) or "none"


def _numbered(front: Front, number: int) -> TrialRow:
    study = front.study
    rows = {row.number: row for row in study.trials}
    if number not in rows:
        raise ValueError(f"--pick: there is no trial {number}; on the front are {_numbers(front.members)}")
    if number in study.damaged:
        raise ValueError(f"--pick: the folder of trial {number} is damaged: {study.damaged[number]}")
    if rows[number].outcome != "trained":
        raise ValueError(
            f"--pick: trial {number} is {rows[number].outcome}, not trained; on the front are {_numbers(front.members)}"
        )
    return rows[number]


def _final(front: Front, text: str) -> TrialRow:
    for row in front.retrained.finals:
        if text == str(row.number):
            return row
    left_out = front.retrained.left_out.get(f"{front.study.results.finals.name}/{text}")
    if left_out:
        raise ValueError(f"--pick: the folder of final:{text} cannot be used: {left_out}")
    there = ", ".join(row.name for row in front.retrained.finals) or "none"
    raise ValueError(f"--pick: no trial {text} was trained at full length; there is {there}; --final trains one")


def _knee(members: Sequence[TrialRow], objectives: Sequence[Objective]) -> TrialRow:
    losses, _ = _losses([row.values for row in members], [objective.direction for objective in objectives])
    span = np.ptp(losses, axis=0)
    scaled = (losses - losses.min(axis=0)) / np.where(span > 0, span, 1.0)
    distances = np.round(np.sqrt((scaled**2).sum(axis=1)), 12)
    return min(zip(members, distances, strict=True), key=lambda pair: (pair[1], _size(pair[0])))[0]


def _score_loss(front: Front, row: TrialRow) -> float:
    index = score_axis(front.study.run.objectives)
    sign = -1.0 if front.study.run.objectives[index].direction == "maximize" else 1.0
    return sign * row.values[index]


def _size(row: TrialRow) -> tuple[float, float, int]:
    arena, flash = (float(row.footprint.get(key, math.inf)) for key in ("arena_bytes", "flash_bytes"))
    return arena, flash, row.number


def _smallest(front: Front, rows: Sequence[TrialRow]) -> TrialRow:
    return min(rows, key=lambda row: (_size(row)[:2], _score_loss(front, row), row.number))


def _within(front: Front, rule: str) -> TrialRow:
    text = rule.removeprefix("within:")
    try:
        tolerance = float(text)
    except ValueError:
        tolerance = math.nan
    if not tolerance >= 0:
        raise ValueError(f"--pick: within:{text} needs a tolerance of at least 0, as in within:0.01")
    best = min(_score_loss(front, row) for row in front.members)
    # Half an ulp of the sum must not decide whether .90 lies within .01 of .91.
    near = [row for row in front.members if _score_loss(front, row) <= best + tolerance + 1e-12]
    return _smallest(front, near)
