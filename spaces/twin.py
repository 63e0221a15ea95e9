"""The twin of a candidate that learns from labels alone, by its parameters."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from spaces import recipe_space

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spaces.candidate import Scalar

# Alone it changes nothing: a candidate that differs in it only is its own twin.
WITHOUT_EFFECT = {"temperature"}


def labels_alone(recipe: str, params: Mapping[str, Scalar]) -> dict[str, Scalar] | None:
    """The parameters of the twin: those of `LABELS_ALONE` that the candidate has, in place of its own.

    Candidates that differ in nothing else share one. None for one that learns from labels alone itself, and where the
    recipe's `LABELS_ALONE` is empty: its space has no such point.
    """
    alone = {name: value for name, value in recipe_space(recipe).LABELS_ALONE.items() if name in params}
    taught = [name for name, value in alone.items() if name not in WITHOUT_EFFECT and params[name] != value]
    return {**params, **alone} if taught else None


def learns_alone(recipe: str, params: Mapping[str, Scalar]) -> bool:
    """Whether a candidate has no teacher; False where the recipe's space has no such point."""
    return bool(recipe_space(recipe).LABELS_ALONE) and labels_alone(recipe, params) is None


def twin_folder(twin: Mapping[str, Scalar]) -> str:
    """A name for a folder, one for each twin."""
    return hashlib.sha256(json.dumps(dict(twin), sort_keys=True).encode()).hexdigest()[:12]
