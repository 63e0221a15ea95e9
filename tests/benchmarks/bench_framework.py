# ruff: noqa: T201
"""What the framework costs: a no-op trial, a real trial beside the same loop run bare, footprints, memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import ray
import torch
from ray import tune

import spaces
from export.results import Results
from search.deaths import Deaths
from search.footprints import KnownFootprint
from search.options import Share
from search.optuna_tasks import OptunaTasks
from search.ray_tune import run_trials, start_ray
from search.searcher import TaskSearcher
from search.study import open_study
from spaces.board import load_board
from spaces.budget import Budget, Footprint
from spaces.candidate import Scalar
from spaces.narrowed import Narrowing
from trainables.assignment import Assignment, candidate_of
from trainables.cache import cache_folder
from trainables.learner import GRADIENT_CLIP
from trainables.losses import distillation_loss
from trainables.ray_trainable import REPORT, TASKS
from trainables.recipe import Request, recipe
from trainables.schedules import learning_rate
from trainables.students import build_student
from trainables.training_set import Dealer
from trainables.trial import run_trial
from trainables.untrained import footprint_of_untrained

EPOCHS = 5
SPACE = spaces.recipe_space("wakeword")
SMALL = Footprint(1, 1, 1, 1.0, 1.0, 1.0, 1.0, 1.0, "", "", "")


@final
class NoFootprints:
    """Footprints that cost nothing to find: the same small one for every candidate."""

    ahead = 2

    def start(self, params: Mapping[str, Scalar]) -> KnownFootprint:
        """Give it."""
        return KnownFootprint(SMALL)


@final
class NoOp(tune.Trainable):
    """A trial that reports at once."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Be reused."""
        return True

    def step(self) -> dict[str, Any]:
        """Report objectives that differ, so that there is a front."""
        number = self.config[TASKS][0]["number"]
        objectives = {
            "score": 0.5 + number % 7 / 20,
            "decision_ms": 1.0 + number % 11,
            "arena_bytes": 1.0 + number % 13,
        }
        report = {"name": f"trials/{number}", "outcome": "trained", "objectives": objectives}
        return {
            REPORT: json.dumps(
                {**report, "footprint": SMALL.as_dict(), "score_int8": 0.5, "score_float": 0.5, "test": {}}
            ),
            "done": True,
        }


def main() -> None:
    """Print every figure; torch runs on one thread, as in a trial."""
    if sys.argv[1:] == ["--no-op"]:
        with tempfile.TemporaryDirectory() as folder:
            no_op_trials(Path(folder), 100, 0.2)
            no_op_trials(Path(folder), 1000, 0.25)
        return
    if sys.argv[1:] == ["--memory"]:
        print_memory_of_one_trial()
        return
    torch.set_num_threads(1)
    subprocess.run([sys.executable, "-m", "tests.benchmarks.bench_framework", "--no-op"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        real_trial(Path(folder))
        footprints(Path(folder))
    subprocess.run([sys.executable, "-m", "tests.benchmarks.bench_framework", "--memory"], check=True)


def assignment(folder: Path) -> Assignment:
    """The embedded default, as `make demo` uses it."""
    material = recipe("wakeword").prepare(Request())
    return Assignment("wakeword", material, load_board(SPACE.BOARD), EPOCHS, 0, folder / "trials")


def no_op_trials(folder: Path, trials: int, goal: float) -> None:
    """Seconds per trial that does nothing, through Optuna, our searcher and Ray; and those of taking the study up."""
    results = Results(folder / f"no_op_{trials}")
    results.folder.mkdir()
    started = time.perf_counter()
    start_ray(2, None)
    up = time.perf_counter()
    study = open_study(results, "wakeword", SPACE, Narrowing(), SPACE.BUDGET, 0)
    source = OptunaTasks(study, SPACE, Narrowing(), Budget(), NoFootprints(), results.trials, trials)
    deaths = Deaths()
    before = peak_mib()
    run_trials(NoOp, TaskSearcher(source, deaths), Share(), 2, str(results.folder), deaths)
    done = time.perf_counter()
    ray.shutdown()
    print(f"Ray up: {up - started:.1f} s; no-op trial: {(done - up) / trials:.3f} s over {trials} (goal {goal})")
    print(f"the study of {trials}: {done - up:.0f} s; driver's peak memory {before:.0f}, then {peak_mib():.0f} MiB")
    started = time.perf_counter()
    again = open_study(results, "wakeword", SPACE, Narrowing(), SPACE.BUDGET, 0)
    OptunaTasks(again, SPACE, Narrowing(), Budget(), NoFootprints(), results.trials, 1).next(wait=True)
    print(f"taking it up, to the next trial handed out: {time.perf_counter() - started:.2f} s")


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
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=candidate.schedule.weight_decay, fused=True)
    dealer = Dealer(np.full(len(data.target), np.nan, np.float32))
    started = time.perf_counter()
    for epoch in range(EPOCHS):
        rows = torch.from_numpy(dealer.epoch_rows(data, candidate.data_mix, 0, epoch))
        batches = rows.split(candidate.schedule.batch)
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
