# ruff: noqa: T201
"""Do views help? F1 of INT8 wake-word students on clean and on noisy test clips, with and without them.

`POTSTILL_WORDS=DIR POTSTILL_TEST_NOISE=DIR [POTSTILL_NOISE=DIR] python -m tests.benchmarks.bench_clip_views
--word jarvis [--task wakeword] [--seeds 3] [--epochs 20]`

Test clips are heard in noise and rooms that no training clip was heard in; clean validation clips give the threshold.
`reused` is a student that is told of a view what the teacher says of the clean clip.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student_t

import spaces
from export.tflite import Int8Model
from spaces.board import load_board
from spaces.candidate import Scalar
from trainables.assignment import Assignment, candidate_of
from trainables.corpora.audio import load_audio
from trainables.corpora.disturbances import Disturbances, open_disturbances
from trainables.corpora.views import Rule, disturbed
from trainables.features import log_mel
from trainables.metrics import detection
from trainables.recipe import Material, Request, recipe
from trainables.trial import run_trial

SPACE = spaces.recipe_space("wakeword")
# A corpus of a few hundred words gives too few steps to average weights over a thousand of them.
SHORT = {"ema_decay": 0.0}
STUDENTS: dict[str, Mapping[str, Scalar]] = {
    "TinyConv preset": {**SPACE.START_POINTS[0], **SHORT},
    "DS-CNN 32 x 3": {**SPACE.ABLATION[4].params, **SHORT},
}
COPIES = 4
SAMPLES = 16_000
HARD = Rule(snr_db=(0.0, 10.0))

Clips = Mapping[str, NDArray[np.float32]]
Scores = dict[tuple[str, str], dict[str, list[float]]]


def main() -> None:
    """Train every student in every way with every seed; print means, intervals and paired differences."""
    given = arguments()
    torch.set_num_threads(1)
    scores: Scores = defaultdict(lambda: defaultdict(list))
    for seed in range(given.seeds):
        material = prepared(given, seed)
        clips = test_clips(material, seed)
        for name, params in STUDENTS.items():
            for way, told, share in ways(material):
                figures = learnt(told, {**params, "view_share": share}, clips, given.epochs, seed)
                for where, f1 in figures.items():
                    scores[name, where][way].append(f1)
                print(f"seed {seed} {name}, {way}: {shown(figures)}", flush=True)
    for row in table(scores):
        print(row)


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--word", required=True)
    parser.add_argument("--task")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    return parser.parse_args()


def prepared(given: argparse.Namespace, seed: int) -> Material:
    """Corpus, teacher and views."""
    noise = os.environ.get("POTSTILL_NOISE")
    data = Path(os.environ["POTSTILL_WORDS"])
    request = Request(data, given.word, given.task, seed=seed, noise=Path(noise) if noise else None)
    return recipe("wakeword").prepare(request)


def ways(material: Material) -> Iterator[tuple[str, Material, Scalar]]:
    """What is compared: name, material and view_share."""
    assert material.views is not None
    clean = material.teacher_logits[material.corpus.indices("train")]
    reused = replace(material.views, logits=np.stack([clean] * len(material.views.clips)))
    yield "no views", material, 0
    yield "views", material, 0.5
    yield "views, reused", replace(material, views=reused), 0.5


def test_clips(material: Material, seed: int) -> Clips:
    """The test clips as they are, and several copies of each in noise and rooms of their own."""
    corpus = material.corpus
    nobody = corpus.indices("train")[:0]
    folder = Path(os.environ["POTSTILL_TEST_NOISE"])
    around = open_disturbances(corpus, SAMPLES, seed + 1000, nobody, nobody, noise_dir=folder)
    clean = np.divide(load_audio(corpus, SAMPLES)[corpus.indices("test")], 32768, dtype=np.float32)
    return {
        "clean": clean,
        "5-20 dB": copies(clean, around, Rule(), seed),
        "0-10 dB": copies(clean, around, HARD, seed),
    }


def copies(clean: NDArray[np.float32], around: Disturbances, rule: Rule, seed: int) -> NDArray[np.float32]:
    """Each clip `COPIES` times, in order."""
    random = np.random.default_rng([seed, 77])
    return np.stack([disturbed(clip, around, rule, random) for _ in range(COPIES) for clip in clean])


def learnt(material: Material, params: Mapping[str, Scalar], clips: Clips, epochs: int, seed: int) -> dict[str, float]:
    """F1 of the INT8 student at the threshold of the validation split."""
    with tempfile.TemporaryDirectory() as folder:
        assignment = Assignment("wakeword", material, load_board(SPACE.BOARD), epochs, seed, Path(folder))
        threshold = run_trial(assignment, 0, params)["validation"]["threshold"]
        model = Int8Model((Path(folder) / "0" / "student.int8.tflite").read_bytes())
    front_end = candidate_of("wakeword", params).front_end
    target = material.corpus.targets()[material.corpus.indices("test")] == 1
    found = {}
    for where, audio in clips.items():
        outputs = model.outputs(log_mel(torch.from_numpy(audio), front_end).numpy())
        margin = outputs[:, 1] - outputs[:, 0]
        found[where] = detection(np.tile(target, len(audio) // len(target)), margin, threshold).f1
    return found


def shown(figures: Mapping[str, float]) -> str:
    """F1 by place."""
    return ", ".join(f"{where} {f1:.3f}" for where, f1 in figures.items())


def table(scores: Scores) -> Iterator[str]:
    """A row for each student and place: every way's mean, and its paired difference from no views with its interval."""
    for (name, where), ways_ in scores.items():
        none = np.array(ways_["no views"])
        for way, values in ways_.items():
            gain = np.array(values) - none
            less = "" if way == "no views" else f"  gain {gain.mean():+.3f} +- {half_interval(gain):.3f}"
            own = np.array(values) - np.array(ways_["views"])
            against = f"  from own outputs {own.mean():+.3f} +- {half_interval(own):.3f}" if "reused" in way else ""
            mean = f"{np.mean(values):.3f} +- {half_interval(values):.3f}"
            yield f"{name:<18}{where:<9}{way:<15}{mean}{less}{against}"


def half_interval(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Half of the 95 % interval of the mean, by Student's t."""
    return float(student_t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))


if __name__ == "__main__":
    main()
