"""The Optuna study of a results folder: opened, told, resumed."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna import samplers
from optuna.storages import JournalStorage
from optuna.trial import TrialState

from export.results import Results, read_object
from search.journal import Journal, mend_journal
from search.known_costs import SCORE_WHEN_STOPPED, KnownCostSampler
from spaces.knobs import BEFORE
from spaces.narrowed import NarrowedSpace

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

    from spaces import RecipeSpace
    from spaces.budget import Budget, Footprint
    from spaces.candidate import Scalar
    from spaces.narrowed import Narrowing

COUNTED = ("trained", "stopped", "failed")
# By name: from a space, what it must fit, and a seed.
SAMPLERS: Mapping[str, Callable[[NarrowedSpace, Budget, int], BaseSampler]] = {
    "ehvi": KnownCostSampler,
    "tpe": lambda _, __, seed: samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=seed),
    "nsga2": lambda _, __, seed: samplers.NSGAIISampler(seed=seed),
    "nsga3": lambda _, __, seed: samplers.NSGAIIISampler(seed=seed),
    "gp": lambda _, __, seed: samplers.GPSampler(seed=seed),
    "random": lambda _, __, seed: samplers.RandomSampler(seed=seed),
}


def open_study(
    results: Results,
    recipe: str,
    recipe_space: RecipeSpace,
    narrowing: Narrowing,
    budget: Budget,
    seed: int,
    sampler: str = "ehvi",
    more_points: Sequence[Mapping[str, Scalar]] = (),
) -> optuna.Study:
    """Create or load the study; the recipe's start points and `more_points` are enqueued once.

    The caller holds the lock of the results folder: what a killed search left of a line or a lock is removed.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    mend_journal(results.journal)
    study = optuna.create_study(
        study_name=recipe,
        storage=JournalStorage(Journal(str(results.journal))),
        directions=[objective.direction for objective in recipe_space.OBJECTIVES],
        load_if_exists=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        seed += len(study.get_trials(deepcopy=False))
        study.sampler = SAMPLERS[sampler](NarrowedSpace(recipe_space, narrowing), budget, seed)
        if not study.metric_names:
            study.set_metric_names([objective.name for objective in recipe_space.OBJECTIVES])
    _enqueue(study, [narrowing.adjusted(point) for point in (*recipe_space.START_POINTS, *more_points)])
    return study


def _enqueue(study: optuna.Study, points: Sequence[Mapping[str, Scalar]]) -> None:
    # By an attribute of their own rather than by their parameters, which the space completes.
    names = [trial.user_attrs.get("start_point") for trial in study.get_trials(deepcopy=False)]
    known = [{**BEFORE, **json.loads(name)} for name in names if name]
    for point in points:
        if {**BEFORE, **point} not in known:
            known.append({**BEFORE, **point})
            study.enqueue_trial(dict(point), user_attrs={"start_point": json.dumps(dict(point), sort_keys=True)})


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


def tell_failed(study: optuna.Study, trial: optuna.Trial, reason: str) -> Mapping[str, Any]:
    """A trial that ended without a score, with the reason; return it as a report."""
    trial.set_user_attr("outcome", "failed")
    trial.set_user_attr("reason", reason)
    study.tell(trial, state=TrialState.FAIL)
    return {"outcome": "failed", "reason": reason}


def tell_stopped(study: optuna.Study, trial: optuna.Trial, report: Mapping[str, Any]) -> None:
    """A trial that was not worth going on with: PRUNED, with the reason and the score that it had reached."""
    trial.set_user_attr("outcome", "stopped")
    trial.set_user_attr("reason", str(report.get("reason")))
    trial.set_user_attr(SCORE_WHEN_STOPPED, report.get("validation_score"))
    study.tell(trial, state=TrialState.PRUNED)


def give_back_unfinished(study: optuna.Study) -> None:
    """Put every RUNNING trial back into the queue: it is asked for next, under its number, with its parameters."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)


def tell_report(
    study: optuna.Study, trial: optuna.Trial, report: Mapping[str, Any], recipe_space: RecipeSpace
) -> Mapping[str, Any]:
    """Tell what a worker reported: its objectives, or the failure that it names; return what was told."""
    if report.get("outcome") == "stopped":
        tell_stopped(study, trial, report)
        return report
    if report.get("outcome") != "trained":
        return tell_failed(study, trial, str(report.get("reason", "the worker reported no outcome")))
    values = [float(report["objectives"].get(objective.name, math.nan)) for objective in recipe_space.OBJECTIVES]
    missing = [
        objective.name
        for objective, value in zip(recipe_space.OBJECTIVES, values, strict=True)
        if not math.isfinite(value)
    ]
    if missing:
        return tell_failed(study, trial, f"objective {missing[0]} is missing or not a number")
    trial.set_user_attr("outcome", "trained")
    trial.set_user_attr("footprint", report["footprint"])
    trial.set_user_attr("metrics", {key: report[key] for key in ("score_int8", "score_float", "test")})
    study.tell(trial, values)
    return report


def counted(study: optuna.Study) -> int:
    """Trials that count towards `--trials`: trained, stopped and failed ones, not refused ones."""
    return sum(outcome(trial) in COUNTED for trial in study.get_trials(deepcopy=False))


def outcome(trial: FrozenTrial) -> str:
    """trained, stopped, refused, failed; or the state of a trial that has none yet."""
    # The attribute is written before the state: a kill between the two leaves a trial that did not end.
    state = trial.state.name.lower()
    return str(trial.user_attrs.get("outcome", state)) if trial.state.is_finished() else state


def finished_report(trials: Path, number: int, params: Mapping[str, Any]) -> dict[str, Any] | None:
    """The metrics.json of a trial whose worker finished, though its driver was gone before it could be told."""
    path = trials / str(number) / "metrics.json"
    try:
        report = read_object(path)
    except ValueError:
        return None
    return report if report.get("params") == dict(params) else None
