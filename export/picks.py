"""Picks from a front: knee, best, smallest, within a tolerance, or by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from export.front import losses_of
from export.results import require_trained
from export.retrained import score_axis

if TYPE_CHECKING:
    from export.front import Front
    from export.results import TrialRow
    from spaces.candidate import Objective

PICKS = "knee, best, smallest, within:0.01, a trial's number or final:NUMBER"
FINAL = "final:"


def pick(front: Front, rule: str) -> TrialRow:
    """One trial by knee, best, smallest, within:TOLERANCE or its name; `ValueError` names the choices.

    knee: nearest to the best value of every objective, each scaled from its best to its worst on the front. best: the
    highest INT8 score. smallest: the smallest arena, then flash. within:0.01: the smallest whose score is at most 0.01
    below the best. Ties go to the smaller, then to the lower number. A number may also be a dominated trial's, and
    final:NUMBER is that trial as it was trained again at full length.
    """
    require_trained(front.study)
    named = {row.name: row.number for row in front.study.trials}
    if rule.isdecimal() or rule in named:
        return _numbered(front, named.get(rule), rule)
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


def _numbers(rows: Sequence[TrialRow]) -> str:
    return ", ".join(row.name for row in rows) or "none"


def _numbered(front: Front, number: int | None, name: str) -> TrialRow:
    study = front.study
    rows = {row.number: row for row in study.trials}
    if number is None:
        raise ValueError(f"--pick: there is no trial {name}; on the front are {_numbers(front.members)}")
    if number in study.damaged:
        raise ValueError(f"--pick: the folder of trial {name} is damaged: {study.damaged[number]}")
    if rows[number].outcome != "trained":
        raise ValueError(
            f"--pick: trial {name} is {rows[number].outcome}, not trained; on the front are {_numbers(front.members)}"
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
    losses, _ = losses_of([row.values for row in members], [objective.direction for objective in objectives])
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
