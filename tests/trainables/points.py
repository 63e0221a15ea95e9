"""Recipes on few clips, and points of their spaces that train fast."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution

import spaces
from spaces.board import load_board
from spaces.candidate import Scalar
from spaces.narrowed import Narrowing, parameters
from trainables.assignment import Assignment
from trainables.recipe import Material, Request, recipe

RECIPES = sorted(spaces.recipes())


def choices(distribution: BaseDistribution) -> tuple[Scalar, ...]:
    assert isinstance(distribution, CategoricalDistribution)
    return distribution.choices  # type: ignore[return-value]


@functools.cache
def known_of(name: str) -> Mapping[str, BaseDistribution]:
    return parameters(spaces.recipe_space(name))


def students(name: str) -> list[str]:
    return [str(choice) for choice in choices(known_of(name)["student"])]


# Over 20 s: a hundred operators, or two conversions of many.
SLOW = {"mobilenet_v3", "mixednet"}
CASES = [
    pytest.param(name, student, marks=[pytest.mark.slow] if student in SLOW else [])
    for name in RECIPES
    for student in students(name)
]


def material_of(name: str, speech_folder: Path) -> Material:
    return recipe(name).prepare(Request(data=speech_folder, word=None if name == "speech_emotion" else "up"))


def point(name: str, student: str, seed: int = 0) -> dict[str, Scalar]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    asked = study.ask()
    space, known = spaces.recipe_space(name), known_of(name)
    smallest = {
        "mels": min,
        "hop_ms": max,
        "clip_ms": min,
        "width": min,
        "head": min,
        "mobilenet_v3_multiplier": min,
    }
    small = {key: pick(choices(known[key])) for key, pick in smallest.items() if key in known} | {"student": student}
    # What learns something in a few steps: of a student that says the same of every clip, rounding is all there is.
    learning: dict[str, Scalar] = {
        "alpha": 0.5,
        "temperature": 2.0,
        "peak_lr": 3e-3,
        "schedule": "flat_then_linear",
        "ema_decay": 0.0,
        "label_smoothing": 0.0,
        "mask_share": 0.0,
        "hard_loss": "cross_entropy",
        "qat": False,
    }
    small |= {name: value for name, value in learning.items() if name in known}
    # The widest filter: a narrow one may leave nothing of the few clips here.
    small |= {"negative_below": 0.15} if "negative_below" in known else {}
    Narrowing(small, {"resnet18_width": (4, 8)}).propose(space, asked)
    return asked.params


def assignment_of(name: str, speech_folder: Path, folder: Path, epochs: int = 1) -> Assignment:
    board = load_board(spaces.recipe_space(name).BOARD)
    return Assignment(name, material_of(name, speech_folder), board, epochs, 0, folder)
