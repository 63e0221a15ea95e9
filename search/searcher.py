"""Optuna behind Ray Tune: proposes only candidates that fit the budget, and tells the study how they ended."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, final

import ray
from ray.tune.search import Searcher

from search.study import finished_report, record_footprint, tell_failed, tell_refused, tell_report, unfinished
from spaces.budget import Footprint
from trainables.ray_trainable import NUMBER, REPORT
from trainables.trial import footprint_of_untrained

if TYPE_CHECKING:
    from pathlib import Path

    import optuna
    from optuna.trial import FrozenTrial

    from spaces import RecipeSpace
    from spaces.budget import Budget
    from spaces.candidate import Scalar
    from spaces.narrowed import Narrowing
    from trainables.trial import Assignment

AHEAD = 2
REFUSALS_WHERE_NOTHING_FITTED = 64
REFUSALS_IN_A_ROW = 1000
FAILED_FOOTPRINTS_IN_A_ROW = 5


class NothingFitsError(ValueError):
    """No candidate fits the budget; the message names the tightest ceiling and the smallest footprint seen."""


class FootprintsFailError(RuntimeError):
    """Footprint after footprint fails: the fault is not the candidates'."""


class FootprintSource(Protocol):
    """Footprints that are worked out elsewhere while the driver goes on."""

    def start(self, params: Mapping[str, Scalar]) -> Callable[[], Footprint]:
        """Begin one; the returned call waits for it."""
        ...


@final
class FootprintWorker:
    """A Ray actor that converts and profiles untrained students beside the trials."""

    def __init__(self, assignment: Assignment) -> None:
        actor: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=1)(_FootprintActor)
        self._actor = actor.remote()
        # With each call rather than once, so that an actor which died can be started anew.
        self._assignment = ray.put(assignment)

    def start(self, params: Mapping[str, Scalar]) -> Callable[[], Footprint]:
        """Queue one footprint; waiting for it raises what went wrong in the actor."""
        reference = self._actor.footprint.remote(self._assignment, dict(params))
        return lambda: Footprint(**ray.get(reference))


@final
class _FootprintActor:
    def footprint(self, assignment: Assignment, params: Mapping[str, Scalar]) -> dict[str, Any]:
        return footprint_of_untrained(assignment, params).as_dict()


@final
class OptunaSearcher(Searcher):
    """Ask and tell for one study. Refused points never reach Ray; `trials` bounds how many are handed out.

    Ray's own OptunaSearch drops constraints and tells stopped trials as complete, hence this one.
    """

    def __init__(
        self,
        study: optuna.Study,
        recipe_space: RecipeSpace,
        narrowing: Narrowing,
        budget: Budget,
        footprints: FootprintSource,
        folder: Path,
        trials: int,
    ) -> None:
        super().__init__(metric=None, mode=None)
        self._study, self._recipe_space, self._narrowing = study, recipe_space, narrowing
        self._budget, self._footprints, self._trials_folder = budget, footprints, folder
        self._left = trials
        self._started: dict[str, optuna.Trial] = {}
        self._ahead: deque[tuple[optuna.Trial, Callable[[], Footprint]]] = deque()
        self._refused_in_a_row: list[Footprint] = []
        self._failed_footprints_in_a_row = 0
        self._something_fits = any(_fits(trial) for trial in study.get_trials(deepcopy=False))
        self._take_up(unfinished(study))
        self.stopped_by: NothingFitsError | FootprintsFailError | None = None

    def _take_up(self, left_over: list[optuna.Trial]) -> None:
        for trial in left_over:
            report = finished_report(self._trials_folder, trial.number)
            if report is not None:
                tell_report(self._study, trial, report, self._recipe_space)
                self._left -= 1
            else:
                self._begin(trial)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """Parameters and number of the next trial that fits; FINISHED when there are no more."""
        try:
            trial = self._next_fitting()
        except (NothingFitsError, FootprintsFailError) as error:
            self.stopped_by = error
            trial = None
        if trial is None:
            return Searcher.FINISHED
        self._left -= 1
        self._started[trial_id] = trial
        self._fill()
        return {NUMBER: trial.number, **trial.params}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the study; a worker that died without a word is FAIL."""
        trial = self._started.pop(trial_id, None)
        if trial is not None:
            tell_report(self._study, trial, reported(result), self._recipe_space)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study's journal holds it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: a resumed run opens the study's journal."""

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles the searcher into its own experiment folder, which nothing here reads back.
        return {}

    def _next_fitting(self) -> optuna.Trial | None:
        while self._left > 0:
            self._fill()
            trial, wait = self._ahead.popleft()
            if self._admitted(trial, wait):
                return trial
        return None

    def _fill(self) -> None:
        while len(self._ahead) < min(AHEAD, self._left):
            self._begin(self._study.ask())

    def _begin(self, trial: optuna.Trial) -> None:
        # Where a trial has parameters already, the space reads them; where it was cut off, it adds the rest.
        self._narrowing.propose(self._recipe_space, trial)
        self._ahead.append((trial, self._footprints.start(trial.params)))

    def _admitted(self, trial: optuna.Trial, wait: Callable[[], Footprint]) -> bool:
        try:
            footprint = wait()
        except Exception as error:
            self._footprint_failed(trial, error)
            return False
        self._failed_footprints_in_a_row = 0
        if all(over <= 0 for over in record_footprint(trial, footprint, self._budget).values()):
            self._something_fits = True
            self._refused_in_a_row.clear()
            return True
        tell_refused(self._study, trial)
        self._refused_in_a_row.append(footprint)
        self._give_up_where_nothing_fits()
        return False

    def _footprint_failed(self, trial: optuna.Trial, error: Exception) -> None:
        tell_failed(self._study, trial, f"footprint: {error}")
        self._left -= 1
        self._failed_footprints_in_a_row += 1
        if self._failed_footprints_in_a_row >= FAILED_FOOTPRINTS_IN_A_ROW:
            raise FootprintsFailError(
                f"{FAILED_FOOTPRINTS_IN_A_ROW} footprints in a row failed, the last with: {error}"
            )

    def _give_up_where_nothing_fits(self) -> None:
        most = REFUSALS_IN_A_ROW if self._something_fits else REFUSALS_WHERE_NOTHING_FITTED
        if len(self._refused_in_a_row) >= most:
            raise NothingFitsError(nothing_fits(self._refused_in_a_row, self._budget))


def _fits(trial: FrozenTrial) -> bool:
    return bool(trial.constraints) and all(over <= 0 for over in trial.constraints.values())


def reported(result: Mapping[str, Any] | None) -> dict[str, Any]:
    """The report of a worker out of Ray's result; a worker that left none has died."""
    if not result or REPORT not in result:
        return {"outcome": "failed", "reason": "the worker process died"}
    report: dict[str, Any] = json.loads(result[REPORT])
    return report


def nothing_fits(refused: list[Footprint], budget: Budget) -> str:
    """Which ceiling is the tightest, and the footprint that comes nearest to it."""
    least = {name: min(budget.overrun(footprint)[name] for footprint in refused) for name in budget.as_dict()}
    tightest = max(least, key=lambda name: least[name])
    smallest = min(refused, key=lambda footprint: budget.overrun(footprint)[tightest])
    return (
        f"--budget: none of {len(refused)} candidates in a row fits {budget}; the tightest ceiling is {tightest}="
        f"{budget.as_dict()[tightest]:g}; the smallest footprint seen takes flash {smallest.flash_bytes} B, "
        f"arena {smallest.arena_bytes} B, decision {budget.held_ms(smallest):.1f} ms"
    )
