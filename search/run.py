"""A search from its options to a front: prepared, run on Ray, resumable."""

from __future__ import annotations

import json
import os
import platform
import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.footprint import PROFILER_VERSION
from export.results import Results, read_object, write_atomically
from spaces import recipe_space
from spaces.narrowed import Narrowing
from trainables.recipe import Material, Request, recipe
from trainables.trial import Assignment

if TYPE_CHECKING:
    import optuna

    from export.calibration import Calibration
    from spaces.board import Board
    from spaces.budget import Budget

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
    "board",
    "budget",
    "latency_margin",
    "calibration",
    "profiler_version",
    "epochs",
    "seed",
    "narrowing",
)


@dataclass(frozen=True)
class Options:
    """What one `python -m search RECIPE` was asked for. `cpus` bounds the trials that run side by side."""

    recipe: str
    results: Path
    trials: int
    epochs: int
    board: Board
    budget: Budget
    request: Request
    narrowing: Narrowing = field(default_factory=Narrowing)
    calibration: Calibration | None = None
    cpus: int = 0
    address: str | None = None
    command: str = ""

    def assignment(self, material: Material, trials: Path) -> Assignment:
        """What every trial needs, with one folder per trial under `trials`."""
        seed = self.request.seed
        return Assignment(self.recipe, material, self.board, self.epochs, seed, trials, self.calibration)


@dataclass(frozen=True)
class Ended:
    """How a search ended: whether all trials are there, how many were trained, why the first failed one did."""

    complete: bool
    trained: int
    first_failure: str | None


def search(options: Options, say: Callable[[str], None]) -> Ended:
    """Run or resume a study until `options.trials` trials count, or an interrupt.

    Raises `ValueError` for anything the user can mend, before any training where it can be known.
    """
    from filelock import FileLock, Timeout

    results = open_results(options.results)
    try:
        with FileLock(results.folder / ".lock", timeout=0):
            return _search(options, results, say)
    except Timeout:
        raise ValueError(f"--results: another search is writing to {results.folder}") from None


def open_results(folder: Path) -> Results:
    """The results folder, made if need be and proven writable."""
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ and not folder.is_absolute():
        raise ValueError(
            f"--results: {folder} is relative, and a Ray job's folder is thrown away: give an absolute path"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise ValueError(f"--results: {folder} cannot be written: {error.strerror}") from error
    return Results(folder.resolve())


def _search(options: Options, results: Results, say: Callable[[str], None]) -> Ended:
    previous = _previous_run(results)
    if previous.get("recipe", options.recipe) != options.recipe:
        raise ValueError(
            f"--results: {results.folder} holds a study of recipe {previous['recipe']}, not {options.recipe}"
        )
    say(f"preparing {options.recipe}: corpus, teacher")
    material = recipe(options.recipe).prepare(options.request)
    for warning in material.warnings:
        say(f"warning: {warning}")
    run = describe(options, material)
    refuse_other_run(previous, run, results.folder)
    write_atomically(results.folder / "run.json", json.dumps(run, indent=2))
    say(_summary(material))
    return _tune(options, results, material, say)


def _previous_run(results: Results) -> dict[str, Any]:
    if results.run_json.is_file():
        return read_object(results.run_json)
    others = [entry.name for entry in results.folder.iterdir() if entry.name not in {"one", ".lock"}]
    if others:
        raise ValueError(f"--results: {results.folder} holds {others[0]} and no run.json: it is no results folder")
    return {}


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
        "trials": options.trials,
        "seed": options.request.seed,
        "seeds": {"data": options.request.seed, "training": options.request.seed, "sampler": options.request.seed},
        "narrowing": options.narrowing.as_dict(),
        "data": dict(material.data),
        "teacher": dict(material.teacher),
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


def _summary(material: Material) -> str:
    data, teacher = material.data, material.teacher
    counts = ", ".join(f"{split} {sum(labels.values())}" for split, labels in data["clips"].items())
    return (
        f"data: {data['name']}, {counts} clips, word {data['word']!r}, split {data['split']}\n"
        f"teacher: {teacher['name']}, F1 {teacher['validation']['f1']:.3f} on validation"
    )


def _tune(options: Options, results: Results, material: Material, say: Callable[[str], None]) -> Ended:
    import ray

    from search.ray_tune import start_ray
    from search.study import counted, open_study

    space = recipe_space(options.recipe)
    study = open_study(results, options.recipe, space, options.narrowing, options.request.seed)
    missing = options.trials - counted(study)
    if missing <= 0:
        say(f"{results.folder} holds {counted(study)} finished trials already")
        return _ended(study, options.trials)
    assignment = options.assignment(material, results.folder / "trials")
    start_ray(options.cpus, options.address)
    # After Ray's start, which puts a handler of its own there: a job is stopped by SIGTERM and ends as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        _fit(options, results, study, assignment, missing, say)
    except KeyboardInterrupt:
        say("interrupted")
    finally:
        ray.shutdown()
    return _ended(study, options.trials)


def _ended(study: optuna.Study, trials: int) -> Ended:
    from search.study import counted, outcome

    told = study.get_trials(deepcopy=False)
    reasons = [str(trial.user_attrs.get("reason")) for trial in told if outcome(trial) == "failed"]
    trained = sum(outcome(trial) == "trained" for trial in told)
    return Ended(counted(study) >= trials, trained, reasons[0] if reasons else None)


def _fit(
    options: Options,
    results: Results,
    study: optuna.Study,
    assignment: Assignment,
    missing: int,
    say: Callable[[str], None],
) -> None:
    import ray
    from ray import tune

    from export.front import ceiling_of
    from search.progress import Progress
    from search.ray_tune import tuner_for
    from search.searcher import FootprintWorker, NothingFitsError, OptunaSearcher
    from trainables.ray_trainable import TrialActor

    cpus = options.cpus or int(ray.cluster_resources().get("CPU", 1))
    searcher = OptunaSearcher(
        study,
        recipe_space(options.recipe),
        options.narrowing,
        options.budget,
        FootprintWorker(assignment),
        assignment.trials,
        missing,
    )
    objectives = recipe_space(options.recipe).OBJECTIVES
    ceilings = [ceiling_of(objective.name, options.budget.as_dict()) for objective in objectives]
    progress = Progress(study, options.trials, ceilings)
    actor = tune.with_parameters(TrialActor, assignment=assignment, threads=1)
    tuner = tuner_for(actor, searcher, missing, cpus, results.folder, [progress])
    with progress.shown():
        tuner.fit()
    stopped = searcher.stopped_by
    if isinstance(stopped, NothingFitsError) and not _ended(study, options.trials).trained:
        raise stopped
    if stopped is not None:
        say(f"stopped: {stopped}")
