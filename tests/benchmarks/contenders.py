"""Ours and its peers, each searching the black box behind a wall."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

import optuna
from optuna.samplers import GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from export.results import Results
from search.optuna_tasks import NothingFitsError, OptunaTasks
from search.study import open_study
from spaces.narrowed import Narrowing
from tests.benchmarks.black_box import BlackBox, footprint_of_params
from tests.benchmarks.ledger import Ledger

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from spaces.budget import Footprint
    from spaces.candidate import Scalar
    from tests.benchmarks.black_box import Values
    from trainables.assignment import Task

BOX = BlackBox()
AHEAD = 2
# What becomes of a point over budget: it is trained like any other, or refused and told to the study in some way.
Fate = Literal["trained", "pruned", "failed", "complete"]
Contender = Callable[[Ledger], None]


@final
@dataclass(frozen=True)
class LookedUp:
    """A footprint that is there at once."""

    footprint: Footprint

    def ready(self) -> bool:
        """Always."""
        return True

    def get(self) -> Footprint:
        """Give it."""
        return self.footprint


@final
class LedgerFootprints:
    """Our searcher's footprints, out of the ledger; `ahead` as in a run on two cores."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.ahead = AHEAD

    def start(self, params: Mapping[str, Scalar]) -> LookedUp:
        """Look one up."""
        self._ledger.asks += 1
        return LookedUp(self._ledger.footprint(params))


@final
@dataclass(frozen=True)
class Ours:
    """The project's own searcher on its journal: `batch` tasks are begun before any is told.

    `sampler` is one of `search.study.SAMPLERS`.
    """

    sampler: str = "ehvi"
    batch: int = 1

    def __call__(self, ledger: Ledger) -> None:
        """Search until the ledger is full, or the searcher gives up."""
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tasks = our_tasks(ledger, Path(folder), self.sampler)
            while ledger.left:
                begun = self._begun(ledger, tasks)
                if not begun:
                    break
                for task in begun:
                    report = report_of(task.params, ledger.train(task.params))
                    with ledger.sampling():
                        tasks.ended(task, report)
        ledger.refused = ledger.asks - len(ledger.trained)

    def _begun(self, ledger: Ledger, tasks: OptunaTasks) -> list[Task]:
        begun: list[Task] = []
        try:
            with ledger.sampling():
                for _ in range(min(self.batch, ledger.left)):
                    task = tasks.next(wait=True)
                    begun += [task] if task else []
        except NothingFitsError:
            pass
        return begun


def our_tasks(ledger: Ledger, folder: Path, sampler: str) -> OptunaTasks:
    """The searcher as `python -m search` builds it, with footprints that are there at once and without Ray."""
    assignment = ledger.assignment
    footprints, budget, seed = LedgerFootprints(ledger), assignment.wall.budget, 1000 * assignment.seed
    study = open_study(Results(folder), "black_box", BOX, Narrowing(), budget, seed, sampler)
    return OptunaTasks(study, BOX, Narrowing(), budget, footprints, folder / "trials", assignment.trials)


def report_of(params: Mapping[str, Scalar], values: Values) -> dict[str, Any]:
    """What a worker reports of a trained trial."""
    objectives = {objective.name: value for objective, value in zip(BOX.OBJECTIVES, values, strict=True)}
    scores = {"score_int8": values[0], "score_float": values[0], "test": {}}
    footprint = footprint_of_params(params).as_dict()
    return {"outcome": "trained", "objectives": objectives, "footprint": footprint, **scores}


