"""A search on a cluster of three nodes, of which one is lost, each with a cache of its own."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from optuna.trial import TrialState

from search.study import outcome
from spaces.wakeword import PATIENCE
from tests.search.studies import ROOT, command, study_of

pytestmark = pytest.mark.slow

# So many that the first workers are still at it when the last node's has started.
TRIALS = 14

# A process of its own, so that Ray's cluster ends with it.
PROGRAM = """
import json, shutil, subprocess, sys, time
from pathlib import Path
from ray.cluster_utils import Cluster

place, data, *search = sys.argv[1:]
place, data = Path(place), Path(data)

def node(number):
    return {"num_cpus": 1, "env_vars": {"POTSTILL_CACHE": str(place / f"cache-{number}")}}

cluster = Cluster(initialize_head=True, head_node_args=node(0))
others = [cluster.add_node(**node(number)) for number in (1, 2)]
cluster.wait_for_nodes()
process = subprocess.Popen([*search, "--address", cluster.address], stdout=subprocess.PIPE, text=True)
said = []
for line in process.stdout:
    said.append(line)
    if line.startswith("teacher:"):
        break
# From here on nobody can read a recording: what the nodes need has to reach them.
shutil.rmtree(data)
trials = place / "results" / "trials"
until = time.time() + 300
while len(list(trials.glob("*/checkpoint.pt"))) < 3:
    assert process.poll() is None and time.time() < until, said
    time.sleep(0.1)
begun = sorted(int(path.parent.name) for path in trials.glob("*/checkpoint.pt"))
for number in begun:
    shutil.copy(trials / str(number) / "checkpoint.pt", place / f"kept-{number}.pt")
cluster.remove_node(others[0], allow_graceful=False)
said += process.stdout.readlines()
code = process.wait()
cluster.shutdown()
print(json.dumps({"code": code, "begun": begun, "said": "".join(said)}))
"""


def test_a_lost_node_costs_no_trial(tmp_path: Path, speech_folder: Path) -> None:
    data = tmp_path / "recordings"
    subprocess.run(["cp", "-r", str(speech_folder), str(data)], check=True)
    search = command(data, tmp_path / "results", TRIALS, "--epochs", "60", "--cpus-per-trial", "1")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(data), *search],
        cwd=ROOT,
        env={**os.environ, "POTSTILL_CACHE": str(tmp_path / "cache-driver"), "RAY_DISABLE_MEMORY_MONITOR": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    ended = json.loads(done.stdout.splitlines()[-1])
    assert ended["code"] == 0, ended["said"][-3000:]
    study = study_of(tmp_path / "results")
    # What is over budget is refused, and costs no trial either.
    trained = [trial for trial in study.trials if outcome(trial) != "refused"]
    assert [outcome(trial) for trial in trained] == ["trained"] * TRIALS
    assert all(trial.state == TrialState.COMPLETE for trial in trained)
    for trial in trained:
        folder = tmp_path / "results" / "trials" / str(trial.number)
        with (folder / "history.csv").open() as file:
            epochs = [int(row["epoch"]) for row in csv.DictReader(file)]
        assert epochs == list(range(len(epochs)))
        best = json.loads((folder / "metrics.json").read_text())["best_epoch"]
        assert len(epochs) in (60, best + 1 + PATIENCE)
    assert len(ended["begun"]) == 3
    for number in ended["begun"]:
        # No two epochs take the same time: these were not trained again.
        kept = torch.load(tmp_path / f"kept-{number}.pt", weights_only=True)["progress"]["history"]
        with (tmp_path / "results" / "trials" / str(number) / "history.csv").open() as file:
            seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
        assert seconds[: len(kept)] == [row["seconds"] for row in kept]
    for number in (0, 1, 2):
        assert list((tmp_path / f"cache-{number}" / "arrays").glob("audio-*.array")), "each node has its own copy"
    assert not list((tmp_path / "cache-1").rglob("*.tmp"))
