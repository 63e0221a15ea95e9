# ruff: noqa: T201
"""What the framework costs: a no-op trial, a real trial beside the same loop run bare, footprints, memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from ray import tune

import spaces
from search.ray_tune import start_ray, tuner_for
from search.searcher import OptunaSearcher
from search.study import open_study
from spaces.board import load_board
from spaces.budget import Budget, Footprint
from spaces.candidate import Scalar
from spaces.narrowed import Narrowing
from trainables.cache import cache_folder
from trainables.distil import BATCH, GRADIENT_CLIP, WEIGHT_DECAY
from trainables.losses import distillation_loss
from trainables.ray_trainable import REPORT
from trainables.recipe import Request, recipe
from trainables.schedules import learning_rate
from trainables.students import build_student
from trainables.trial import Assignment, candidate_of, footprint_of_untrained, run_trial

NO_OPS = 100
EPOCHS = 5
SPACE = spaces.recipe_space("wakeword")


@final
class KnownFootprint:
    """A footprint that costs nothing to find."""

    def start(self, params: Mapping[str, Scalar]) -> Callable[[], Footprint]:
        """Give the same small footprint to every candidate."""
        return lambda: Footprint(1, 1, 1, 1.0, 1.0, 1.0, 1.0, 1.0, "", "", "")


@final
class NoOp(tune.Trainable):
    """A trial that reports at once."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Be reused."""
        return True

    def step(self) -> dict[str, Any]:
        """Report constant objectives."""
        objectives = {"score": 0.5, "decision_ms": 1.0, "arena_bytes": 1.0}
        report = {"outcome": "trained", "objectives": objectives, "footprint": {}, "score_int8": 0.5}
        return {REPORT: json.dumps({**report, "score_float": 0.5, "test": {}}), "done": True}


def main() -> None:
    """Print every figure; torch runs on one thread, as in a trial."""
    if sys.argv[1:] == ["--memory"]:
        print_memory_of_one_trial()
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        no_op_trials(Path(folder))
        real_trial(Path(folder))
        footprints(Path(folder))
    subprocess.run([sys.executable, "-m", "tests.benchmarks.bench_framework", "--memory"], check=True)


def assignment(folder: Path) -> Assignment:
    """The embedded default, as `make demo` uses it."""
    material = recipe("wakeword").prepare(Request())
    return Assignment("wakeword", material, load_board(SPACE.BOARD), EPOCHS, 0, folder / "trials")


def no_op_trials(folder: Path) -> None:
    """Seconds per trial that does nothing, through Optuna, our searcher and Ray."""
    from export.results import Results

    results = Results(folder / "no_op")
    results.folder.mkdir()
    study = open_study(results, "wakeword", SPACE, Narrowing(), 0)
    searcher = OptunaSearcher(study, SPACE, Narrowing(), Budget(), KnownFootprint(), results.folder, NO_OPS)
    started = time.perf_counter()
    start_ray(2, None)
    up = time.perf_counter()
    tuner_for(NoOp, searcher, NO_OPS, 2, results.folder, []).fit()
    done = time.perf_counter()
    print(f"Ray up: {up - started:.1f} s; no-op trial: {(done - up) / NO_OPS:.3f} s over {NO_OPS} (goal 0.2)")


def real_trial(folder: Path) -> None:
    """One trial of the first start point, and the same steps in a bare loop over tensors in RAM."""
    ours, params = assignment(folder), dict(SPACE.START_POINTS[0])
    run_trial(ours, 0, params)
    bare, wholes = [], []
    for number in range(1, 4):
        bare.append(bare_seconds(ours, params))
        started = time.perf_counter()
        report = run_trial(ours, number, params)
        wholes.append(time.perf_counter() - started)
    steps, whole = min(bare), min(wholes)
    print(
        f"{EPOCHS} epochs: bare loop {steps:.2f} s, loop in a trial {report['seconds']['training']:.2f} s (validates)"
    )
    print(f"whole trial {whole:.2f} s, so {whole - steps:.2f} s beyond the bare loop (best of 3, side by side)")


def bare_seconds(ours: Assignment, params: Mapping[str, Scalar]) -> float:
    """The same epochs, batches, loss and optimizer without validation, checkpoints, conversion or files."""
    candidate = candidate_of("wakeword", params)
    data = recipe("wakeword").training_set(ours.material, candidate)
    features, target, teacher = (
        torch.from_numpy(np.array(part)) for part in (data.features, data.target, data.teacher)
    )
    torch.manual_seed(0)
    network = build_student(candidate.student, candidate.front_end, 2)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY, fused=True)
    started = time.perf_counter()
    for epoch in range(EPOCHS):
        rows = torch.from_numpy(data.epoch_rows(candidate.data_mix, 0, epoch))
        batches = rows.split(BATCH)
        for step, batch in enumerate(batches):
            rate = learning_rate(candidate.schedule, (epoch + step / len(batches)) / EPOCHS)
            optimizer.param_groups[0]["lr"] = rate
            outputs = network(features[batch].unsqueeze(1))
            loss = distillation_loss(outputs, teacher[batch], target[batch], candidate.distillation)
            optimizer.zero_grad()
            loss.total.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_CLIP)
            optimizer.step()
    return time.perf_counter() - started


def footprints(folder: Path) -> None:
    """The check of an architecture never seen before, and of one that was."""
    ours, params = assignment(folder), dict(SPACE.START_POINTS[0])
    footprint_of_untrained(ours, params)
    shutil.rmtree(cache_folder() / "footprints")
    for state in ("uncached", "cached"):
        started = time.perf_counter()
        footprint_of_untrained(ours, params)
        print(f"footprint {state}: {time.perf_counter() - started:.4f} s")


def print_memory_of_one_trial() -> None:
    """Peak resident memory of a process that runs one trial and nothing else."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        ours = assignment(Path(folder))
        before = peak_mib()
        run_trial(ours, 0, dict(SPACE.START_POINTS[0]))
    print(f"peak memory of a process with one trial: {peak_mib():.0f} MiB ({before:.0f} MiB before the trial)")


def peak_mib() -> float:
    """Highest resident memory of this process; `ru_maxrss` would begin with the parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
