"""A sampler that models the score alone, because what a student costs is known before it is trained.

Every other sampler learns decision_ms and arena_bytes like the score, from trained trials. This one proposes, out of
many candidates, the one with the greatest expected gain in feasible hypervolume for the time that asking takes: its
costs are those of its architecture where that has been profiled, and otherwise the guess of a Gaussian process over all
profiled ones, refused ones included.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, cast, final

import moocore
import numpy as np
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FixedTrial, TrialState
from scipy.special import ndtr
from threadpoolctl import ThreadpoolController

from export.front import ceiling_of
from search.coordinates import DrawingTrial, Encoding, Floats, Params, drawn_from, moved
from search.surface import Surface
from spaces.budget import Footprint
from spaces.narrowed import parameters

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial, FrozenTrial

    from spaces.budget import Budget
    from spaces.candidate import Objective
    from spaces.narrowed import NarrowedSpace

BANK = 1000
FROM_BANK = 256
MUTANTS = 96
MOST_CHANGES = 3
NEAREST = 5
STARTUP = 8
FEWEST_COSTS = 5
# Seconds of a footprint that turns out too large, over those of a training.
REFUSAL_COST = 0.05
# A cost is the same each time.
COST_NOISES = (1e-4, 1e-3, 1e-2)
DRAWS_TO_FIND_COSTLY = 250
MARGIN = math.log(1.1)
SCORE_WHEN_STOPPED = "score_when_stopped"
# Marks a trial that is to have the parameters which it was enqueued with, and any others.
BESIDE = "beside"

Architecture = tuple[tuple[str, Any], ...]


@final
@dataclass(frozen=True)
class Proposals:
    """Candidates with their coordinates and architectures."""

    params: Sequence[Params]
    encoded: Floats
    architectures: Sequence[Architecture]

    def __add__(self, other: Proposals) -> Proposals:
        encoded = np.vstack([self.encoded, other.encoded])
        return Proposals([*self.params, *other.params], encoded, [*self.architectures, *other.architectures])

    def at(self, rows: Sequence[int]) -> Proposals:
        """Some of them."""
        return Proposals([self.params[i] for i in rows], self.encoded[rows], [self.architectures[i] for i in rows])


@final
@dataclass(frozen=True)
class Ended:
    """A trial that was told. `score` is the one it ended or was stopped with; refused and failed ones have none."""

    params: Params
    row: Floats
    architecture: Architecture
    score: float | None
    trained: bool
    failed: bool


@final
class KnownCosts:
    """Footprints by architecture, as logarithms of fractions of what bounds them.

    The first two are the objectives' costs, over their ceilings or, without one, over a tenth more than the
    largest seen; then what is held against each ceiling, over the ceiling.
    """

    def __init__(self, objectives: Sequence[Objective], budget: Budget) -> None:
        costs = {field.name for field in fields(Footprint)}
        self._names = [objective.name for objective in objectives if objective.name in costs]
        scores = [row for row, objective in enumerate(objectives) if objective.name not in costs]
        if len(self._names) != 2 or [objectives[row].direction for row in scores] != ["maximize"]:
            names = ", ".join(f"{objective.direction} {objective.name}" for objective in objectives)
            raise ValueError(f"--sampler: ehvi needs one score to maximise and two costs of a footprint, not {names}")
        self._score, self._budget = scores[0], budget
        ceilings = [ceiling_of(name, budget.as_dict()) for name in self._names]
        self._open = np.array([ceiling is None for ceiling in ceilings] + [False] * len(budget.as_dict()))
        self.columns = len(self._open)
        self._bounds = np.zeros(self.columns)
        self._bounds[:2] = [-math.inf if ceiling is None else math.log(ceiling) for ceiling in ceilings]
        self._logs: dict[Architecture, Floats] = {}
        self._rows: dict[Architecture, Floats] = {}

    def __contains__(self, architecture: Architecture) -> bool:
        return architecture in self._logs

    def __len__(self) -> int:
        return len(self._logs)

    def score(self, values: Sequence[float]) -> float:
        """The score among a trial's values."""
        return float(values[self._score])

    def learn(self, architecture: Architecture, footprint: Footprint, row: Floats) -> None:
        """Take a footprint, and the coordinates that an architecture has."""
        objectives = [math.log(getattr(footprint, name)) for name in self._names]
        ceilings = [math.log(1 + over) for over in self._budget.overrun(footprint).values()]
        logs = np.array([*objectives, *ceilings])
        self._logs[architecture], self._rows[architecture] = logs, row
        self._bounds = np.where(self._open, np.maximum(self._bounds, logs + MARGIN), self._bounds)

    def of(self, architectures: Sequence[Architecture]) -> Floats:
        """The logarithms of some."""
        return np.array([self._logs[architecture] for architecture in architectures]) - self._bounds

    def all(self) -> tuple[Floats, Floats]:
        """Coordinates and logarithms of all."""
        return np.array(list(self._rows.values())), self.of(list(self._logs))

    def nearest(self, count: int) -> list[Architecture]:
        """Those that come nearest to fitting."""
        return sorted(self._logs, key=lambda architecture: self._logs[architecture][2:].max(initial=-math.inf))[:count]


