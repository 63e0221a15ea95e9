"""What a study asks of its trials, and one of its candidates on its way to a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, final

from optuna.trial import FixedTrial

from spaces import recipe_space
from trainables.recipe import Material

if TYPE_CHECKING:
    from export.calibration import Calibration
    from spaces.board import Board
    from spaces.candidate import Candidate, Scalar


@dataclass(frozen=True)
class Assignment:
    """What every trial of a study has in common.

    `trials` is the folder that holds one folder per trial, `device` a name that torch knows.
    """

    recipe: str
    material: Material
    board: Board
    epochs: int
    seed: int
    trials: Path
    calibration: Calibration | None = None
    device: str = "cpu"


@final
@dataclass(frozen=True)
class Task:
    """One candidate on its way to a worker: its trial number, parameters and costs by objective name.

    `seed`, `epochs` and `trials`, a folder in the results folder, take the place of the assignment's where given.
    """

    number: int
    params: Mapping[str, Scalar]
    costs: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None
    epochs: int | None = None
    trials: str | None = None

    @property
    def name(self) -> str:
        """What tells it from every other task of a run: its folder, as seen from the results folder."""
        return f"{self.trials or 'trials'}/{self.number}"

    def within(self, assignment: Assignment) -> Assignment:
        """The assignment with what this task changes."""
        return replace(
            assignment,
            seed=assignment.seed if self.seed is None else self.seed,
            epochs=self.epochs or assignment.epochs,
            trials=assignment.trials.parent / self.trials if self.trials else assignment.trials,
        )


def candidate_of(recipe_name: str, params: Mapping[str, Scalar]) -> Candidate:
    """Replay plain parameters into the candidate that they stand for."""
    return recipe_space(recipe_name).space(FixedTrial(dict(params)))
