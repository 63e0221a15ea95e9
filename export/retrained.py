"""What was trained again in a results folder: a front's members with fresh seeds, and trials at full length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

from export.confirmation import Confirmed, nondominated_probabilities
from export.results import Study, TrialRow, read_object
from export.seed_folders import numbered, scores_on_test, seed_fault
from export.twins import with_twins

if TYPE_CHECKING:
    from spaces.candidate import Objective

SCORE = "score"


@final
@dataclass(frozen=True)
class Retrained:
    """Front members with what their fresh seeds say, empty where there are none at all, and full-length trainings.

    `left_out` says for each damaged or unfinished folder, by its path in the results folder, what is wrong with it.
    """

    members: Mapping[int, Confirmed] = field(default_factory=dict)
    finals: tuple[TrialRow, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def unconfirmed(self) -> list[int]:
        """Members that no fresh seed was trained for, where others have some."""
        return [number for number, member in self.members.items() if not member.scores]


def read_retrained(study: Study, rivals: Sequence[TrialRow], members: Sequence[TrialRow]) -> Retrained:
    """Read what a study's trials were trained again for. `rivals` are all trials that could be on the front.

    Folders that are damaged, unfinished or of other parameters are named, never used.
    """
    trained = {row.number: row for row in study.trained}
    finals, left_out = _finals(study, trained)
    records, more_left_out = _records(study, trained)
    axis = score_axis(study.run.objectives)
    scores = {number: _scores(by_seed, study.run.objectives[axis]) for number, by_seed in records.items()}
    if not any(scores.values()):
        return Retrained({}, finals, {**left_out, **more_left_out})
    confirmed = _confirmed(study, rivals, members, scores, records)
    compared, still_more = with_twins(study, members, confirmed, records)
    return Retrained(compared, finals, {**left_out, **more_left_out, **still_more})


def score_axis(objectives: Sequence[Objective]) -> int:
    """Index of the objective that training decides: the one named score, or the first."""
    names = [objective.name for objective in objectives]
    return names.index(SCORE) if SCORE in names else 0


def _confirmed(
    study: Study,
    rivals: Sequence[TrialRow],
    members: Sequence[TrialRow],
    scores: Mapping[int, Mapping[int, float]],
    records: Mapping[int, Mapping[int, Mapping[str, Any]]],
) -> dict[int, Confirmed]:
    at = {row.number: index for index, row in enumerate(rivals)}
    seen = [row.number for row in members if scores.get(row.number)]
    chances = nondominated_probabilities(
        [row.values for row in rivals],
        [objective.direction for objective in study.run.objectives],
        score_axis(study.run.objectives),
        {at[number]: list(by_seed.values()) for number, by_seed in scores.items() if number in at},
        [at[number] for number in seen],
    )
    chance = dict(zip(seen, chances or (), strict=False))
    return {
        row.number: Confirmed(
            scores.get(row.number, {}), scores_on_test(records.get(row.number, {})), chance.get(row.number)
        )
        for row in members
    }


def _records(
    study: Study, trained: Mapping[int, TrialRow]
) -> tuple[dict[int, dict[int, dict[str, Any]]], dict[str, str]]:
    """metrics.json by trial and seed, and what is wrong with the folders that were left out."""
    records: dict[int, dict[int, dict[str, Any]]] = {}
    left_out: dict[str, str] = {}
    for number, folder in numbered(study.results.confirmations):
        for seed, seed_folder in numbered(folder) if number in trained else ():
            fault = seed_fault(seed_folder, seed, trained[number].params, f"trial {number}", study.run.objectives)
            if fault:
                left_out[f"{study.results.confirmations.name}/{number}/{seed}"] = fault
            else:
                records.setdefault(number, {})[seed] = read_object(seed_folder / "metrics.json")
    return records, left_out


def _finals(study: Study, trained: Mapping[int, TrialRow]) -> tuple[tuple[TrialRow, ...], dict[str, str]]:
    rows: list[TrialRow] = []
    left_out: dict[str, str] = {}
    for number, folder in numbered(study.results.finals):
        if number not in trained:
            continue
        fault = seed_fault(folder, number, trained[number].params, f"trial {number}", study.run.objectives)
        if fault:
            left_out[f"{study.results.finals.name}/{number}"] = fault
        else:
            rows.append(_final_row(read_object(folder / "metrics.json"), trained[number], study.run.objectives))
    return tuple(rows), left_out


def _scores(by_seed: Mapping[int, Mapping[str, Any]], objective: Objective) -> dict[int, float]:
    return {seed: float(metrics["objectives"][objective.name]) for seed, metrics in by_seed.items()}


def _final_row(metrics: Mapping[str, Any], row: TrialRow, objectives: Sequence[Objective]) -> TrialRow:
    return TrialRow(
        number=row.number,
        outcome="trained",
        params=row.params,
        values=tuple(float(metrics["objectives"][objective.name]) for objective in objectives),
        footprint=metrics.get("footprint", {}),
        metrics=metrics,
        final=True,
    )
