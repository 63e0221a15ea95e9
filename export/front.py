"""The Pareto front of a study: its members, its hypervolume, picks from it, and front.json with front.csv."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from export.results import (
    TFLITE,
    Results,
    Study,
    TrialRow,
    read_evaluation,
    read_study,
    write_atomically,
)
from export.retrained import Retrained, read_retrained
from export.under_tflm import read_under_tflm

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from export.confirmation import Confirmed, Estimate

FRONT_SCHEMA = 1
# decision_ms is what the budget's latency_ms bounds.
CEILING_OF = {"decision_ms": "latency_ms", "arena_bytes": "arena_bytes", "flash_bytes": "flash_bytes"}


@final
@dataclass(frozen=True)
class NonDominated:
    """Indices of the rows that nothing dominates, and their hypervolume from 0 to 1.

    `ideal` and `reference` are the corners of its box, a value for each objective.
    """

    indices: tuple[int, ...]
    hypervolume: float
    ideal: tuple[float, ...] = ()
    reference: tuple[float, ...] = ()


@final
@dataclass(frozen=True)
class Front:
    """The front of a study: members by the first objective, best first; `dominated` are the other trained trials.

    `retrained` is what was trained again: with fresh seeds, or at full length. `ideal` and `reference` are the corners
    of the hypervolume's box.
    """

    study: Study
    members: tuple[TrialRow, ...]
    dominated: tuple[TrialRow, ...]
    hypervolume: float
    retrained: Retrained = field(default_factory=Retrained)
    ideal: tuple[float, ...] = ()
    reference: tuple[float, ...] = ()

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
    losses, valid = losses_of(values, directions)
    if not valid.any():
        return NonDominated((), 0.0)
    import moocore

    kept = np.flatnonzero(valid)
    indices = kept[moocore.is_nondominated(losses[kept])]
    best, worst = _box(losses[kept], directions, ceilings or [None] * len(directions))
    unit = (losses[indices] - best) / np.where(worst > best, worst - best, 1.0)
    # moocore ignores rows beyond its reference point.
    volume = float(moocore.hypervolume(unit.clip(min=0.0), ref=np.ones(len(directions))))
    signs = _signs(directions)
    corners = (tuple(map(float, corner * signs + 0.0)) for corner in (best, worst))
    return NonDominated(tuple(int(index) for index in indices), volume, *corners)


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
    members.sort(
        key=lambda row: (losses_of([row.values], [o.direction for o in objectives])[0][0].tolist(), row.number)
    )
    numbers = {row.number for row in members}
    dominated = tuple(row for row in study.trained if row.number not in numbers)
    retrained = read_retrained(study, rows, members) if study.as_searched else Retrained()
    return Front(study, tuple(members), dominated, found.hypervolume, retrained, found.ideal, found.reference)


def ceilings_of(study: Study) -> list[float | None]:
    """The budget's ceiling for each objective that has one."""
    return [ceiling_of(objective.name, study.run.budget) for objective in study.run.objectives]


def ceiling_of(name: str, budget: Mapping[str, float]) -> float | None:
    """The ceiling on an objective or footprint field, if the budget has one."""
    ceiling = budget.get(CEILING_OF.get(name, name))
    return ceiling if ceiling is not None and math.isfinite(ceiling) else None


def write_front(results: Results) -> Front:
    """Find the front of a results folder and write its front.json and front.csv; also while the search still runs.

    Errors as `export.results.read_study`; an empty study has an empty front.
    """
    front = find_front(read_study(results.folder))
    write_front_files(front)
    return front


def write_front_files(front: Front, folder: Path | None = None) -> None:
    """Write front.json and front.csv into a folder, by default the front's results folder."""
    results = Results(folder) if folder else front.study.results
    write_atomically(results.front_json, json.dumps(front_as_dict(front), indent=1) + "\n")
    write_atomically(results.front_csv, _csv(front))


def front_as_dict(front: Front) -> dict[str, Any]:
    """The content of front.json: `tflite` is relative to the results folder, which a member of several names."""
    run = front.study.run
    names = [objective.name for objective in run.objectives]
    return {
        "schema": FRONT_SCHEMA,
        "recipe": run.recipe,
        "objectives": [[objective.name, objective.direction] for objective in run.objectives],
        "board": run.board,
        "budget": dict(run.budget),
        "latency_margin": run.details.get("latency_margin"),
        "calibration": run.details.get("calibration"),
        "hypervolume": front.hypervolume,
        "hypervolume_ideal": dict(zip(names, front.ideal, strict=False)),
        "hypervolume_reference": dict(zip(names, front.reference, strict=False)),
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
    home = row.source.results.folder if row.source else results.folder
    origin = {"results": str(home), "trial": row.source.number} if row.source else {"trial": row.number}
    return {
        **origin,
        "params": dict(row.params),
        "values": {objective.name: value for objective, value in zip(objectives, row.values, strict=True)},
        "score_int8": _number(row.metrics.get("score_int8")),
        "score_float": _number(row.metrics.get("score_float")),
        "footprint": dict(row.footprint),
        **_under_tflm(results, row),
        "tflite": (results.of(row) / TFLITE).relative_to(home).as_posix(),
    }


def _under_tflm(results: Results, row: TrialRow) -> dict[str, Any]:
    found = read_under_tflm(results.of(row))
    if found is None:
        return {}
    scores = {name: _number(getattr(found, name)) for name in ("score_tflm", "score_host")}
    return {"tflm": {key: value for key, value in asdict(found).items() if key != "tflite_sha256"} | scores}


def _number(value: Any) -> float | None:
    # JSON knows no NaN.
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _csv(front: Front) -> str:
    rows = [{"schema": FRONT_SCHEMA, **_flat(_confirmed_member(front, row))} for row in front.members]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or ["schema", "trial"], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(member: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in member.items():
        flat.update({f"{key}.{inner}": v for inner, v in value.items()} if isinstance(value, Mapping) else {key: value})
    return flat


def losses_of(
    values: Sequence[Sequence[float]], directions: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """`values` (trials x objectives) with the sign that makes less the better, and which rows are finite."""
    signed = np.asarray(values, dtype=np.float64).reshape(-1, len(directions)) * _signs(directions)
    losses: NDArray[np.float64] = signed
    return losses, np.asarray(np.isfinite(losses).all(axis=1))


def _signs(directions: Sequence[str]) -> NDArray[np.float64]:
    return np.array([-1.0 if direction == "maximize" else 1.0 for direction in directions])


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
