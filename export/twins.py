"""What the teacher brought the front's members: each beside its twin that learnt from labels alone, seed by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from export.results import read_object
from export.seed_folders import numbered, scores_on_test, seed_fault
from spaces import recipes
from spaces.twin import labels_alone, twin_folder

if TYPE_CHECKING:
    from export.confirmation import Confirmed
    from export.results import Study, TrialRow
    from spaces.candidate import Scalar

Records = Mapping[int, Mapping[str, Any]]


def with_twins(
    study: Study, members: Sequence[TrialRow], confirmed: Mapping[int, Confirmed], records: Mapping[int, Records]
) -> tuple[dict[int, Confirmed], dict[str, str]]:
    """The members with gains over their twins and gaps to their teacher; twins' folders that are left out, and why.

    Gains are differences of the score's figure on test, positive where the member is the better one.
    """
    found: dict[int, Confirmed] = {}
    left_out: dict[str, str] = {}
    for row in members:
        own = records.get(row.number, {})
        twin = labels_alone(study.run.recipe, row.params) if study.run.recipe in recipes() else None
        others, faults = _records(study, twin) if twin else ({}, {})
        left_out |= faults
        gaps, margin = _gaps(own)
        gains, alone = _gains(study, own, others)
        found[row.number] = replace(confirmed[row.number], gains=gains, alone=alone, gaps=gaps, margin=margin)
    return found, left_out


def _records(study: Study, twin: Mapping[str, Scalar]) -> tuple[dict[int, dict[str, Any]], dict[str, str]]:
    folder = study.results.twins / twin_folder(twin)
    records: dict[int, dict[str, Any]] = {}
    left_out: dict[str, str] = {}
    for seed, seed_folder in numbered(folder):
        fault = seed_fault(seed_folder, seed, twin, "the twin that its folder names", study.run.objectives)
        if fault:
            left_out[seed_folder.relative_to(study.results.folder).as_posix()] = fault
        else:
            records[seed] = read_object(seed_folder / "metrics.json")
    return records, left_out


def _gains(study: Study, own: Records, others: Records) -> tuple[dict[int, float], dict[int, float]]:
    """What the teacher brought by seed, and the twins' own scores on test."""
    both = sorted(own.keys() & others.keys())
    # One figure for both: the name is found over all of them together.
    scores = scores_on_test({**{seed: own[seed] for seed in both}, **{-1 - seed: others[seed] for seed in both}})
    if not scores:
        return {}, {}
    sign = -1.0 if score_direction(study) == "minimize" else 1.0
    alone = {seed: scores[-1 - seed] for seed in both}
    return {seed: sign * (scores[seed] - alone[seed]) for seed in both}, alone


def score_direction(study: Study) -> str:
    """Whether the objective that training decides is to be maximised or minimised."""
    from export.retrained import score_axis

    return study.run.objectives[score_axis(study.run.objectives)].direction


def _gaps(own: Records) -> tuple[dict[int, float], float | None]:
    said = {seed: record["beside_teacher"] for seed, record in own.items() if record.get("beside_teacher")}
    gaps = {seed: float(one["f1"]) - float(one["teacher_f1"]) for seed, one in said.items()}
    return gaps, next((float(one["margin"]) for one in said.values()), None)
