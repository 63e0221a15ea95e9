"""Start points from the fronts of other results folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from export.front import find_front
from export.results import read_study, require_trained
from spaces.knobs import BEFORE
from spaces.narrowed import parameters

if TYPE_CHECKING:
    from pathlib import Path

    from optuna.distributions import BaseDistribution

    from spaces import RecipeSpace
    from spaces.candidate import Scalar


def front_points(folders: Sequence[Path], recipe: str, recipe_space: RecipeSpace) -> list[dict[str, Scalar]]:
    """Parameters of the front's members in each folder, best score first.

    A member that this version's space does not hold is left out. A folder of another recipe, or without a usable
    trial, is a `ValueError`.
    """
    known = parameters(recipe_space) if folders else {}
    before = {name: value for name, value in BEFORE.items() if name in known}
    return [{**before, **point} for folder in folders for point in _points(folder, recipe) if _within(point, known)]


def _points(folder: Path, recipe: str) -> list[dict[str, Scalar]]:
    study = read_study(folder)
    if study.run.recipe != recipe:
        raise ValueError(f"--from: {folder} holds a study of recipe {study.run.recipe}, not {recipe}")
    require_trained(study)
    return [dict(row.params) for row in find_front(study).members]


def _within(point: Mapping[str, Scalar], known: Mapping[str, BaseDistribution]) -> bool:
    return all(name in known and _contains(known[name], value) for name, value in point.items())


def _contains(distribution: BaseDistribution, value: Scalar) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (ValueError, TypeError):
        return False
