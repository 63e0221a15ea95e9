"""Workers that are really killed, by a signal and for want of memory, in a real Ray."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent

# A process of its own, because Ray reads its memory settings once per process.
PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path
import numpy as np
import ray
from ray import tune
from search.deaths import Deaths
from search.listed_tasks import ListedTasks
from search.options import Share
from search.ray_tune import run_trials, start_ray
from search.searcher import TaskSearcher
from trainables.ray_trainable import REPORT, TASKS
from trainables.assignment import Task

folder = Path(sys.argv[1])

class Worker(tune.Trainable):
    def reset_config(self, new_config):
        return True

    def step(self):
        task = Task(**self.config[TASKS][0])
        with (folder / f"began-{task.number}").open("a") as file:
            file.write(f"{time.time()}\\n")
        if "hungry" in task.params:
            eaten = []
            while len(eaten) < 64:
                eaten.append(np.ones(32 << 20, np.uint8))
                time.sleep(0.05)
        if "dies" in task.params and len((folder / f"began-{task.number}").read_text().split()) <= task.params["dies"]:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.5)
        (folder / f"ended-{task.number}").write_text(str(time.time()))
        return {REPORT: json.dumps({"name": task.name, "outcome": "trained"}), "done": True}

told = []
tasks = [Task(number, params) for number, params in enumerate(json.loads(sys.argv[2]))]

def hear(task, report):
    told.append([task.number, report["outcome"], report.get("reason", "")])

source = ListedTasks(tasks, hear)
start_ray(2, None)
deaths = Deaths()
run_trials(Worker, TaskSearcher(source, deaths), Share(), 2, str(folder / "ray"), deaths)
ray.shutdown()
print(json.dumps(told))
"""


def told(folder: Path, tasks: list[dict[str, Any]], **environment: str) -> list[list[Any]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), json.dumps(tasks)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    result: list[list[Any]] = json.loads(done.stdout.splitlines()[-1])
    return sorted(result)


def began(folder: Path, number: int) -> list[float]:
    return [float(line) for line in (folder / f"began-{number}").read_text().split()]


def test_a_killed_worker_s_task_is_repeated_once_with_nothing_beside_it(tmp_path: Path) -> None:
    ends = told(tmp_path, [{}, {"dies": 1}, {}, {"dies": 9}, {}])
    assert [end[:2] for end in ends] == [
        [0, "trained"],
        [1, "trained"],
        [2, "trained"],
        [3, "failed"],
        [4, "trained"],
    ]
    assert "killed" in ends[3][2]
    assert "again with nothing beside it" in ends[3][2]
    assert [len(began(tmp_path, number)) for number in range(5)] == [1, 2, 1, 2, 1]
    second, until = began(tmp_path, 1)[1], float((tmp_path / "ended-1").read_text())
    others = [(began(tmp_path, n)[0], float((tmp_path / f"ended-{n}").read_text())) for n in (0, 2, 4)]
    assert all(end < second or start > until for start, end in others)


def memory() -> dict[str, int]:
    lines = [line.split() for line in Path("/proc/meminfo").read_text().splitlines()]
    return {line[0].rstrip(":"): int(line[1]) << 10 for line in lines}


def test_a_worker_out_of_memory_is_repeated_once_and_then_failed_with_the_reason(tmp_path: Path) -> None:
    now = memory()
    total = now["MemTotal"]
    threshold = (total - now["MemAvailable"] + (1_800 << 20)) / total
    if threshold > 0.9:
        pytest.skip("this machine's memory is taken up already")
    limits = {"RAY_memory_usage_threshold": f"{threshold:.4f}", "RAY_memory_monitor_refresh_ms": "100"}
    ends = told(tmp_path, [{}, {"hungry": 1}, {}], **limits)
    assert [end[:2] for end in ends] == [[0, "trained"], [1, "failed"], [2, "trained"]]
    assert ends[1][2].startswith("the worker process was killed: out of memory")
    assert len(began(tmp_path, 1)) == 2
