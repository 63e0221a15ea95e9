"""A single point of a space, trained without a study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from search.run import open_results
from spaces import recipe_space
from spaces.narrowed import Narrowing, parameters
from trainables.cache import content_key
from trainables.recipe import recipe
from trainables.trial import candidate_of, run_trial

if TYPE_CHECKING:
    from pathlib import Path

    from search.run import Options
    from spaces.candidate import Scalar


def run_one(options: Options, path: Path) -> str:
    """Train the point in `path` and return its metrics as JSON; its folder is named by its parameters."""
    if options.narrowing != Narrowing():
        raise ValueError("--one: the point says it all; leave out --set and --range")
    params = read_params(options.recipe, path)
    torch.set_num_threads(options.cpus or 1)
    results = open_results(options.results)
    material = recipe(options.recipe).prepare(options.request)
    conditions = (material.data["content_hash"], material.teacher["content_hash"], options.epochs, options.request.seed)
    folder = results.folder / "one" / content_key("one", params, conditions, options.board, options.calibration)
    return json.dumps(run_trial(options.assignment(material, folder), 0, params), indent=2)


def read_params(recipe_name: str, path: Path) -> dict[str, Scalar]:
    """Parameters from a JSON object, or from the `params` of a trial's metrics.json; checked against the space."""
    if not path.is_file():
        raise ValueError(f"--one: {path} does not exist")
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"--one: {path} is not JSON: {error}") from error
    params = content.get("params", content) if isinstance(content, dict) else None
    if not isinstance(params, dict):
        raise ValueError(f"--one: {path} must hold an object of parameters")
    _check(recipe_name, path, params)
    return params


def _check(recipe_name: str, path: Path, params: Mapping[str, Any]) -> None:
    known = parameters(recipe_space(recipe_name))
    for name, value in params.items():
        if name not in known:
            raise ValueError(f"--one: {path}: parameter {name!r} is unknown; there are {', '.join(sorted(known))}")
        try:
            inside = known[name]._contains(known[name].to_internal_repr(value))
        except (ValueError, TypeError):
            inside = False
        if not inside:
            raise ValueError(f"--one: {path}: {name}={value!r} lies outside the space")
    try:
        candidate_of(recipe_name, params)
    except ValueError as error:
        raise ValueError(f"--one: {path}: {error}") from error
