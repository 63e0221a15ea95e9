# ruff: noqa: T201
"""Which front end? F1 of INT8 wake-word students on log-mels and on TFLM's own features, trained alike.

`POTSTILL_WORDS=DIR python -m tests.benchmarks.bench_front_ends --word jarvis [--task wakeword] [--seeds 3]
[--epochs 20] [--results DIR]`

Both front ends give 40 features every 10 ms. A training that lies in DIR already is not repeated.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student_t

import spaces
from spaces.board import load_board
from spaces.candidate import Scalar
from trainables.assignment import Assignment
from trainables.recipe import Material, Request, recipe
from trainables.trial import run_trial

SPACE = spaces.recipe_space("wakeword")
# A corpus of a few hundred words gives too few steps to average weights over a thousand of them.
LEARNING: Mapping[str, Scalar] = {
    **{name: value for name, value in SPACE.START_POINTS[0].items() if not name.startswith("tiny_conv")},
    "ema_decay": 0.0,
    "peak_lr": 3e-3,
}
STUDENTS: Mapping[str, Mapping[str, Scalar]] = {
    "DS-CNN 32 x 3": {"student": "ds_cnn", "ds_cnn_width": 32, "ds_cnn_depth": 3, "ds_cnn_second_stride": 1},
    "MixedNet 32 x 4": {"student": "mixednet", "mixednet_width": 32, "mixednet_depth": 4, "mixednet_stride": 3},
}
FRONT_ENDS = ("log_mel", "micro")
FIGURES: Mapping[str, Callable[[Mapping[str, Any]], float]] = {
    "validation F1": lambda metrics: metrics["score_int8"],
    "test F1": lambda metrics: metrics["test"]["f1"],
    "decision ms": lambda metrics: metrics["footprint"]["decision_ms"],
}


def main() -> None:
    """Train every student on every front end with every seed; print means, intervals and paired gains."""
    given = arguments()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        kept = given.results or Path(scratch)
        for row in table(measured(given, kept)):
            print(row)


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--word", required=True)
    parser.add_argument("--task")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--results", type=Path)
    return parser.parse_args()


def measured(given: argparse.Namespace, kept: Path) -> Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]:
    """Metrics by student and front end, of every seed."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for seed in range(given.seeds):
        request = Request(Path(os.environ["POTSTILL_WORDS"]), given.word, given.task, seed=seed)
        material = recipe("wakeword").prepare(request)
        for name, student in STUDENTS.items():
            for front_end in FRONT_ENDS:
                params = {**LEARNING, **student, "front_end": front_end}
                metrics = trained(material, params, given.epochs, seed, kept / f"{student['student']}-{front_end}")
                print(f"seed {seed} {name}, {front_end}: {shown(metrics)}", flush=True)
                found.setdefault((name, front_end), []).append(metrics)
    return found


def trained(
    material: Material, params: Mapping[str, Scalar], epochs: int, seed: int, trials: Path
) -> Mapping[str, Any]:
    """What a trial's metrics.json says."""
    path = trials / str(seed) / "metrics.json"
    if not path.is_file():
        run_trial(Assignment("wakeword", material, load_board(SPACE.BOARD), epochs, seed, trials), seed, params)
    metrics: Mapping[str, Any] = json.loads(path.read_text())
    return metrics


def shown(metrics: Mapping[str, Any]) -> str:
    """Figures by name."""
    return ", ".join(f"{name} {of(metrics):.3f}" for name, of in FIGURES.items())


def table(found: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    """For each student and figure its means with intervals, and the paired gain of the second front end."""
    for name in STUDENTS:
        for figure, of in FIGURES.items():
            values = [np.array([of(metrics) for metrics in found[name, kind]]) for kind in FRONT_ENDS]
            means = "  ".join(f"{kind} {interval(own)}" for kind, own in zip(FRONT_ENDS, values, strict=True))
            yield f"{name:<16} {figure:<14} {means}  gain {interval(values[1] - values[0], '+.3f')}"


def interval(values: NDArray[np.float64], shape: str = ".3f") -> str:
    """A mean and its 95 % interval by Student's t."""
    mean, half = float(np.mean(values)), math.nan
    if len(values) > 1:
        half = float(student_t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
    return f"{mean:{shape}} [{mean - half:{shape}}, {mean + half:{shape}}]"


if __name__ == "__main__":
    main()
