# ruff: noqa: T201
"""Baby-cry students on five rotated folds: the AUC of all test recordings together, its interval over sources.

`POTSTILL_SOUNDS=DIR POTSTILL_YAMNET=FILE python -m tests.benchmarks.bench_cry [--task sound_event] [--epochs 30]
[--params metrics.json]`

DIR is ESC-10 or ESC-50 with its folds. Each fold is once for test, the next for validation. Clips are named
`<fold>-<source>-<take>`, and those of one source are drawn together.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

import spaces
from export.tflite import Int8Model
from spaces.board import load_board
from spaces.candidate import Scalar
from trainables.assignment import Assignment, candidate_of
from trainables.recipe import Material, Request, recipe
from trainables.recipes.baby_cry import cry_probability, teacher_probability
from trainables.trial import run_trial

SPACE = spaces.recipe_space("baby_cry")
FOLDS = 5
RESAMPLES = 2000
STUDENTS: dict[str, Mapping[str, Scalar]] = {
    "published, 521 outputs": SPACE.START_POINTS[0],
    "published, 2 outputs": SPACE.START_POINTS[1],
    "2 outputs, labels only (alpha 1)": {**SPACE.START_POINTS[1], "alpha": 1.0},
}


@dataclass(frozen=True)
class Heard:
    """One test recording: where it is from, whether it holds a cry, its highest score and whether it fired."""

    source: str
    cries: bool
    score: float
    fired: bool


def main() -> None:
    """Train every student on every rotation; print the figures of its pooled test recordings."""
    given = arguments()
    torch.set_num_threads(1)
    students = dict(STUDENTS)
    if given.params:
        students[str(given.params)] = json.loads(given.params.read_text())["params"]
    heard: dict[str, list[Heard]] = defaultdict(list)
    for fold in range(FOLDS):
        request = Request(data=sounds(), task=given.task, teacher=f"yamnet:{os.environ['POTSTILL_YAMNET']}", seed=fold)
        material = recipe("baby_cry").prepare(request)
        heard["teacher"] += list(by_recording(material, *taught(material)))
        for name, params in students.items():
            heard[name] += list(by_recording(material, *learnt(material, params, given.epochs, fold)))
            print(f"fold {fold + 1} {name}: AUC {auc(heard[name]):.3f} so far", flush=True)
    print(f"{'model':<36}{'AUC':>7}  95 % interval    recall    FPR")
    for name, recordings in heard.items():
        print(row(name, recordings))


def sounds() -> Path:
    """The data folder that the environment names."""
    return Path(os.environ["POTSTILL_SOUNDS"])


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--params", type=Path, help="metrics.json of a trial, to be trained beside the others")
    return parser.parse_args()


def taught(material: Material) -> tuple[NDArray[np.float32], float]:
    """The teacher's scores of the test windows and its threshold."""
    rows = material.corpus.indices("test")
    return teacher_probability(material.teacher_logits[rows]), material.teacher["validation"]["threshold"]


def learnt(
    material: Material, params: Mapping[str, Scalar], epochs: int, seed: int
) -> tuple[NDArray[np.float32], float]:
    """The INT8 student's scores of the test windows and the threshold that validation chose."""
    with tempfile.TemporaryDirectory() as folder:
        assignment = Assignment("baby_cry", material, load_board(SPACE.BOARD), epochs, seed, Path(folder))
        metrics = run_trial(assignment, 0, params)
        model = Int8Model((Path(folder) / "0" / "student.int8.tflite").read_bytes())
    data = recipe("baby_cry").training_set(material, candidate_of("baby_cry", params))
    features = np.ascontiguousarray(data.features[material.corpus.indices("test")])
    return cry_probability(model.outputs(features)), metrics["validation"]["threshold"]


def by_recording(material: Material, scores: NDArray[np.float32], threshold: float) -> Iterator[Heard]:
    """The windows' scores, each recording's highest."""
    highest: dict[Path, tuple[float, bool]] = {}
    for clip_row, score in zip(material.corpus.indices("test"), scores, strict=True):
        clip = material.corpus.clips[clip_row]
        before = highest.get(clip.path, (-1.0, False))[0]
        highest[clip.path] = (max(before, float(score)), clip.label == material.corpus.labels[1])
    for path, (score, cries) in highest.items():
        yield Heard(path.stem.split("-")[1], cries, score, score >= threshold)


def auc(recordings: list[Heard]) -> float:
    """Area under the ROC."""
    return float(roc_auc_score([each.cries for each in recordings], [each.score for each in recordings]))


def interval(recordings: list[Heard]) -> tuple[float, float]:
    """The middle 95 % of the AUC over resampled sources, cries and others apart."""
    sources: dict[tuple[bool, str], list[Heard]] = defaultdict(list)
    for each in recordings:
        sources[each.cries, each.source].append(each)
    kinds = [[group for (cries, _), group in sources.items() if cries is kind] for kind in (True, False)]
    rng = np.random.default_rng(0)
    found = []
    for _ in range(RESAMPLES):
        drawn = [kind[i] for kind in kinds for i in rng.integers(len(kind), size=len(kind))]
        found.append(auc([each for group in drawn for each in group]))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def row(name: str, recordings: list[Heard]) -> str:
    """One line of the table."""
    low, high = interval(recordings)
    recall, alarms = (np.mean([each.fired for each in recordings if each.cries is kind]) for kind in (True, False))
    return f"{name[-34:]:<36}{auc(recordings):>7.3f}  {low:.3f}-{high:.3f}{recall:>13.3f}{alarms:>7.3f}"


if __name__ == "__main__":
    main()
