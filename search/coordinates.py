"""Parameters of an Optuna space as points of a unit cube: drawn, moved, encoded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Floats = NDArray[np.float64]
Params = Mapping[str, Any]
Number = FloatDistribution | IntDistribution

STEP = 0.15
# Two choices are then as far apart as the ends of a range.
CHOSEN = math.sqrt(0.5)
ABSENT = 0.5


@final
class DrawingTrial:
    """A trial outside any study, which keeps given parameters and draws the others."""

    def __init__(self, given: Params, distributions: Mapping[str, BaseDistribution], rng: np.random.Generator) -> None:
        self._given, self._distributions, self._rng = given, distributions, rng
        self.params: dict[str, Any] = {}

    def _suggest(self, name: str, *_: Any, **__: Any) -> Any:
        given = self._given.get(name)
        self.params[name] = drawn_from(self._distributions[name], self._rng) if given is None else given
        return self.params[name]

    suggest_categorical = suggest_float = suggest_int = _suggest


def drawn_from(distribution: BaseDistribution, rng: np.random.Generator) -> Any:
    """A value, evenly over the distribution's own scale."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[rng.integers(len(distribution.choices))]
    return from_unit(_number(distribution), rng.random())


def moved(distribution: BaseDistribution, value: Any, rng: np.random.Generator) -> Any:
    """A value near by, or any choice."""
    if isinstance(distribution, CategoricalDistribution):
        return drawn_from(distribution, rng)
    return from_unit(_number(distribution), to_unit(_number(distribution), value) + rng.normal(0, STEP))


def to_unit(distribution: Number, value: float) -> float:
    """Place on the distribution's own scale, 0-1."""
    low, high = _ends(distribution)
    return ((math.log(value) if distribution.log else value) - low) / (high - low) if high > low else ABSENT


def from_unit(distribution: Number, place: float) -> Any:
    """The distribution's value at a place, the nearest on its grid and within its ends."""
    low, high = _ends(distribution)
    value = low + place * (high - low)
    value = math.exp(value) if distribution.log else value
    if distribution.step:
        value = distribution.low + round((value - distribution.low) / distribution.step) * distribution.step
    value = min(max(value, distribution.low), distribution.high)
    return int(value) if isinstance(distribution, IntDistribution) else float(value)


def _number(distribution: BaseDistribution) -> Number:
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return distribution


def _ends(distribution: Number) -> tuple[float, float]:
    ends = float(distribution.low), float(distribution.high)
    return (math.log(ends[0]), math.log(ends[1])) if distribution.log else ends


@final
class Encoding:
    """Coordinates of parameters: numbers on their scale, one for each choice, the middle for what is absent."""

    def __init__(self, distributions: Mapping[str, BaseDistribution]) -> None:
        self._columns: list[tuple[str, Callable[[Any], float]]] = []
        for name, distribution in distributions.items():
            if isinstance(distribution, CategoricalDistribution):
                self._columns += [(name, _is(choice)) for choice in distribution.choices]
            else:
                self._columns.append((name, _placed(_number(distribution))))

    def of(self, several: Sequence[Params]) -> Floats:
        """Rows of coordinates."""
        rows = [[of(params[name]) if name in params else ABSENT for name, of in self._columns] for params in several]
        return np.array(rows, np.float64).reshape(len(several), len(self._columns))

    def columns_of(self, names: frozenset[str]) -> NDArray[np.bool_]:
        """Which columns belong to the named parameters."""
        return np.array([name in names for name, _ in self._columns])


def _is(choice: Any) -> Callable[[Any], float]:
    return lambda value: CHOSEN * (value == choice)


def _placed(distribution: Number) -> Callable[[Any], float]:
    return lambda value: to_unit(distribution, value)
