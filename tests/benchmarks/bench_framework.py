# ruff: noqa: T201
"""What the framework costs: a no-op trial, footprints, memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

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
from trainables.assignment import Assignment
from trainables.cache import cache_folder
from trainables.cache_shelf import Want, prune
from trainables.ray_trainable import REPORT, TASKS
from trainables.recipe import Request, recipe
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


def footprints(folder: Path) -> None:
    """The check of an architecture never seen before, and of one that was."""
    ours, params = assignment(folder), dict(SPACE.START_POINTS[0])
    footprint_of_untrained(ours, params)
    for state in ("uncached", "of an architecture converted before", "cached"):
        if state != "cached":
            prune(cache_folder(), Want(kinds=("footprint", "template") if state == "uncached" else ("footprint",)))
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
