"""Searches submitted to a Ray head as the README says: finished, refused, stopped and resumed."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState

from search.study import outcome
from tests.search.studies import ROOT, command, study_of

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """A Ray head on loopback with token authentication, and nothing else of Ray's touched."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(secrets.token_hex(16))
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
    }
    port, dashboard = free_port(), free_port()
    arguments = ["ray", "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=2"]
    # Its own, because the agents of all clusters on a machine would share one port, and only the first answers jobs.
    arguments += [f"--dashboard-agent-listen-port={free_port()}"]
    arguments += ["--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"]
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    where = f"http://127.0.0.1:{dashboard}"
    until = time.monotonic() + 240
    while (first := submitted(where, environment, ["true"])).returncode:
        assert time.monotonic() < until, first.stderr[-2000:]
        time.sleep(1)
    yield where, environment
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)


def submitted(
    address: str, environment: dict[str, str], entry: list[str], *more: str
) -> subprocess.CompletedProcess[str]:
    bundle = ["--working-dir", ".", "--runtime-env", "search/job_environment.yaml"]
    arguments = ["ray", "job", "submit", "--address", address, *bundle, *more, "--", *entry]
    return subprocess.run(
        arguments, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400, check=False
    )


def entry(data: Path, results: Path | str, trials: int, *more: str) -> list[str]:
    return ["python", *command(data, results, trials, *more)[1:]]


def test_a_job_finishes_and_its_log_follows(
    tmp_path: Path, speech_folder: Path, head: tuple[str, dict[str, str]]
) -> None:
    done = submitted(*head, entry(speech_folder, tmp_path / "results", 1))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert json.loads((tmp_path / "results" / "front.json").read_text())["members"]
    assert re.search(r"^trial +0  score", done.stdout, re.MULTILINE)
    assert "front: 1 trials" in done.stdout


def test_relative_results_are_refused_in_a_job(head: tuple[str, dict[str, str]]) -> None:
    failed = submitted(*head, ["python", "-m", "search", "wakeword", "--results", "here"])
    assert failed.returncode != 0
    assert "give an absolute path" in failed.stdout


@pytest.mark.parametrize("kill", [False, True])
def test_a_stopped_or_killed_job_resumes(
    tmp_path: Path, speech_folder: Path, head: tuple[str, dict[str, str]], kill: bool
) -> None:
    address, environment = head
    results, name = tmp_path / "results", f"study-{kill}"
    begun = submitted(*head, entry(speech_folder, results, 40), "--no-wait", "--submission-id", name)
    assert begun.returncode == 0, begun.stderr[-2000:]
    until = time.monotonic() + 240
    while not list((results / "trials").glob("*/metrics.json")):
        assert time.monotonic() < until
        time.sleep(0.2)
    if kill:
        os.kill(int((results / ".owner").read_text().split()[1]), signal.SIGKILL)
    else:
        stop = ["ray", "job", "stop", "--address", address, name]
        subprocess.run(stop, env=environment, capture_output=True, timeout=120, check=True)
    time.sleep(2)
    states = [trial.state for trial in study_of(results).trials]
    assert TrialState.COMPLETE in states
    assert kill or TrialState.RUNNING not in states
    done = {path.parent.name: path.stat().st_mtime_ns for path in (results / "trials").glob("*/metrics.json")}
    again = submitted(*head, entry(speech_folder, results, len(done) + 1))
    assert again.returncode == 0, again.stdout[-3000:]
    after = {path.parent.name: path.stat().st_mtime_ns for path in (results / "trials").glob("*/metrics.json")}
    assert {number: after[number] for number in done} == done
    trained = [str(trial.number) for trial in study_of(results).trials if outcome(trial) == "trained"]
    assert sorted(trained) == sorted(after)
