"""The account of one search over the black box: what was trained, what was refused, what time it would have taken."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

from tests.benchmarks.black_box import Values, Wall, architecture_of, footprint_of_params, values_of

if TYPE_CHECKING:
    from spaces.budget import Footprint
    from spaces.candidate import Scalar

TRAINED_SECONDS = 30.0
NEW_FOOTPRINT_SECONDS = 1.7
KNOWN_FOOTPRINT_SECONDS = 0.001


@dataclass(frozen=True)
class Assignment:
    """What one contender has to do: `trials` trainings behind a wall, of scores as rough as said."""

    wall: Wall
    seed: int
    trials: int
    roughness: float = 0.0


@dataclass(frozen=True)
class Trained:
    """One training: its values, whether it fits, and the assumed seconds since the search began."""

    values: Values
    fits: bool
    at_seconds: float


@final
@dataclass
class Ledger:
    """Counts for one search. Only here does a contender learn a footprint or a score.

    A trained trial, a new footprint and a known one cost the seconds above; what the sampler takes is measured. All of
    it is added up, although footprints run beside the training in a real search.
    """

    assignment: Assignment
    trained: list[Trained] = field(default_factory=list)
    asks: int = 0
    refused: int = 0
    footprints_new: int = 0
    footprints_known: int = 0
    sampler_seconds: float = 0.0
    _seen: set[tuple[Scalar, ...]] = field(default_factory=set)

    @property
    def left(self) -> int:
        """Trainings that may still be had."""
        return self.assignment.trials - len(self.trained)

    @property
    def seconds(self) -> float:
        """Assumed seconds so far."""
        footprints = self.footprints_new * NEW_FOOTPRINT_SECONDS + self.footprints_known * KNOWN_FOOTPRINT_SECONDS
        return len(self.trained) * TRAINED_SECONDS + footprints + self.sampler_seconds

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Charge the processor time that is spent inside to the sampler: other programs would lengthen the wall's."""
        started = time.process_time()
        yield
        self.sampler_seconds += time.process_time() - started

    def footprint(self, params: Mapping[str, Scalar]) -> Footprint:
        """Look a footprint up before any training."""
        architecture = architecture_of(params)
        if architecture in self._seen:
            self.footprints_known += 1
        else:
            self.footprints_new += 1
            self._seen.add(architecture)
        return footprint_of_params(params)

    def overruns(self, params: Mapping[str, Scalar]) -> dict[str, float]:
        """Fraction over each ceiling of a candidate, looked up before any training."""
        return self.assignment.wall.budget.overrun(self.footprint(params))

    def overruns_of_trained(self, params: Mapping[str, Scalar]) -> dict[str, float]:
        """Fraction over each ceiling of a candidate that was trained: known for nothing."""
        return self.assignment.wall.budget.overrun(footprint_of_params(params))

    def train(self, params: Mapping[str, Scalar]) -> Values:
        """The values of a candidate, for the price of a training."""
        values = values_of(params, self.assignment.seed, self.assignment.roughness)
        fits = all(over <= 0 for over in self.overruns_of_trained(params).values())
        self.trained.append(Trained(values, fits, self.seconds + TRAINED_SECONDS))
        return values
