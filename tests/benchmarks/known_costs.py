"""A sampler that models the score alone, because what a student costs is known before it is trained.

Every other sampler learns decision_ms and arena_bytes like the score, from trained trials. This one proposes, out of
many candidates, the one with the greatest expected gain in feasible hypervolume for the time that asking takes: its
costs are those of its architecture where that has been profiled, and otherwise the guess of a Gaussian process over all
profiled ones, refused ones included.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, final

import numpy as np
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FixedTrial, TrialState
from scipy.special import ndtr

from spaces.budget import Footprint
from spaces.narrowed import parameters
from tests.benchmarks.coordinates import DrawingTrial, Encoding, Floats, Params, drawn_from, moved
from tests.benchmarks.surface import Surface

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial, FrozenTrial

    from spaces import RecipeSpace
    from spaces.budget import Budget

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
DRAWS_TO_FIND_COSTLY = 50

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
class KnownCostSampler(BaseSampler):
    """Optuna's sampler interface over a recipe's space; reads params, values and the attribute `footprint` of trials.

    One for each study of a score to maximise from 0, decision_ms and arena_bytes, in this order, under all three
    ceilings. A trial that runs counts as if it had ended with the score that is expected of it.
    """

    def __init__(self, recipe_space: RecipeSpace, budget: Budget, seed: int) -> None:
        self._space, self._budget = recipe_space, budget
        self._rng = np.random.default_rng(seed)
        self._independent = RandomSampler(seed=seed)
        self._distributions = parameters(recipe_space)
        self._encoding = Encoding(self._distributions)
        bank = [self._completed({}) for _ in range(BANK)]
        self._costly = self._costly_names(bank[:DRAWS_TO_FIND_COSTLY])
        self._bank = self._proposals(bank)
        costly = self._encoding.columns_of(self._costly)
        self._scores, self._costs = Surface([costly, ~costly]), Surface([costly], COST_NOISES)
        self._footprints: dict[Architecture, Footprint] = {}
        self._profiled: set[int] = set()
        self._rows: dict[int, Floats] = {}

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
        trials = study.get_trials(deepcopy=False)
        self._learn_costs(trials)
        trained = [t for t in trials if t.state == TrialState.COMPLETE]
        pending = [t.params for t in trials if t.state == TrialState.RUNNING and t.params]
        front = front_of(trained)
        candidates = self._candidates([t.params for t in front])
        costs, worth = self._costs_of(candidates)
        if len(trained) < STARTUP:
            new = np.array([architecture not in self._footprints for architecture in candidates.architectures])
            return dict(candidates.params[self._rng.choice(len(new), p=_shares(worth * new))])
        self._scores.fit(self._encoded(trained), np.array([[t.values[0]] for t in trained]))
        gains = self._gains(candidates, costs, front, pending)
        return dict(candidates.params[int(np.argmax(gains * worth))])

    def _learn_costs(self, trials: Sequence[FrozenTrial]) -> None:
        for trial in trials:
            if trial.number not in self._profiled and "footprint" in trial.user_attrs:
                self._profiled.add(trial.number)
                architecture = self._architecture(trial.params)
                self._footprints[architecture] = Footprint(**trial.user_attrs["footprint"])
        if len(self._footprints) >= FEWEST_COSTS:
            logs = np.array([self._log_fractions(footprint) for footprint in self._footprints.values()])
            self._costs.fit(self._encoding.of([dict(architecture) for architecture in self._footprints]), logs)

    def _encoded(self, trained: Sequence[FrozenTrial]) -> Floats:
        for trial in trained:
            if trial.number not in self._rows:
                self._rows[trial.number] = self._encoding.of([trial.params])[0]
        return np.array([self._rows[trial.number] for trial in trained])

    def _gains(
        self, candidates: Proposals, costs: Floats, front: Sequence[FrozenTrial], pending: Sequence[Params]
    ) -> Floats:
        ended = self._proposals([t.params for t in front])
        points = np.column_stack([[t.values[0] for t in front], self._costs_of(ended)[0]])
        if pending:
            running = self._proposals(pending)
            believed, _ = self._scores.at(running.encoded)
            points = np.vstack([points, np.column_stack([believed, self._costs_of(running)[0]])])
        mean, deviation = self._scores.at(candidates.encoded)
        return expected_gains(points, costs, mean[:, 0], deviation[:, 0])

    def _candidates(self, front: Sequence[Params]) -> Proposals:
        some = self._bank.at(self._rng.choice(BANK, FROM_BANK, replace=False).tolist())
        parents = front or self._nearest()
        if not parents:
            return some
        mutants = [self._mutated(parents[int(self._rng.integers(len(parents)))]) for _ in range(MUTANTS)]
        return some + self._proposals([params for params in mutants if params not in front])

    def _nearest(self) -> list[Params]:
        overruns = {name: max(self._budget.overrun(used).values()) for name, used in self._footprints.items()}
        return [self._completed(dict(name)) for name in sorted(overruns, key=lambda name: overruns[name])[:NEAREST]]

    def _costs_of(self, proposals: Proposals) -> tuple[Floats, Floats]:
        """Costs [n, 2] as fractions of their ceilings, and what fitting with that probability is worth [n]."""
        if len(self._footprints) < FEWEST_COSTS:
            return np.ones((len(proposals.params), 2)), np.ones(len(proposals.params))
        mean, deviation = self._costs.at(proposals.encoded)
        fits = ndtr(-mean[:, 1:] / (deviation[:, 1:] + 1e-3)).prod(axis=1)
        for row, architecture in enumerate(proposals.architectures):
            if architecture in self._footprints:
                mean[row] = self._log_fractions(self._footprints[architecture])
                fits[row] = self._budget.fits(self._footprints[architecture])
        return np.exp(mean[:, :2]), fits / (fits + REFUSAL_COST)

    def _log_fractions(self, footprint: Footprint) -> list[float]:
        """Logarithms of decision, arena, flash and the decision's upper end over their ceilings."""
        top = self._budget
        fractions = (
            footprint.decision_ms / top.latency_ms,
            footprint.arena_bytes / top.arena_bytes,
            footprint.flash_bytes / top.flash_bytes,
            top.held_ms(footprint) / top.latency_ms,
        )
        return [math.log(fraction) for fraction in fractions]

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
            for params in several
            for name in params
            if self._text(params) != self._text(self._completed({**params, name: self._other(name)}))
        )

    def _other(self, name: str) -> Any:
        return drawn_from(self._distributions[name], self._rng)

    def _text(self, params: Params) -> str:
        return self._space.space(FixedTrial(dict(params))).architecture


def front_of(trained: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Trials that no other one dominates; the first value is maximised, the others minimised."""
    front: list[tuple[FrozenTrial, tuple[float, ...]]] = []
    for trial in sorted(trained, key=lambda trial: -trial.values[0]):
        # Sorted by score, so that only those before it can dominate it.
        costs = tuple(trial.values[1:])
        if not any(all(o <= c for o, c in zip(other, costs, strict=True)) for _, other in front):
            front.append((trial, costs))
    return [trial for trial, _ in front]


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