@final
class KnownCostSampler(BaseSampler):
    """Optuna's sampler interface over a recipe's space; reads params, values and the attribute `footprint` of trials.

    One for each study. A trial that runs counts as if it had ended with the score that is expected of it; a stopped one
    has the score that it had reached, a failed one the lowest of all.
    """

    def __init__(self, space: NarrowedSpace, budget: Budget, seed: int) -> None:
        self._space, self._costs = space, KnownCosts(space.whole.OBJECTIVES, budget)
        self._rng = np.random.default_rng(seed)
        self._independent = RandomSampler(seed=seed)
        self._distributions = parameters(space)
        self._encoding = Encoding(self._distributions)
        bank = [self._completed({}) for _ in range(BANK)]
        self._costly = self._costly_names(bank[:DRAWS_TO_FIND_COSTLY])
        self._bank = self._proposals(bank)
        costly = self._encoding.columns_of(self._costly)
        self._scores, self._cost_surface = Surface([costly, ~costly]), Surface([costly], COST_NOISES)
        self._ended: dict[int, Ended] = {}
        self._threads = ThreadpoolController()

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters, of which a proposal holds those of its branch."""
        return self._distributions

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """What a proposal lacks is drawn at random."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The candidate of the greatest expected gain."""
        # Matrices of 200 rows are quicker on one thread, the more so where trials use the others.
        with self._threads.limit(limits=1):
            return self._proposed(study, trial.system_attrs["fixed_params"] if BESIDE in trial.user_attrs else {})

    def _proposed(self, study: optuna.Study, given: Params) -> dict[str, Any]:
        trials = study.get_trials(deepcopy=False)
        self._learn(trials)
        ended = list(self._ended.values())
        pending = [t.params for t in trials if t.state == TrialState.RUNNING and t.params]
        front = self._front([one for one in ended if one.trained])
        candidates = self._candidates([one.params for one in front])
        if given:
            candidates = self._proposals([self._completed({**params, **given}) for params in candidates.params])
        costs, worth = self._costs_of(candidates)
        scored = [one for one in ended if one.score is not None]
        if len(scored) < STARTUP or not front:
            new = np.array([architecture not in self._costs for architecture in candidates.architectures])
            return dict(candidates.params[self._rng.choice(len(new), p=_shares(worth * new))])
        lowest = min(one.score for one in scored if one.score is not None)
        tried = [one for one in ended if one.score is not None or one.failed]
        scores = [lowest if one.score is None else one.score for one in tried]
        self._scores.fit(np.array([one.row for one in tried]), np.array(scores)[:, None])
        gains = self._gains(candidates, costs, front, pending)
        return dict(candidates.params[int(np.argmax(gains * worth))])

    def _learn(self, trials: Sequence[FrozenTrial]) -> None:
        for trial in trials:
            if trial.number in self._ended or "footprint" not in trial.user_attrs:
                continue
            row, architecture = self._encoding.of([trial.params])[0], self._architecture(trial.params)
            self._costs.learn(architecture, Footprint(**trial.user_attrs["footprint"]), row)
            if trial.state.is_finished():
                self._ended[trial.number] = self._as_ended(trial, row, architecture)
        if len(self._costs) >= FEWEST_COSTS:
            self._cost_surface.fit(*self._costs.all())

    def _as_ended(self, trial: FrozenTrial, row: Floats, architecture: Architecture) -> Ended:
        trained = trial.state == TrialState.COMPLETE
        score = self._costs.score(trial.values) if trained else trial.user_attrs.get(SCORE_WHEN_STOPPED)
        return Ended(trial.params, row, architecture, score, trained, trial.state == TrialState.FAIL)

    def _front(self, trained: Sequence[Ended]) -> list[Ended]:
        if not trained:
            return []
        kept = moocore.is_nondominated(self._points(trained) * [-1, 1, 1])
        return [one for one, keep in zip(trained, kept, strict=True) if keep]

    def _points(self, trained: Sequence[Ended]) -> Floats:
        """Score and two fractions of costs [n, 3]."""
        costs = self._costs.of([one.architecture for one in trained])
        return np.column_stack([[one.score for one in trained], np.exp(costs[:, :2])])

    def _gains(self, candidates: Proposals, costs: Floats, front: Sequence[Ended], pending: Sequence[Params]) -> Floats:
        points = self._points(front)
        if pending:
            running = self._proposals(pending)
            believed = self._scores.believe(running.encoded)
            points = np.vstack([points, np.column_stack([believed, self._costs_of(running)[0]])])
        mean, deviation = self._scores.at(candidates.encoded)
        return expected_gains(points, costs, mean[:, 0], deviation[:, 0])

    def _candidates(self, front: Sequence[Params]) -> Proposals:
        some = self._bank.at(self._rng.choice(BANK, FROM_BANK, replace=False).tolist())
        parents = front or [self._completed(dict(name)) for name in self._costs.nearest(NEAREST)]
        if not parents:
            return some
        mutants = [self._mutated(parents[int(self._rng.integers(len(parents)))]) for _ in range(MUTANTS)]
        return some + self._proposals([params for params in mutants if params not in front])

    def _costs_of(self, proposals: Proposals) -> tuple[Floats, Floats]:
        """Costs [n, 2] as fractions of their ceilings, and what fitting with that probability is worth [n]."""
        if len(self._costs) < FEWEST_COSTS:
            mean = np.full((len(proposals.params), self._costs.columns), math.log(0.5))
            fits = np.ones(len(mean))
        else:
            mean, deviation = self._cost_surface.at(proposals.encoded)
            fits = ndtr(-mean[:, 2:] / (deviation[:, 2:] + 1e-3)).prod(axis=1)
        known = [row for row, architecture in enumerate(proposals.architectures) if architecture in self._costs]
        if known:
            mean[known] = self._costs.of([proposals.architectures[row] for row in known])
            fits[known] = (mean[known, 2:] <= 0).all(axis=1)
        return np.exp(mean[:, :2]), fits / (fits + REFUSAL_COST)

    def _proposals(self, several: Sequence[Params]) -> Proposals:
        return Proposals(several, self._encoding.of(several), [self._architecture(params) for params in several])

    def _architecture(self, params: Params) -> Architecture:
        return tuple(sorted((name, value) for name, value in params.items() if name in self._costly))

    def _completed(self, params: Params) -> Params:
        trial = DrawingTrial(params, self._distributions, self._rng)
        self._space.space(cast("BaseTrial", trial))
        return trial.params

    def _mutated(self, params: Params) -> Params:
        names = list(params)
        changes = {
            name: moved(self._distributions[name], params[name], self._rng)
            for name in self._rng.choice(names, size=1 + self._rng.integers(MOST_CHANGES), replace=False)
        }
        return self._completed({**params, **changes})

    def _costly_names(self, several: Sequence[Params]) -> frozenset[str]:
        """Parameters with which the architecture changes."""
        return frozenset(
            name
            for params, before in ((params, self._text(params)) for params in several)
            for name in params
            if before != self._text(self._completed({**params, name: self._other(name)}))
        )

    def _other(self, name: str) -> Any:
        return drawn_from(self._distributions[name], self._rng)

    def _text(self, params: Params) -> str:
        return self._space.space(FixedTrial(dict(params))).architecture


