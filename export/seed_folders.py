"""Folders of what was trained again, one for each seed: what is wrong with them, and their scores on test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from export.results import folder_fault, read_object

if TYPE_CHECKING:
    from pathlib import Path

    from spaces.candidate import Objective, Scalar


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """Folders that are named by a number, in its order."""
    if not folder.is_dir():
        return []
    return sorted((int(entry.name), entry) for entry in folder.iterdir() if entry.name.isdecimal() and entry.is_dir())


def seed_fault(
    folder: Path, number: int, params: Mapping[str, Scalar], whose: str, objectives: Sequence[Objective]
) -> str:
    """What is wrong with a finished training's folder, which must be of these parameters; empty if nothing is."""
    if not (folder / "metrics.json").is_file():
        return "not finished: metrics.json is missing"
    fault = folder_fault(folder, number)
    if fault:
        return fault
    metrics = read_object(folder / "metrics.json")
    if metrics.get("params") != dict(params):
        return f"its parameters are not those of {whose}"
    values = metrics.get("objectives")
    missing = [o.name for o in objectives if not isinstance(values, dict) or not _is_number(values.get(o.name))]
    return f"objective {missing[0]} is missing or not a number" if missing else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))


def scores_on_test(by_seed: Mapping[int, Mapping[str, Any]]) -> dict[int, float]:
    """The score's twin on test: the figure whose validation value is the score itself, whatever a recipe calls it."""
    records = list(by_seed.values())
    first = records[0].get("test") if records else None
    names = [name for name in first or () if all(_is_score(metrics, name) for metrics in records)]
    return {seed: float(metrics["test"][names[0]]) for seed, metrics in by_seed.items()} if names else {}


def _is_score(metrics: Mapping[str, Any], name: str) -> bool:
    validation, test = metrics.get("validation"), metrics.get("test")
    if not isinstance(validation, dict) or not isinstance(test, dict) or not _is_number(test.get(name)):
        return False
    return name in validation and validation[name] == metrics.get("score_int8")
