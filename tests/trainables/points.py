"""Recipes on few clips, and points of their spaces that train fast."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import optuna
import pytest
import soundfile
from optuna.distributions import BaseDistribution, CategoricalDistribution

import spaces
from spaces.board import load_board
from spaces.candidate import Scalar
from spaces.narrowed import Narrowing, parameters
from trainables.assignment import Assignment
from trainables.recipe import Material, Request, recipe
from trainables.teachers import enhancer, value_teacher
from trainables.teachers.value_training import FROM_NOTHING

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
SLOW = {"mobilenet_v3", "mixednet", "mobile_vit", "cruse"}
CASES = [
    pytest.param(name, student, marks=[pytest.mark.slow] if student in SLOW else [])
    for name in RECIPES
    for student in students(name)
]


def material_of(name: str, speech_folder: Path) -> Material:
    if name == "speech_enhancement":
        slight = {"width": 4, "depth": 5, "top": 12, "groups": 2, "slope": 0.2}
        with patch.dict(enhancer.TRAINED, {enhancer.NAME: (slight, 2)}):
            return recipe(name).prepare(Request(data=noisy_folder(speech_folder), teacher=enhancer.NAME))
    word = None if name in ("speech_emotion", "valence_arousal") else "up"
    data = rated_folder(speech_folder) if name == "valence_arousal" else speech_folder
    hurried = (replace(FROM_NOTHING[0], epochs=2),)
    with patch.object(value_teacher, "FROM_NOTHING", hurried):
        return recipe(name).prepare(Request(data=data, word=word, teacher=spaces.recipe_space(name).TEACHER))


def rated_folder(speech_folder: Path) -> Path:
    """A clip of each word by each voice, as pleasant as its word and as lively as its voice is high."""
    folder = speech_folder.with_name(f"{speech_folder.name}-rated")
    if not folder.exists():
        folder.mkdir()
        for clip in speech_folder.glob("*/*.wav"):
            shutil.copyfile(clip, folder / f"{clip.parent.name}-{clip.name}")
        rows = [
            f"{word}-voice{voice:02d}_nohash_{take}.wav,{valence},{voice / 5.5 - 1:.3f},voice{voice}"
            for word, valence in (("up", 0.8), ("down", -0.8), ("hat", 0.1))
            for voice in range(12)
            for take in range(3)
        ]
        (folder / "manifest.csv").write_text("\n".join(["path,valence,arousal,group", *rows]))
    return folder


def noisy_folder(speech_folder: Path) -> Path:
    """A folder beside that of the words: what ten of their speakers say at once, and noises of four colours."""
    folder = speech_folder.parent / "speech-and-noise"
    if folder.is_dir():
        return folder
    for place, kind in enumerate(("white", "grey", "dull", "dark")):
        (folder / "noise" / kind).mkdir(parents=True)
        for take in range(3):
            noise = np.random.default_rng([place, take]).standard_normal(64_000)
            for _ in range(2 * place):
                noise = np.convolve(noise, [0.5, 0.5], "same")
            soundfile.write(folder / "noise" / kind / f"{take}.wav", 0.1 * noise, 16_000)
    (folder / "clean").mkdir()
    for speaker in range(10):
        words = [soundfile.read(path)[0] for path in sorted(speech_folder.glob(f"*/voice{speaker:02d}_nohash_*.wav"))]
        for take in range(2):
            said = np.concatenate(words[take :: len(words) // 3])[:48_000]
            soundfile.write(folder / "clean" / f"reader_{speaker:05d}_{take}.wav", said, 16_000)
    return folder


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
        "synthetic_clips": min,
        "cruse_groups": min,
    }
    smallest |= {"dim": min, "depth": min, "patch_frames": max} if student == "mobile_vit" else {}
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
    small |= {"front_end": "log_mel"} if name == "wakeword" else {}
    # A class token has to learn to look before it hears anything.
    small |= {"pool": "mean"} if student == "mobile_vit" else {}
    # The widest filter: a narrow one may leave nothing of the few clips here.
    small |= {"negative_below": 0.15} if "negative_below" in known else {}
    # One step of the two, so that a few epochs of labels are left.
    small |= {"distillation": "one_step", "maps": "bottleneck"} if "maps" in known else {}
    narrow: dict[str, tuple[float, float]] = {"resnet18_width": (4, 8), "cruse_width": (3, 4), "cruse_top": (8, 12)}
    Narrowing(small, {name: ends for name, ends in narrow.items() if name in known}).propose(space, asked)
    return asked.params


def assignment_of(name: str, speech_folder: Path, folder: Path, epochs: int = 1) -> Assignment:
    board = load_board(spaces.recipe_space(name).BOARD)
    return Assignment(name, material_of(name, speech_folder), board, epochs, 0, folder)
