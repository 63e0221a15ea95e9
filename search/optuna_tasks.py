"""Tasks from an Optuna study: proposed, held against the budget before any training, told when they end."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, final

from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from search.architecture import architecture_of
from search.known_costs import BESIDE
from search.study import finished_report, give_back_unfinished, record_footprint, tell_refused, tell_report
from spaces.narrowed import NarrowedSpace, parameters
from trainables.assignment import Task

if TYPE_CHECKING:
    from pathlib import Path

    import optuna
    from optuna.trial import FrozenTrial

    from search.populations import Populations
    from spaces import RecipeSpace
    from spaces.budget import Budget, Footprint
    from spaces.candidate import Scalar
    from spaces.narrowed import Narrowing

# Without one that came nearer to fitting than all before: where 1 % of a space fits, the sampler has to find its way.
REFUSALS_WHERE_NOTHING_FITTED = 512
REFUSALS_IN_A_ROW = 1000
FAILED_FOOTPRINTS_IN_A_ROW = 5
# So that refusals from the cache do not keep the driver from the trials that run.
REFUSALS_AT_A_TIME = 8

# Number, parameters and report of a trial that was told.
Listener = Callable[[int, Mapping[str, Any], Mapping[str, Any]], None]


class NothingFitsError(ValueError):
    """No candidate fits the budget; the message names the tightest ceiling and the smallest footprint seen."""


class HaltError(RuntimeError):
    """A fault that every further trial would meet too."""


class FootprintsFailError(RuntimeError):
    """Footprint after footprint fails: the fault is not the candidates'."""


class PendingFootprint(Protocol):
    """A footprint on its way."""

    def ready(self) -> bool:
        """Whether `get` would return at once."""
        ...

    def get(self) -> Footprint:
        """Wait for it; raises what went wrong."""
        ...


class FootprintSource(Protocol):
    """Footprints that are worked out elsewhere while the driver goes on, `ahead` of them at a time."""

    ahead: int

    def start(self, params: Mapping[str, Scalar]) -> PendingFootprint:
        """Begin one."""
        ...


