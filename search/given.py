"""What the options of a command line stand for."""

from __future__ import annotations

import argparse
import os
import shlex
from typing import TYPE_CHECKING

from spaces.board import load_board
from spaces.budget import parse_budget
from spaces.narrowed import parameters, parse_narrowing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from export.calibration import Calibration
    from search.options import Options
    from spaces import RecipeSpace
    from spaces.narrowed import Narrowing
    from trainables.recipe import Request

LEAST = {
    "trials": 1,
    "epochs": 1,
    "seed": 0,
    "cpus": 0,
    "batch": 1,
    "confirm": 0,
    "seeds": 1,
    "cpus-per-trial": 0.05,
    "gpus-per-trial": 0,
}
# What a recipe does not do whose space lacks a parameter.
WITHOUT = {"view_share": "hears no clip in noise", "alignment_weight": "aligns no student"}


def options_of(name: str, space: RecipeSpace, given: argparse.Namespace, arguments: Sequence[str]) -> Options:
    """The options as given; a value that cannot be is a `ValueError` that names its option."""
    from search.options import Options, Share
    from trainables.recipe import recipe

    _check_least(given)
    known = parameters(space)
    narrowing = parse_narrowing(given.set, given.range, known)
    absent = {
        parameter: _absence(parameter, space, given, narrowing) if parameter in known else f"{name} {without}"
        for parameter, without in WITHOUT.items()
    }
    request = _request(given, absent, space.TEACHER)
    return Options(
        recipe=name,
        results=given.results,
        trials=given.trials,
        epochs=given.epochs,
        board=load_board(given.board),
        budget=parse_budget(given.budget, space.BUDGET, given.latency_margin),
        calibration=_calibration(given),
        request=request,
        narrowing=narrowing.fixing(recipe(name).fixed(request)),
        cpus=given.cpus,
        address=given.address or os.environ.get("RAY_ADDRESS"),
        share=Share(given.cpus_per_trial, given.gpus_per_trial),
        sampler=given.sampler,
        stop=given.stop,
        batch=given.batch,
        population=given.population,
        seconds=given.time_budget,
        warm_starts=tuple(given.warm_starts),
        wandb=given.wandb,
        confirm=given.confirm,
        final=given.final,
        ablation=given.ablation,
        seeds=given.seeds,
        command="python -m search " + shlex.join(arguments),
    )


def _check_least(given: argparse.Namespace) -> None:
    for option, least in LEAST.items():
        value = getattr(given, option.replace("-", "_"))
        if value < least:
            raise ValueError(f"--{option}: must be at least {least}, not {value}")


def _request(given: argparse.Namespace, absent: Mapping[str, str], teacher: str) -> Request:
    """The request as given; `absent` says why no candidate has a parameter above 0, or nothing where one may."""
    from trainables.recipe import Request

    no_views, unaligned = absent["view_share"], absent["alignment_weight"]
    if (given.noise or given.rooms) and no_views:
        raise ValueError(f"--noise, --rooms: {no_views}; leave them out")
    if given.teacher_layers is not None and unaligned:
        raise ValueError(f"--teacher-layers: {unaligned}; leave it out")
    for option, folder in (("--noise", given.noise), ("--rooms", given.rooms)):
        if folder and not folder.is_dir():
            raise ValueError(f"{option}: {folder} is {'no folder' if folder.exists() else 'not there'}")
    return Request(
        data=given.data,
        word=given.word,
        task=given.task,
        split=given.split,
        teacher=given.teacher or teacher,
        seed=given.seed,
        private=given.private,
        train_on=given.train_on,
        streams=given.streams,
        max_false_alarms_per_hour=given.max_false_alarms_per_hour,
        noise=given.noise,
        rooms=given.rooms,
        views=not no_views,
        aligned=not unaligned,
        teacher_layers=given.teacher_layers,
    )


def _absence(parameter: str, space: RecipeSpace, given: argparse.Namespace, narrowing: Narrowing) -> str:
    """Why no candidate of the study has the parameter, which the space has, above 0; empty where one may."""
    if given.ablation:
        found = any(setting.params.get(parameter) for setting in space.ABLATION)
        return "" if found else f"{parameter} is 0 in all of the ablation"
    return f"{parameter} is fixed to 0" if narrowing.fixed.get(parameter) == 0 else ""


def _calibration(given: argparse.Namespace) -> Calibration | None:
    if given.calibration is None:
        return None
    from export.calibration import load_calibration

    calibration = load_calibration(given.calibration)
    calibration.check(load_board(given.board))
    return calibration
