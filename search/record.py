"""run.json: what was searched, on which data, with which versions, and what a resumed search must share with it."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any

from export.footprint import PROFILER_VERSION
from export.results import read_object
from spaces import recipe_space

if TYPE_CHECKING:
    from pathlib import Path

    from export.results import Results
    from search.options import Options
    from trainables.recipe import Material

SCHEMA = 1
VERSIONED = (
    "ray",
    "optuna",
    "torch",
    "torchaudio",
    "transformers",
    "litert-torch",
    "ai-edge-quantizer",
    "ai-edge-litert",
    "tflite-micro",
    "numpy",
)
MUST_MATCH = (
    "recipe",
    "data",
    "teacher",
    "views",
    "teacher_layers",
    "board",
    "budget",
    "latency_margin",
    "calibration",
    "profiler_version",
    "epochs",
    "max_false_alarms_per_hour",
    "seed",
    "narrowing",
)
# What a folder may hold before its first run.json.
BEFORE = {"one", ".lock", ".owner", "wandb"}


def previous_run(results: Results) -> dict[str, Any]:
    """run.json of an earlier search in the folder, if there was one; a `ValueError` where it holds something else."""
    if results.run_json.is_file():
        return read_object(results.run_json)
    others = [entry.name for entry in results.folder.iterdir() if entry.name not in BEFORE and entry.suffix != ".tmp"]
    if others:
        raise ValueError(f"--results: {results.folder} holds {others[0]} and no run.json: it is no results folder")
    return {}


def refuse_other_recipe(previous: dict[str, Any], recipe: str, folder: Path) -> None:
    """A `ValueError` where the folder holds another recipe's study."""
    if previous.get("recipe", recipe) != recipe:
        raise ValueError(f"--results: {folder} holds a study of recipe {previous['recipe']}, not {recipe}")


def describe(options: Options, material: Material) -> dict[str, Any]:
    """The content of run.json: what would have to be the same to get the same study."""
    space = recipe_space(options.recipe)
    return {
        "schema": SCHEMA,
        "recipe": options.recipe,
        "command": options.command,
        "objectives": [[objective.name, objective.direction] for objective in space.OBJECTIVES],
        "board": asdict(options.board),
        "budget": options.budget.as_dict(),
        "latency_margin": options.budget.latency_margin,
        "profiler_version": PROFILER_VERSION,
        "calibration": asdict(options.calibration) if options.calibration else None,
        "epochs": options.epochs,
        "max_false_alarms_per_hour": options.request.max_false_alarms_per_hour,
        "trials": options.trials,
        "sampler": options.sampler,
        "stop": options.stop,
        "batch": options.batch,
        "seed": options.request.seed,
        "seeds": {"data": options.request.seed, "training": options.request.seed, "sampler": options.request.seed},
        "narrowing": options.narrowing.as_dict(),
        "data": dict(material.data),
        "teacher": dict(material.teacher),
        "views": material.views.facts if material.views else None,
        "teacher_layers": list(material.teacher_layers.layers) if material.teacher_layers else None,
        "warnings": list(material.warnings),
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in VERSIONED}},
    }


def refuse_other_run(previous: dict[str, Any], run: dict[str, Any], folder: Path) -> None:
    """Resuming under other conditions would mix two studies: a `ValueError` that names what changed."""
    if not previous:
        return
    changed = [key for key in MUST_MATCH if _identity(previous.get(key)) != _identity(run[key])]
    if changed:
        raise ValueError(
            f"--results: {folder} was searched with another {' and '.join(changed)}: "
            + "; ".join(f"{key} was {_shown(previous.get(key))}, is {_shown(run[key])}" for key in changed)
        )


def _identity(value: Any) -> Any:
    hashed = value.get("content_hash") if isinstance(value, dict) else None
    return hashed or json.loads(json.dumps(value))


def _shown(value: Any) -> str:
    if isinstance(value, dict) and "content_hash" in value:
        return f"{value.get('name')} ({value['content_hash'][:8]})"
    return json.dumps(value)
