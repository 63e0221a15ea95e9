# ruff: noqa: T201
"""A student with and without its teacher over several seeds: INT8 F1 with intervals.

`python -m tests.benchmarks.bench_distillation [--data DIR --task T --word W] [--seeds 5] [--epochs 20]`
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import spaces
from spaces.board import load_board
from spaces.candidate import Scalar
from trainables.metrics import interval
from trainables.recipe import Request, recipe
from trainables.trial import Assignment, run_trial

SPACE = spaces.recipe_space("wakeword")
PRESET = dict(SPACE.START_POINTS[0])
SMALL: dict[str, Scalar] = {
    **{key: value for key, value in PRESET.items() if not key.startswith("tiny_conv")},
    "student": "ds_cnn",
    "hop_ms": 20,
    "ds_cnn_width": 32,
    "ds_cnn_depth": 3,
    "ds_cnn_second_stride": 1,
    "peak_lr": 3e-3,
}
STUDENTS = {"TinyConv preset": PRESET, "DS-CNN 32x3": SMALL}
TEACHINGS: dict[str, dict[str, Scalar]] = {
    "labels only (alpha 1)": {"alpha": 1.0},
    "T 4, alpha 0.3 (preset)": {"temperature": 4.0, "alpha": 0.3},
    "T 2, alpha 0.5": {"temperature": 2.0, "alpha": 0.5},
}


def main() -> None:
    """Train every student under every teaching with every seed; print means, intervals and paired differences."""
    given = arguments()
    torch.set_num_threads(1)
    request = Request(data=given.data, task=given.task, word=given.word)
    material = recipe("wakeword").prepare(request)
    facts = material.data
    print(f"{facts['name']}: {facts['clips']}; teacher F1 {material.teacher['test']['f1']:.3f} on test", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        base = Assignment("wakeword", material, load_board(SPACE.BOARD), given.epochs, 0, Path(folder))
        for name, student in STUDENTS.items():
            compare(name, student, base, given.seeds)


def compare(name: str, student: dict[str, Scalar], base: Assignment, seeds: int) -> None:
    """One student: the same seeds under each teaching, so that differences are paired."""
    scores = {}
    for teaching, change in TEACHINGS.items():
        runs = [run_trial(replace(base, seed=seed), seed, {**student, **change}) for seed in range(seeds)]
        for part in ("validation", "test"):
            scores[teaching, part] = np.array([run[part]["f1"] for run in runs])
        line = "  ".join(f"{part} {shown(scores[teaching, part])}" for part in ("validation", "test"))
        print(f"{name:<16} {teaching:<24} {line}", flush=True)
    for teaching in list(TEACHINGS)[1:]:
        gain = scores[teaching, "test"] - scores["labels only (alpha 1)", "test"]
        print(f"{name:<16} {teaching:<24} test gain over labels only {shown(gain)}", flush=True)


def shown(values: np.ndarray) -> str:
    """Mean and 95 % interval."""
    mean, low, high = interval(values)
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--task")
    parser.add_argument("--word")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=SPACE.EPOCHS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
