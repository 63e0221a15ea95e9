"""A space with some parameters fixed (`--set`) or narrowed (`--range`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast, final

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

    from spaces import RecipeSpace
    from spaces.candidate import Candidate, Scalar

DRAWS = 256


def parameters(recipe_space: RecipeSpace | NarrowedSpace) -> dict[str, BaseDistribution]:
    """Every parameter of a space with its distribution, gathered over random draws since spaces are conditional."""
    # Half a second: of a recipe's own space once.
    return dict(_of_module(recipe_space) if isinstance(recipe_space, ModuleType) else _gathered(recipe_space))


@cache
def _of_module(recipe_space: ModuleType) -> dict[str, BaseDistribution]:
    return _gathered(cast("RecipeSpace", recipe_space))


def _gathered(recipe_space: RecipeSpace | NarrowedSpace) -> dict[str, BaseDistribution]:
    import optuna

    study = optuna.study.create_study(sampler=optuna.samplers.RandomSampler(seed=0), storage=_silent_storage())
    found: dict[str, BaseDistribution] = {}
    for _ in range(DRAWS):
        trial = study.ask()
        recipe_space.space(trial)
        found |= trial.distributions
    return found


def _silent_storage() -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.storages.InMemoryStorage()


@final
@dataclass(frozen=True)
class Narrowing:
    """`fixed` values and (low, high) `ranges` by parameter name."""

    fixed: Mapping[str, Scalar] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def propose(self, recipe_space: RecipeSpace, trial: BaseTrial) -> Candidate:
        """A candidate from the narrowed space; the trial records the plain parameters as ever."""
        return recipe_space.space(cast("BaseTrial", NarrowedTrial(trial, self)))

    def fixing(self, others: Mapping[str, Scalar]) -> Narrowing:
        """With `others` fixed as well; one that is fixed to something else, or has a range, is a `ValueError`."""
        for name, value in others.items():
            if self.fixed.get(name, value) != value:
                raise ValueError(
                    f"--set: {name}={self.fixed[name]} needs another --teacher; with this one, {name} is {value}"
                )
            if name in self.ranges:
                raise ValueError(f"--range: {name} needs another --teacher; with this one, {name} is {value}")
        return Narrowing({**self.fixed, **others}, self.ranges)

    def adjusted(self, point: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """A start point moved into the narrowed space."""
        moved = {
            name: min(max(value, low), high)
            for name, (low, high) in self.ranges.items()
            if not isinstance(value := point.get(name), str | None)
        }
        return {**point, **moved, **{name: value for name, value in self.fixed.items() if name in point}}

    def as_dict(self) -> dict[str, Any]:
        """Plain data for run.json."""
        return {"set": dict(self.fixed), "range": {name: list(ends) for name, ends in self.ranges.items()}}


@final
@dataclass(frozen=True)
class NarrowedSpace:
    """A space as its narrowing leaves it: a `RecipeSpace` in its method `space`, with nothing else of it."""

    whole: RecipeSpace
    narrowing: Narrowing

    def space(self, trial: BaseTrial) -> Candidate:
        """Propose a candidate inside the narrowing, or replay one."""
        return self.narrowing.propose(self.whole, trial)


@final
class NarrowedTrial:
    """An Optuna trial whose suggestions stay inside a narrowing."""

    def __init__(self, trial: BaseTrial, narrowing: Narrowing) -> None:
        self._trial, self._narrowing = trial, narrowing

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """As Optuna's, inside the narrowed ends."""
        low, high = self._ends(name, low, high)
        return self._trial.suggest_float(name, low, high, step=None if low == high else step, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """As Optuna's, inside the narrowed ends."""
        ends = self._ends(name, low, high)
        return self._trial.suggest_int(
            name, int(ends[0]), int(ends[1]), step=1 if ends[0] == ends[1] else step, log=log
        )

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """As Optuna's, or the one fixed choice."""
        fixed = self._narrowing.fixed
        return self._trial.suggest_categorical(name, [fixed[name]] if name in fixed else choices)

    def _ends(self, name: str, low: float, high: float) -> tuple[float, float]:
        fixed = self._narrowing.fixed.get(name)
        return (float(fixed), float(fixed)) if fixed is not None else self._narrowing.ranges.get(name, (low, high))


def parse_narrowing(sets: Sequence[str], ranges: Sequence[str], known: Mapping[str, BaseDistribution]) -> Narrowing:
    """Read `name=value` and `name=low:high`, each checked against the space; bad ones are a `ValueError`."""
    fixed = dict(_parse_set(text, known) for text in sets)
    narrowed = dict(_parse_range(text, known) for text in ranges)
    both = sorted(fixed.keys() & narrowed.keys())
    if both:
        raise ValueError(f"--range: {both[0]} is fixed by --set already")
    return Narrowing(fixed, narrowed)


def _parse_set(text: str, known: Mapping[str, BaseDistribution]) -> tuple[str, Scalar]:
    from optuna.distributions import CategoricalDistribution

    name, written = _split("--set", text, known)
    distribution = known[name]
    if isinstance(distribution, CategoricalDistribution):
        choices = {str(choice): choice for choice in distribution.choices}
        if written not in choices:
            raise ValueError(f"--set: {name}={written} is none of {', '.join(choices)}")
        return name, cast("Scalar", choices[written])
    value = _number("--set", name, written)
    _check_inside("--set", name, value, distribution)
    return name, value


def _parse_range(text: str, known: Mapping[str, BaseDistribution]) -> tuple[str, tuple[float, float]]:
    from optuna.distributions import CategoricalDistribution

    name, written = _split("--range", text, known)
    if isinstance(known[name], CategoricalDistribution):
        raise ValueError(f"--range: {name} is a choice, not a range; fix it with --set")
    low, colon, high = written.partition(":")
    if not colon:
        raise ValueError(f"--range: {text!r} must be name=low:high, as in peak_lr=1e-4:1e-3")
    ends = (_number("--range", name, low), _number("--range", name, high))
    for end in ends:
        _check_inside("--range", name, end, known[name])
    if ends[0] >= ends[1]:
        raise ValueError(f"--range: {name} needs low < high, not {low}:{high}")
    return name, ends


def _split(option: str, text: str, known: Mapping[str, BaseDistribution]) -> tuple[str, str]:
    name, equals, written = text.partition("=")
    if not equals:
        raise ValueError(f"{option}: {text!r} must be name=value")
    if name not in known:
        raise ValueError(f"{option}: parameter {name!r} is unknown; there are {', '.join(sorted(known))}")
    return name, written


def _number(option: str, name: str, written: str) -> float:
    try:
        return float(written)
    except ValueError:
        raise ValueError(f"{option}: {name}={written!r} must be a number") from None


def _check_inside(option: str, name: str, value: float, distribution: Any) -> None:
    if not distribution._contains(value):
        step = f" in steps of {distribution.step}" if getattr(distribution, "step", None) not in (None, 1) else ""
        raise ValueError(f"{option}: {name}={value:g} lies outside {distribution.low:g}-{distribution.high:g}{step}")
