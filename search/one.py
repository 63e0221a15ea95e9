"""A single point of a space, trained without a study."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import torch
from optuna.trial import FixedTrial

from search.folder import open_results
from spaces import recipe_space
from spaces.budget import Footprint
from spaces.narrowed import Narrowing, parameters
from trainables.assignment import candidate_of
from trainables.cache import content_key
from trainables.cache_holds import keep_what_is_used
from trainables.recipe import recipe
from trainables.trial import run_trial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from optuna.distributions import BaseDistribution

    from export.results import Results
    from search.options import Options
    from spaces.candidate import Scalar
    from trainables.assignment import Assignment


def run_one(options: Options, path: Path) -> str:
    """Train the point in `path` and return its metrics as JSON; its folder is named by its parameters.

    `ignored` names parameters of the point that belong to branches it does not take, as a W&B sweep sends them. Where a
    W&B agent started this process, the trial becomes the run that the agent asked for.
    """
    if options.narrowing != Narrowing().fixing(recipe(options.recipe).fixed(options.request)):
        raise ValueError("--one: the point says it all; leave out --set and --range")
    given = read_params(options.recipe, path)
    params = taken(options.recipe, given)
    ignored = sorted(given.keys() - params.keys())
    torch.set_num_threads(options.cpus or 1)
    results = open_results(options.results)
    material = recipe(options.recipe).prepare(options.request)
    keep_what_is_used()
    conditions = (material.data["content_hash"], material.teacher["content_hash"], options.epochs, options.request.seed)
    folder = results.folder / "one" / content_key("one", params, conditions, options.board, options.calibration)
    metrics = _trained(options, results, options.assignment(material, folder), params, ignored)
    return json.dumps({**metrics, **({"ignored": ignored} if ignored else {})}, indent=2)


def _trained(
    options: Options, results: Results, assignment: Assignment, params: Mapping[str, Scalar], ignored: Sequence[str]
) -> dict[str, Any]:
    from search.views import agent_run, under_agent

    if not under_agent():
        return run_trial(assignment, 0, params)
    with agent_run(results) as run:
        metrics = run_trial(assignment, 0, params, run.epochs)
        run.trained(metrics, options.budget.overrun(Footprint(**metrics["footprint"])), ignored)
    return metrics


def read_params(recipe_name: str, path: Path) -> dict[str, Scalar]:
    """Parameters from a JSON object, or from the `params` of a trial's metrics.json; checked against the space.

    Numbers get the types of the space: W&B sends whole numbers as 8.0 at times.
    """
    if not path.is_file():
        raise ValueError(f"--one: {path} does not exist")
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"--one: {path} is not JSON: {error}") from error
    given = content.get("params", content) if isinstance(content, dict) else None
    if not isinstance(given, dict):
        raise ValueError(f"--one: {path} must hold an object of parameters")
    known = parameters(recipe_space(recipe_name))
    params = {name: _inside(path, known, name, value) for name, value in given.items()}
    try:
        candidate_of(recipe_name, params)
    except ValueError as error:
        raise ValueError(f"--one: {path}: {error}") from error
    return params


def taken(recipe_name: str, params: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The parameters that the space asks for at this point, in its order; the others change nothing."""
    trial = FixedTrial(dict(params))
    recipe_space(recipe_name).space(trial)
    return dict(trial.params)


def _inside(path: Path, known: Mapping[str, BaseDistribution], name: str, value: Any) -> Scalar:
    if name not in known:
        raise ValueError(f"--one: {path}: parameter {name!r} is unknown; there are {', '.join(sorted(known))}")
    try:
        internal = known[name].to_internal_repr(value)
        inside = known[name]._contains(internal)
    except (ValueError, TypeError):
        inside = False
    if not inside:
        raise ValueError(f"--one: {path}: {name}={value!r} lies outside the space")
    return cast("Scalar", known[name].to_external_repr(internal))
