"""What a search would do, worked out without training a trial."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
import torch

from search.teacher_progress import said
from spaces import recipe_space
from trainables.assignment import Assignment
from trainables.recipe import Material, recipe
from trainables.trial import run_trial
from trainables.untrained import footprint_of_untrained

if TYPE_CHECKING:
    from search.options import Options
    from spaces.budget import Footprint
    from spaces.candidate import Scalar

POINTS = 32
TIMED_EPOCHS = 2

Surveyed = tuple[dict[str, "Scalar"], "Footprint"]


def survey(options: Options, say: Callable[[str], None]) -> None:
    """Say the space's share that fits, its extremes, an estimated time, and a check list of data and teacher."""
    with said(say):
        material = recipe(options.recipe).prepare(options.request)
    _say_check_list(options.recipe, material, say)
    with tempfile.TemporaryDirectory() as folder:
        assignment = options.assignment(material, Path(folder))
        say(f"footprints of {POINTS} random candidates on {options.board.name}")
        points = _random_points(options, assignment)
        _say_space(options, points, say)
        _say_time(options, assignment, points, say)


def _say_check_list(name: str, material: Material, say: Callable[[str], None]) -> None:
    data, teacher = material.data, material.teacher
    say("\n".join(recipe(name).summary(material)))
    for split, labels in data["clips"].items():
        counts = ", ".join(f"{count} {label}" for label, count in labels.items())
        say(f"          {split:<11}{counts}; {data['speakers'][split]} speakers")
    say(f"          {len(data['skipped'])} files skipped")
    for split in ("validation", "test"):
        figures = ", ".join(f"{figure} {value:.3f}" for figure, value in teacher[split].items())
        say(f"teacher   {split:<11}{figures}")
    for warning in material.warnings:
        say(f"warning   {warning}")


def _random_points(options: Options, assignment: Assignment) -> list[Surveyed]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=options.request.seed))
    points = []
    for _ in range(POINTS):
        trial = study.ask()
        options.narrowing.propose(recipe_space(options.recipe), trial)
        points.append((trial.params, footprint_of_untrained(assignment, trial.params)))
    return points


def _say_space(options: Options, points: list[Surveyed], say: Callable[[str], None]) -> None:
    names = sorted({name for params, _ in points for name in params})
    say(f"space     {len(names)} parameters: {', '.join(names)}")
    fitting = [footprint for _, footprint in points if options.budget.fits(footprint)]
    say(f"budget    {options.budget}: {len(fitting)} of {len(points)} candidates fit")
    for name in options.budget.as_dict():
        over = sum(options.budget.overrun(footprint)[name] > 0 for _, footprint in points)
        say(f"          {over} over {name}")
    for axis in ("flash_bytes", "arena_bytes", "decision_ms"):
        ordered = sorted((footprint for _, footprint in points), key=lambda footprint: getattr(footprint, axis))
        say(f"smallest  by {axis:<12}{_line(ordered[0])}")
        say(f"largest   by {axis:<12}{_line(ordered[-1])}")


def _say_time(options: Options, assignment: Assignment, points: list[Surveyed], say: Callable[[str], None]) -> None:
    fitting = [params for params, footprint in points if options.budget.fits(footprint)]
    if not fitting:
        say("time      unknown: nothing fits")
        return
    torch.set_num_threads(1)
    seconds = [_trial_seconds(assignment, number, params) for number, params in enumerate(fitting[:3])]
    side_by_side = options.cpus or (torch.multiprocessing.cpu_count() if not options.address else 1)
    total = sum(seconds) / len(seconds) * options.trials / side_by_side
    size = f"{options.trials} trials of {options.epochs} epochs, {side_by_side} at a time"
    say(f"time      about {total / 60:.1f} minutes for {size}")


def _trial_seconds(assignment: Assignment, number: int, params: dict[str, Scalar]) -> float:
    started = time.perf_counter()
    report = run_trial(replace(assignment, epochs=TIMED_EPOCHS), number, params)
    per_epoch = report["seconds"]["training"] / TIMED_EPOCHS
    elapsed = time.perf_counter() - started - float(report["seconds"]["features"])
    return elapsed + float(per_epoch) * (assignment.epochs - TIMED_EPOCHS)


def _line(footprint: Footprint) -> str:
    return f"flash {footprint.flash_bytes} B, arena {footprint.arena_bytes} B, decision {footprint.decision_ms:.1f} ms"