@final
class OptunaTasks:
    """Ask and tell for one study; `trials` bounds how many more are handed out, trained or failed.

    With `populations`, a candidate that fits is followed by others of its architecture: as many as are taught together.
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
        listeners: Sequence[Listener] = (),
        before_a_trial: Callable[[], None] = lambda: None,
        populations: Populations | None = None,
    ) -> None:
        self._study, self._recipe_space, self._narrowing = study, recipe_space, narrowing
        self._budget, self._footprints, self._trials_folder = budget, footprints, folder
        self._left, self._listeners, self._before_a_trial = trials, listeners, before_a_trial
        self._started: dict[int, optuna.Trial] = {}
        self._ahead: deque[tuple[optuna.Trial, PendingFootprint]] = deque()
        self._refused_in_a_row: list[Footprint] = []
        self._least_overrun, self._refused_since_nearer = math.inf, 0
        self._asks, self._random = 0, RandomSampler(seed=len(study.get_trials(deepcopy=False)))
        self._failed_footprints_in_a_row = 0
        self._populations = populations
        self._distributions = parameters(NarrowedSpace(recipe_space, narrowing)) if populations else {}
        self._shared: dict[str, Scalar] = {}
        self._to_join = 0
        self._something_fits = any(_fits(trial) for trial in study.get_trials(deepcopy=False))
        # What a killed search left is asked for first.
        give_back_unfinished(study)

    @property
    def exhausted(self) -> bool:
        """Whether no task is left to hand out."""
        return self._left <= 0

    def next(self, wait: bool) -> Task | None:
        """The next candidate that fits; None where there is none left, or none yet and `wait` is not asked for.

        Raises `NothingFitsError`, `FootprintsFailError` and `HaltError`.
        """
        for _ in range(REFUSALS_IN_A_ROW if wait else REFUSALS_AT_A_TIME):
            self._join()
            self._fill()
            if not self._ahead or not (wait or self._ahead[0][1].ready()):
                return None
            trial, pending = self._ahead.popleft()
            footprint = self._admitted(trial, pending)
            if footprint is not None:
                return self._hand_out(trial, footprint)
        return None

    def ended(self, task: Task, report: Mapping[str, Any]) -> None:
        """Tell the study how a task ended."""
        self._tell(self._started[task.number], report)

    def close(self) -> None:
        """Put all that was begun and did not end back into the study's queue."""
        give_back_unfinished(self._study)
        self._started.clear()
        self._ahead.clear()

    def _tell(self, trial: optuna.Trial, report: Mapping[str, Any]) -> None:
        told = tell_report(self._study, trial, report, self._recipe_space)
        self._started.pop(trial.number, None)
        for listener in self._listeners:
            listener(trial.number, trial.params, told)

    def _hand_out(self, trial: optuna.Trial, footprint: Footprint) -> Task:
        self._left -= 1
        self._started[trial.number] = trial
        self._fill()
        self._before_a_trial()
        costs = {name: float(value) for name, value in footprint.as_dict().items() if name in self._objectives}
        task = Task(trial.number, trial.params, costs)
        if self._populations and BESIDE not in trial.user_attrs:
            space = NarrowedSpace(self._recipe_space, self._narrowing)
            self._shared = architecture_of(space, self._distributions, trial.params)
            self._to_join = self._populations.most(task) - 1
        return task

    def _join(self) -> None:
        """Ask for one more of the architecture that was handed out last, if its population has room."""
        if not self._to_join or len(self._ahead) >= self._left or self._ahead_joins():
            return
        # What waits in the study's queue would be asked for in its place.
        if not self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            self._to_join -= 1
            self._study.enqueue_trial(self._shared, user_attrs={BESIDE: True})
            trial = self._study.ask()
            self._begin(trial)
            if self._ahead and self._ahead[-1][0] is trial:
                # It comes before what was asked for earlier.
                self._ahead.rotate()

    def _ahead_joins(self) -> bool:
        return bool(self._ahead) and BESIDE in self._ahead[0][0].user_attrs

    @property
    def _objectives(self) -> set[str]:
        return {objective.name for objective in self._recipe_space.OBJECTIVES}

    def _fill(self) -> None:
        while len(self._ahead) < min(self._footprints.ahead, self._left):
            self._asks += 1
            if self._something_fits or self._asks % 2:
                self._begin(self._study.ask())
            else:
                self._begin_at_random()

    def _begin_at_random(self) -> None:
        # TPE sticks to the branch that comes nearest to fitting, even where nothing in it fits.
        sampler = self._study.sampler
        self._study.sampler = self._random
        try:
            self._begin(self._study.ask())
        finally:
            self._study.sampler = sampler

    def _begin(self, trial: optuna.Trial) -> None:
        # Where a trial has parameters already, the space reads them; where it was cut off, it adds the rest.
        self._narrowing.propose(self._recipe_space, trial)
        report = finished_report(self._trials_folder, trial.number, trial.params)
        if report is None:
            self._ahead.append((trial, self._footprints.start(trial.params)))
        else:
            self._left -= 1
            self._tell(trial, report)

    def _admitted(self, trial: optuna.Trial, pending: PendingFootprint) -> Footprint | None:
        try:
            footprint = pending.get()
        except OSError as error:
            # The machine's fault, not the candidate's: the trial goes back into the queue when the search closes.
            raise HaltError(f"a footprint could not be worked out: {error}") from error
        except Exception as error:
            self._footprint_failed(trial, error)
            return None
        self._failed_footprints_in_a_row = 0
        if all(over <= 0 for over in record_footprint(trial, footprint, self._budget).values()):
            self._something_fits = True
            self._refused_in_a_row.clear()
            return footprint
        tell_refused(self._study, trial)
        for listener in self._listeners:
            listener(trial.number, trial.params, {"outcome": "refused"})
        self._refused_in_a_row.append(footprint)
        self._give_up_where_nothing_fits(max(self._budget.overrun(footprint).values()))
        return None

    def _footprint_failed(self, trial: optuna.Trial, error: Exception) -> None:
        self._left -= 1
        self._tell(trial, {"outcome": "failed", "reason": f"footprint: {error}"})
        self._failed_footprints_in_a_row += 1
        if self._failed_footprints_in_a_row >= FAILED_FOOTPRINTS_IN_A_ROW:
            raise FootprintsFailError(
                f"{FAILED_FOOTPRINTS_IN_A_ROW} footprints in a row failed, the last with: {error}"
            )

    def _give_up_where_nothing_fits(self, overrun: float) -> None:
        self._refused_since_nearer = 0 if overrun < self._least_overrun else self._refused_since_nearer + 1
        self._least_overrun = min(overrun, self._least_overrun)
        lost = not self._something_fits and self._refused_since_nearer >= REFUSALS_WHERE_NOTHING_FITTED
        if lost or len(self._refused_in_a_row) >= REFUSALS_IN_A_ROW:
            raise NothingFitsError(nothing_fits(self._refused_in_a_row, self._budget))


def _fits(trial: FrozenTrial) -> bool:
    return bool(trial.constraints) and all(over <= 0 for over in trial.constraints.values())


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
