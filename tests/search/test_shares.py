"""What one trial gets of a machine: a fraction of a GPU and its threads, in a real Ray that is told of a GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.search.studies import ROOT

pytestmark = pytest.mark.slow

# A process of its own, so that Ray's cluster ends with it. The GPU is one in name only: nothing computes on it.
PROGRAM = """
import json, os, sys, time
from pathlib import Path
import ray
from ray import tune
from ray.cluster_utils import Cluster
from search.deaths import Deaths
from search.listed_tasks import ListedTasks
from search.options import Share
from search.ray_tune import run_trials, start_ray
from search.searcher import TaskSearcher
from trainables.ray_trainable import REPORT, TASKS
from trainables.assignment import Task

folder, share = Path(sys.argv[1]), Share(cpus=2, gpus=float(sys.argv[2]))

class Worker(tune.Trainable):
    def reset_config(self, new_config):
        return True

    def step(self):
        task = Task(**self.config[TASKS][0])
        began = time.time()
        time.sleep(8)
        seen = {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")}
        (folder / f"{task.number}.json").write_text(json.dumps({"began": began, "ended": time.time(), **seen}))
        return {REPORT: json.dumps({"name": task.name, "outcome": "trained"}), "done": True}

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 8, "num_gpus": 1})
start_ray(0, cluster.address, share)
deaths = Deaths()
source = ListedTasks([Task(number, {}) for number in range(4)], lambda task, report: None)
run_trials(Worker, TaskSearcher(source, deaths), share, None, str(folder / "ray"), deaths)
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.parametrize(("gpus", "at_once"), [(0.5, 2), (1.0, 1)])
def test_trials_share_a_gpu_by_fractions(tmp_path: Path, gpus: float, at_once: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(gpus)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    trials: list[dict[str, Any]] = [json.loads((tmp_path / f"{number}.json").read_text()) for number in range(4)]
    beside = [sum(one["began"] <= trial["began"] < one["ended"] for one in trials) for trial in trials]
    assert max(beside) == at_once
    assert {trial["CUDA_VISIBLE_DEVICES"] for trial in trials} == {"0"}
    assert {trial["OMP_NUM_THREADS"] for trial in trials} == {"2"}
