"""What may vary in each recipe, and what it must fit; imports nothing heavier than Optuna's trial types."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna.trial import BaseTrial

    from spaces.ablation import Setting
    from spaces.budget import Budget
    from spaces.candidate import Candidate, Objective, Scalar


class RecipeSpace(Protocol):
    """What the module `spaces/<recipe>.py` defines."""

    SUMMARY: str
    OBJECTIVES: Sequence[Objective]
    BUDGET: Budget
    BOARD: str
    TEACHER: str
    EPOCHS: int
    SOURCE_EPOCHS: int
    START_POINTS: Sequence[Mapping[str, Scalar]]
    LABELS_ALONE: Mapping[str, Scalar]
    ABLATION: Sequence[Setting]
    ABLATION_FIGURES: Sequence[str]

    def space(self, trial: BaseTrial) -> Candidate:
        """Propose a candidate, or replay one from a `FixedTrial` or `FrozenTrial`."""
        ...


def recipes() -> dict[str, RecipeSpace]:
    """Every recipe by name: the modules of this folder that define `space`."""
    modules = {m.name: importlib.import_module(f"spaces.{m.name}") for m in pkgutil.iter_modules(__path__)}
    return {name: cast("RecipeSpace", module) for name, module in modules.items() if hasattr(module, "space")}


def recipe_space(name: str) -> RecipeSpace:
    """The space of one recipe; an unknown name is a `ValueError` that lists those there are."""
    known = recipes()
    if name not in known:
        raise ValueError(f"recipe: {name!r} is unknown; there are {', '.join(sorted(known))}")
    return known[name]
