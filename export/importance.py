"""How important each parameter was for the score of the trained trials, as rows.

fANOVA (Hutter, Hoos and Leyton-Brown 2014, by Optuna): a forest predicts the score, and a share is what one parameter
explains by itself, out of what all of them explain so. Of a score
made mostly of one of 15 parameters, 24 random trials gave that one .67 and .73 in two studies; the quicker PED-ANOVA
gave it .18 and .08. What shuffled scores give stands beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from export.retrained import score_axis

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from optuna.distributions import BaseDistribution

    from export.results import Study, TrialRow

# Fewer say nothing. More take long: of 1,000 one forest of 64 trees, as Optuna plants them, took 27 s.
LEAST_TRIALS, MOST_TRIALS = 16, 64
MOST_BRANCHES = 4
# Fewer trees for shuffled scores scatter more, which errs to the side of doubt.
TREES, SHUFFLED_TREES = 16, 8
SHUFFLES = 19
SEED = 0


@final
@dataclass(frozen=True)
class Importance:
    """One parameter's share of what single parameters explain of the score, over `trials` trials.

    `by_chance` is the largest share that any parameter of the same trials got in 19 shuffles of their scores: where
    nothing has an effect, one study in twenty has a larger one.
    """

    name: str
    share: float
    by_chance: float
    trials: int

    @property
    def clear(self) -> bool:
        """Whether it is more than shuffled scores give."""
        return self.share > self.by_chance


@final
@dataclass(frozen=True)
class Branch:
    """Parameters that occur in the same trials: in all of them (`condition` is empty), or where something was chosen.

    Of a branch with fewer than `LEAST_TRIALS` trials, and beyond the `MOST_BRANCHES` largest, `rows` is empty.
    """

    condition: str
    trials: int
    names: tuple[str, ...]
    rows: tuple[Importance, ...] = ()


def importances(study: Study) -> list[Branch]:
    """Parameters of all trained trials first, then those that only some have, among these.

    A conditional parameter is compared with the others of the trials that have it. Parameters of one value are left
    out.
    """
    axis = score_axis(study.run.objectives)
    rows = [row for row in study.trained if math.isfinite(row.values[axis])]
    groups: dict[frozenset[int], list[str]] = {}
    for name in dict.fromkeys(name for row in rows for name in row.params):
        holders = [row for row in rows if name in row.params]
        if len({row.params[name] for row in holders}) > 1:
            groups.setdefault(frozenset(row.number for row in holders), []).append(name)
    common = groups.get(frozenset(row.number for row in rows), [])
    branches: list[Branch] = []
    for numbers, names in sorted(groups.items(), key=lambda group: -len(group[0])):
        holders = [row for row in rows if row.number in numbers]
        beside = [] if names is common else _varied(holders, common)
        found = _shares(holders, axis, [*names, *beside]) if len(branches) < MOST_BRANCHES else []
        condition = "" if names is common else _condition(rows, holders, common)
        kept = tuple(row for row in found if row.name in names)
        branches.append(Branch(condition, len(holders), tuple(names), kept))
    return branches


def _varied(rows: Sequence[TrialRow], names: Sequence[str]) -> list[str]:
    return [name for name in names if len({row.params[name] for row in rows}) > 1]


def _condition(rows: Sequence[TrialRow], holders: Sequence[TrialRow], common: Sequence[str]) -> str:
    """The choice that the trials of a branch share and no other made, such as `student=ds_cnn`, where there is one."""
    numbers = {row.number for row in holders}
    found: list[tuple[int, str]] = []
    for name in common:
        values = {row.params[name] for row in holders}
        elsewhere = {row.params[name] for row in rows if row.number not in numbers}
        if all(isinstance(value, str | bool) for value in values) and not values & elsewhere:
            found.append((len(values), f"{name}={' or '.join(sorted(map(str, values)))}"))
    return min(found, key=lambda one: one[0])[1] if found else "some trials"


def _shares(rows: Sequence[TrialRow], axis: int, names: Sequence[str]) -> list[Importance]:
    if len(rows) < LEAST_TRIALS or not names:
        return []
    # Evenly over the study, whose sampler moves.
    kept = [rows[at] for at in np.unique(np.linspace(0, len(rows) - 1, MOST_TRIALS).astype(int))]
    scores = np.array([row.values[axis] for row in kept])
    if scores.min() == scores.max():
        return []
    shares = _fanova(kept, scores, names, TREES)
    dice = np.random.default_rng(SEED)
    shuffled = [_fanova(kept, dice.permutation(scores), names, SHUFFLED_TREES) for _ in range(SHUFFLES)]
    by_chance = max(max(one.values()) for one in shuffled)
    found = [Importance(name, share, by_chance, len(kept)) for name, share in shares.items()]
    return sorted(found, key=lambda row: -row.share)


def _fanova(
    rows: Sequence[TrialRow], scores: NDArray[np.float64], names: Sequence[str], trees: int
) -> dict[str, float]:
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    # Every study in memory is announced.
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(storage=optuna.storages.InMemoryStorage())
    finally:
        optuna.logging.set_verbosity(before)
    distributions = {name: _widened([row.distributions[name] for row in rows]) for name in names}
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={name: row.params[name] for name in names}, distributions=distributions, value=float(score)
            )
            for row, score in zip(rows, scores, strict=True)
        ]
    )
    evaluator = FanovaImportanceEvaluator(n_trees=trees, seed=SEED)
    shares = get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}


def _widened(distributions: Sequence[BaseDistribution]) -> BaseDistribution:
    """One distribution that holds them all: a search that is taken up again may have been given other ranges."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    first = distributions[0]
    if isinstance(first, CategoricalDistribution):
        choices = [choice for one in distributions for choice in getattr(one, "choices", ())]
        return CategoricalDistribution(list(dict.fromkeys(choices)))
    ends: Mapping[str, Any] = {
        "low": min(one.low for one in distributions),  # type: ignore[attr-defined]
        "high": max(one.high for one in distributions),  # type: ignore[attr-defined]
        "log": first.log,  # type: ignore[attr-defined]
    }
    return IntDistribution(**ends) if isinstance(first, IntDistribution) else FloatDistribution(**ends)