@final
@dataclass(frozen=True)
class AskTell:
    """Plain Optuna in memory: `sampler` makes one from a seed."""

    sampler: Callable[[int], BaseSampler]
    over_budget: Fate = "trained"
    constrained: bool = True
    most_asks: int = 20_000

    def __call__(self, ledger: Ledger) -> None:
        """Search until the ledger is full, or the allowed asks are spent."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = memory_study(self.sampler(ledger.assignment.seed))
            while ledger.left and ledger.asks < self.most_asks:
                trial = asked(study, ledger)
                if self.over_budget == "trained" or self._admitted(study, trial, ledger):
                    self._train(study, trial, ledger)

    def _admitted(self, study: optuna.Study, trial: optuna.Trial, ledger: Ledger) -> bool:
        overruns = ledger.overruns(trial.params)
        with ledger.sampling():
            self._constrain(trial, overruns)
            if all(over <= 0 for over in overruns.values()):
                return True
            tell_over_budget(study, trial, self.over_budget)
        ledger.refused += 1
        return False

    def _constrain(self, trial: optuna.Trial, overruns: Mapping[str, float]) -> None:
        if self.constrained:
            for ceiling, over in overruns.items():
                trial.set_constraint(ceiling, over)

    def _train(self, study: optuna.Study, trial: optuna.Trial, ledger: Ledger) -> None:
        values = ledger.train(trial.params)
        with ledger.sampling():
            if self.over_budget == "trained":
                self._constrain(trial, ledger.overruns_of_trained(trial.params))
            study.tell(trial, values)


def memory_study(sampler: BaseSampler) -> optuna.Study:
    """A study as plain Optuna makes it, with the recipe's start point enqueued as in ours."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=[o.direction for o in BOX.OBJECTIVES], sampler=sampler)
    for point in BOX.START_POINTS:
        study.enqueue_trial(dict(point))
    return study


def asked(study: optuna.Study, ledger: Ledger) -> optuna.Trial:
    """The study's next proposal, complete with parameters."""
    with ledger.sampling():
        trial = study.ask()
        BOX.space(trial)
    ledger.asks += 1
    return trial


def tell_over_budget(study: optuna.Study, trial: optuna.Trial, fate: Fate) -> None:
    """Tell a refused point: PRUNED, FAIL, or COMPLETE with its footprint and the worst score."""
    if fate == "complete":
        footprint = footprint_of_params(trial.params)
        study.tell(trial, (0.0, footprint.decision_ms, float(footprint.arena_bytes)))
    else:
        study.tell(trial, state=TrialState.PRUNED if fate == "pruned" else TrialState.FAIL)


def random(seed: int) -> RandomSampler:
    """Even draws."""
    return RandomSampler(seed=seed)


def plain_tpe(seed: int) -> TPESampler:
    """What Optuna takes when nothing is said."""
    return TPESampler(seed=seed)


def joint_tpe(seed: int) -> TPESampler:
    """TPE over all parameters of a branch together."""
    return TPESampler(multivariate=True, group=True, seed=seed)


def nsga2(seed: int, population_size: int = 20) -> NSGAIISampler:
    """NSGA-II with generations small enough for three of them in 60 trials."""
    return NSGAIISampler(seed=seed, population_size=population_size)


def gp(seed: int) -> GPSampler:
    """Gaussian processes with the log of the expected hypervolume improvement."""
    return GPSampler(seed=seed, warn_independent_sampling=False)


def ray_optuna_search(ledger: Ledger) -> None:
    """Ray's OptunaSearch as a user builds it, driven through its own suggest and on_trial_complete."""
    from ray.tune.search.optuna import OptunaSearch

    names = [objective.name for objective in BOX.OBJECTIVES]
    modes = [objective.direction[:3] for objective in BOX.OBJECTIVES]
    start = [dict(point) for point in BOX.START_POINTS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = OptunaSearch(propose, names, modes, points_to_evaluate=start, seed=ledger.assignment.seed + 1)
        while ledger.left:
            name = str(ledger.asks)
            with ledger.sampling():
                params = search.suggest(name) or {}
            ledger.asks += 1
            values = ledger.train(params)
            with ledger.sampling():
                search.on_trial_complete(name, dict(zip(names, values, strict=True)))


def propose(trial: optuna.Trial) -> None:
    """The space in Ray's define-by-run form."""
    BOX.space(trial)
