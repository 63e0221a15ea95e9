"""The Optuna study of a results folder: opened, told, resumed."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from export.results import Results

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from spaces import RecipeSpace
    from spaces.budget import Budget, Footprint
    from spaces.narrowed import Narrowing

COUNTED = ("trained", "stopped", "failed")


def open_study(
    results: Results, recipe: str, recipe_space: RecipeSpace, narrowing: Narrowing, seed: int
) -> optuna.Study:
    """Create or load the study; the recipe's start points are enqueued once, at creation."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=recipe,
        storage=JournalStorage(JournalFileBackend(str(results.journal))),
        directions=[objective.direction for objective in recipe_space.OBJECTIVES],
        load_if_exists=True,
    )
    study.sampler = _sampler(seed + len(study.get_trials(deepcopy=False)))
    if not study.get_trials(deepcopy=False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([objective.name for objective in recipe_space.OBJECTIVES])
        for point in recipe_space.START_POINTS:
            study.enqueue_trial(narrowing.adjusted(point))
    return study


def _sampler(seed: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=seed)


def record_footprint(trial: optuna.Trial, footprint: Footprint, budget: Budget) -> dict[str, float]:
    """Keep the footprint and each ceiling's overrun (<= 0 fits) with the trial; return the overruns."""
    overrun = budget.overrun(footprint)
    trial.set_user_attr("footprint", footprint.as_dict())
    known = trial.study.get_trials(deepcopy=False)[trial.number].constraints
    for ceiling, over in overrun.items():
        # A trial that is taken up again has its constraints already, and Optuna sets none twice.
        if ceiling not in known:
            trial.set_constraint(ceiling, over)
    return overrun


def tell_refused(study: optuna.Study, trial: optuna.Trial) -> None:
    """A point over budget: PRUNED with its constraint values, never trained."""
    trial.set_user_attr("outcome", "refused")
    study.tell(trial, state=TrialState.PRUNED)


def tell_failed(study: optuna.Study, trial: optuna.Trial, reason: str) -> None:
    """A trial that ended without a score, with the reason."""
    trial.set_user_attr("outcome", "failed")
    trial.set_user_attr("reason", reason)
    study.tell(trial, state=TrialState.FAIL)


def tell_report(study: optuna.Study, trial: optuna.Trial, report: Mapping[str, Any], recipe_space: RecipeSpace) -> None:
    """Tell what a worker reported: its objectives, or the failure that it names."""
    if report.get("outcome") != "trained":
        tell_failed(study, trial, str(report.get("reason", "the worker reported no outcome")))
        return
    values = [float(report["objectives"].get(objective.name, math.nan)) for objective in recipe_space.OBJECTIVES]
    missing = [
        objective.name
        for objective, value in zip(recipe_space.OBJECTIVES, values, strict=True)
        if not math.isfinite(value)
    ]
    if missing:
        tell_failed(study, trial, f"objective {missing[0]} is missing or not a number")
        return
    trial.set_user_attr("outcome", "trained")
    trial.set_user_attr("footprint", report["footprint"])
    trial.set_user_attr("metrics", {key: report[key] for key in ("score_int8", "score_float", "test")})
    study.tell(trial, values)


def unfinished(study: optuna.Study) -> list[optuna.Trial]:
    """Trials that an earlier run left RUNNING, to be taken up again under their own numbers."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [optuna.Trial(study, trial._trial_id) for trial in running]


def counted(study: optuna.Study) -> int:
    """Trials that count towards `--trials`: trained, stopped and failed ones, not refused ones."""
    return sum(outcome(trial) in COUNTED for trial in study.get_trials(deepcopy=False))


def outcome(trial: FrozenTrial) -> str:
    """trained, stopped, refused, failed; or the state of a trial that has none yet."""
    return str(trial.user_attrs.get("outcome", trial.state.name.lower()))


def finished_report(trials: Path, number: int) -> dict[str, Any] | None:
    """The metrics.json of a trial whose worker finished, though its driver was gone before it could be told."""
    path = trials / str(number) / "metrics.json"
    return json.loads(path.read_text()) if path.is_file() else None