def expected_gains(front: Floats, costs: Floats, mean: Floats, deviation: Floats) -> Floats:
    """Expected gain in hypervolume of points whose two costs are known and whose score is normal.

    `front` [points, (score, cost, cost)] and `costs` [candidates, 2] are fractions of the ceilings, where the box ends;
    scores count from 0. Exact: the area that a point adds is constant between the scores of the front, cell by cell.
    """
    xs, ys = (np.unique(np.concatenate([[0.0, 1.0], np.clip(front[:, axis], 0, 1)])) for axis in (1, 2))
    covers = (front[:, 1, None, None] <= xs[:-1, None]) & (front[:, 2, None, None] <= ys[:-1])
    best = np.where(covers, np.maximum(front[:, 0, None, None], 0), 0.0).max(axis=0)
    levels, level_of = np.unique(best, return_inverse=True)
    cells = np.eye(len(levels))[level_of.reshape(best.shape)]
    widths = np.diff(np.maximum(xs, costs[:, :1]), axis=1)
    heights = np.diff(np.maximum(ys, costs[:, 1:]), axis=1)
    areas = np.einsum("ci,ijl,cj->cl", widths, cells, heights, optimize=True)
    places = (levels - mean[:, None]) / deviation[:, None]
    above = deviation[:, None] * (np.exp(-(places**2) / 2) / math.sqrt(2 * math.pi) - places * ndtr(-places))
    return cast("Floats", (areas * above).sum(axis=1))


def _shares(weights: Floats) -> Floats:
    total = weights.sum()
    return weights / total if total > 0 else np.full(len(weights), 1 / len(weights))
