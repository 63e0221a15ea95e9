"""A study looked at again: under other objectives, another budget, or gathered from several results folders."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from export.results import Results, Run, Source, Study, TrialRow, read_object, read_study, require_trained
from spaces.budget import Budget, Footprint, parse_budget
from spaces.candidate import Objective

if TYPE_CHECKING:
    from pathlib import Path

_DIRECTIONS: dict[str, Literal["maximize", "minimize"]] = {"max": "maximize", "min": "minimize"}
_COUNTS = ("parameters", "best_epoch", "epochs")
# What one number must mean in all of them, or no front holds them both.
_MUST_AGREE = {"recipe": "recipe", "board": "board", "calibration": "calibration of the board"}
_SHOULD_AGREE = {"data": "data", "teacher": "teacher", "profiler_version": "version of the profiler"}


def opened(folders: Sequence[Path], objectives: str = "", budget: str = "") -> Study:
    """The study of a results folder, or of several as one, under these objectives and ceilings where given.

    Errors as `export.results.read_study`; and folders that cannot be compared, objectives that no trial has a figure
    for, or ceilings that differ without a `budget` are a `ValueError`.
    """
    studies = [read_study(folder) for folder in folders]
    for study in studies:
        require_trained(study)
    if len(studies) == 1 and not objectives and not budget:
        return studies[0]
    wanted = read_objectives(objectives) or _own_objectives(studies)
    seen = [_with_values(study, wanted) for study in studies]
    _require_figures(seen, wanted)
    gathered = _gathered(seen, budget) if len(seen) > 1 else replace(seen[0], as_searched=False)
    return _under(gathered, budget) if budget else gathered


def read_objectives(text: str) -> tuple[Objective, ...]:
    """Read `score,decision_ms,parameters:min`; milliseconds, bytes and counts are minimised unless it says `:max`."""
    parts = [part.partition(":") for part in text.replace(" ", "").split(",") if part]
    for name, _, way in parts:
        if way and way not in _DIRECTIONS:
            raise ValueError(f"--objectives: {name}:{way} must end in :min or :max")
        if name.startswith("test."):
            raise ValueError(f"--objectives: {name} is a test figure; those are reported and choose nothing")
    twice = [name for name, count in Counter(name for name, _, _ in parts).items() if count > 1]
    if twice:
        raise ValueError(f"--objectives: {twice[0]} is named twice")
    return tuple(Objective(name, _DIRECTIONS[way] if way else _direction(name)) for name, _, way in parts)


def _direction(name: str) -> Literal["maximize", "minimize"]:
    return "minimize" if name.endswith(("_ms", "_bytes")) or name in _COUNTS else "maximize"


def _own_objectives(studies: Sequence[Study]) -> tuple[Objective, ...]:
    every = {study.run.objectives for study in studies}
    if len(every) > 1:
        names = "; ".join(", ".join(objective.name for objective in objectives) for objectives in every)
        raise ValueError(f"--objectives: the folders were searched for other objectives: {names}; name the ones to use")
    return studies[0].run.objectives


def _with_values(study: Study, objectives: Sequence[Objective]) -> Study:
    trials = tuple(
        replace(row, values=_values(study, row, objectives)) if row.outcome == "trained" else row
        for row in study.trials
    )
    return replace(study, run=replace(study.run, objectives=tuple(objectives)), trials=trials)


def _values(study: Study, row: TrialRow, objectives: Sequence[Objective]) -> tuple[float, ...]:
    """NaN where the trial has no such figure, so that it is not on the front."""
    if row.number in study.damaged:
        return tuple(math.nan for _ in objectives)
    known = _figures(study, row, {objective.name for objective in objectives})
    return tuple(known.get(objective.name, math.nan) for objective in objectives)


def _figures(study: Study, row: TrialRow, wanted: set[str]) -> dict[str, float]:
    own = {objective.name: value for objective, value in zip(study.run.objectives, row.values, strict=True)}
    known = _numbers({**row.footprint, **row.metrics, **own})
    if wanted <= known.keys():
        return known
    metrics = read_object(study.results.of(row) / "metrics.json")
    validation = {f"validation.{name}": value for name, value in (metrics.get("validation") or {}).items()}
    return _numbers({**metrics, **validation}) | known


def _numbers(content: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in content.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in ("schema", "number", "seed")
    }


def _require_figures(studies: Sequence[Study], objectives: Sequence[Objective]) -> None:
    for place, objective in enumerate(objectives):
        if all(math.isnan(row.values[place]) for study in studies for row in study.trained):
            study = studies[0]
            found = _figures(study, study.trained[0], {""}) if study.trained else {}
            known = ", ".join(sorted(name for name, value in found.items() if not math.isnan(value)))
            raise ValueError(f"--objectives: no trial has a figure {objective.name!r}; there are {known}")


def _under(study: Study, text: str) -> Study:
    """The study with these ceilings over its own."""
    margin = study.run.details.get("latency_margin")
    budget = parse_budget(text, Budget(**study.run.budget), 1.0 if margin is None else float(margin))
    trials = tuple(replace(row, constraints=_overrun(row, budget)) if row.footprint else row for row in study.trials)
    return replace(study, run=replace(study.run, budget=budget.as_dict()), trials=trials, as_searched=False)


def _overrun(row: TrialRow, budget: Budget) -> dict[str, float]:
    try:
        return budget.overrun(Footprint(**row.footprint))
    except TypeError as error:
        raise ValueError(f"results: the footprint of trial {row.name} is of another version: {error}") from error


def _gathered(studies: Sequence[Study], budget: str) -> Study:
    """Studies of several folders as one: trials are numbered anew, and each says where it is from."""
    for key, what in _MUST_AGREE.items():
        if _differ(studies, key):
            raise ValueError(f"results: {_each(studies, key)}: figures for another {what} cannot share a front")
    ceilings = [dict(study.run.budget) for study in studies]
    if not budget and any(one != ceilings[0] for one in ceilings):
        raise ValueError("--budget: the folders were searched under other budgets; name the ceilings, or latency=none")
    shared = {key: top for key, top in ceilings[0].items() if all(one.get(key) == top for one in ceilings)}
    details = {"latency_margin": studies[0].run.details.get("latency_margin"), "warnings": _warnings(studies)}
    trials, damaged = _renumbered(studies)
    run = Run(studies[0].run.recipe, studies[0].run.objectives, studies[0].run.board, shared, details)
    return Study(studies[0].results, run, trials, damaged, as_searched=False)


def _renumbered(studies: Sequence[Study]) -> tuple[tuple[TrialRow, ...], dict[int, str]]:
    labels = _labels([study.results for study in studies])
    trials: list[TrialRow] = []
    damaged: dict[int, str] = {}
    for study, label in zip(studies, labels, strict=True):
        for row in study.trials:
            if row.number in study.damaged:
                damaged[len(trials)] = study.damaged[row.number]
            trials.append(replace(row, number=len(trials), source=Source(label, study.results, row.number)))
    return tuple(trials), damaged


def _labels(several: Sequence[Results]) -> list[str]:
    """The folders' names, or their paths where names are the same."""
    paths = [results.folder.resolve() for results in several]
    if len(set(paths)) < len(paths):
        twice = next(str(results.folder) for results in several if paths.count(results.folder.resolve()) > 1)
        raise ValueError(f"results: {twice} is given twice")
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(results.folder) for results in several]


def _warnings(studies: Sequence[Study]) -> list[str]:
    lines = [
        f"{_each(studies, key)}: the folders differ in their {what}; compare their figures with care"
        for key, what in _SHOULD_AGREE.items()
        if _differ(studies, key)
    ]
    return lines + [
        f"{s.results.folder}: {warning}" for s in studies for warning in s.run.details.get("warnings") or ()
    ]


def _differ(studies: Sequence[Study], key: str) -> bool:
    facts = [_identity(study.run.details.get(key)) for study in studies]
    return any(fact != facts[0] for fact in facts)


def _identity(value: Any) -> Any:
    return value.get("content_hash") or value if isinstance(value, Mapping) else value


def _each(studies: Sequence[Study], key: str) -> str:
    return ", ".join(f"{study.results.folder} has {_shown(study.run.details.get(key))}" for study in studies)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(str(part) for part in (value.get("name"), str(value.get("content_hash", ""))[:8]) if part)
    return str(value)


def untrained_that_fit(study: Study) -> int:
    """Refused trials that these ceilings would let through: they were never trained."""
    return sum(row.outcome == "refused" and bool(row.footprint) and row.fits for row in study.trials)
