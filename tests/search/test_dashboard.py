"""optuna-dashboard over a study: over real HTTP, and in a real browser where there is one."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.study import StudyDirection

from export.results import Results
from search.dashboard import ReadOnlyError, StudyView, main, server_for
from tests.export.results_folder import ResultsFolder

ROOT = Path(__file__).parent.parent.parent
# What a shell runs in the background ignores SIGINT, and so would all its children.
HEEDING = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"


def command(folder: Path) -> list[str]:
    serve = [sys.executable, "-m", "search.dashboard", str(folder), "--port", "0"]
    return [sys.executable, "-c", HEEDING, *serve]


def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "read-only" in line
    return line.split()[0].rstrip("/")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ResultsFolder:
    folder = ResultsFolder(tmp_path_factory.mktemp("dashboard") / "results")
    folder.random(3, trained=20, refused=15)
    folder.failed("loss: nan in epoch 3")
    folder.stopped()
    folder.unfinished()
    return folder


@pytest.fixture(scope="module")
def page(made: ResultsFolder) -> Iterator[str]:
    with subprocess.Popen(command(made.folder), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        yield address(process)
        process.terminate()


def study(page: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{page}/api/studies/0?after=0", timeout=30) as answer:
        content: dict[str, Any] = json.load(answer)
    return content


def outcome(trial: dict[str, Any]) -> str:
    return str({each["key"]: each["value"] for each in trial["user_attrs"]}.get("outcome", "none"))


def test_exactly_the_refused_trials_are_infeasible(made: ResultsFolder, page: str) -> None:
    trials = study(page)["trials"]
    infeasible = {trial["number"] for trial in trials if any(over > 0 for over in trial["constraints"])}
    assert infeasible == {trial["number"] for trial in trials if outcome(trial) == "refused"}
    assert len(infeasible) == 15
    recorded = {trial.number: list(trial.constraints.values()) for trial in made.study.trials}
    assert {trial["number"]: trial["constraints"] for trial in trials} == recorded


def test_states_and_attributes_are_the_studys_own(page: str) -> None:
    trials = study(page)["trials"]
    assert Counter((trial["state"], outcome(trial)) for trial in trials if trial["number"] < 38) == {
        ("Complete", "trained"): 20,
        ("Pruned", "refused"): 15,
        ("Fail", "failed"): 1,
        ("Pruned", "stopped"): 1,
        ("Running", "none"): 1,
    }
    assert not any("values" in trial for trial in trials if outcome(trial) == "refused")
    assert all("footprint" in {each["key"] for each in trial["user_attrs"]} for trial in trials)
    failed = next(trial for trial in trials if outcome(trial) == "failed")
    assert {"key": "reason", "value": "loss: nan in epoch 3"} in failed["user_attrs"]


def test_own_figures_place_what_was_refused_by_its_footprint(made: ResultsFolder, page: str) -> None:
    drawn = {figure["id"]: json.loads(figure["graph_object"]) for figure in study(page)["plotly_graph_objects"]}
    assert set(drawn) == {"score-decision_ms", "score-arena_bytes"}
    for axis in ("decision_ms", "arena_bytes"):
        traces = {trace["name"]: trace for trace in drawn[f"score-{axis}"]["data"]}
        expected = [t.user_attrs["footprint"][axis] for t in made.study.trials if outcome_of(t) == "refused"]
        assert traces["refused, never trained"]["x"] == expected
        assert all("never trained<br>over " in tip for tip in traces["refused, never trained"]["text"])
        assert traces["ceiling"]["x"] == [{"decision_ms": 50.0, "arena_bytes": 65536.0}[axis]] * 2
        on_front = {float(tip.split("<br>")[0].removeprefix("trial ")) for tip in traces["on the front"]["text"]}
        assert on_front == {trial.number for trial in made.study.best_trials}


def outcome_of(trial: optuna.trial.FrozenTrial) -> str:
    return str(trial.user_attrs.get("outcome"))


def test_trained_trials_over_budget_are_grey_as_well(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    folder.trained(0.9, 20.0, 20_000)
    folder.trained(0.99, 70.0, 10_000)
    attributes = StudyView(Results(folder.folder)).get_all_studies()[0].system_attrs
    figure = json.loads(attributes["dashboard:plot_data:score-decision_ms:0"])
    traces = {trace["name"]: trace for trace in figure["data"]}
    assert traces["on the front"]["y"] == [0.9]
    assert (traces["trained, over budget"]["x"], traces["trained, over budget"]["y"]) == ([70.0], [0.99])
    assert traces["trained, over budget"]["marker"]["color"] == "#cccccc"


def test_a_trial_told_meanwhile_appears(made: ResultsFolder, page: str) -> None:
    before = len(study(page)["trials"])
    number = made.trained(0.97, 10.0, 9_000)
    until = time.monotonic() + 60
    while len(trials := study(page)["trials"]) == before and time.monotonic() < until:
        time.sleep(0.2)
    assert trials[-1]["number"] == number
    assert trials[-1]["values"] == [0.97, 10.0, 9_000]
    assert f"trial {number}<br>" in json.dumps(study(page)["plotly_graph_objects"])


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("DELETE", "/api/studies/0", None),
        ("POST", "/api/studies/0/rename", {"study_name": "mine"}),
        ("POST", "/api/studies", {"study_name": "mine", "directions": ["minimize"]}),
        ("PUT", "/api/studies/0/note", {"version": 1, "body": "a note"}),
        ("PUT", "/api/studies/0/3/note", {"version": 1, "body": "a note"}),
        ("POST", "/api/trials/38/tell", {"state": "fail"}),
        ("POST", "/api/trials/38/user-attrs", {"user_attrs": {"outcome": "trained"}}),
    ],
)
def test_writes_from_the_page_are_refused_and_leave_the_folder_alone(
    made: ResultsFolder, page: str, method: str, path: str, content: dict[str, Any] | None
) -> None:
    before = {file: file.read_bytes() for file in made.folder.iterdir() if file.is_file()}
    body = None if content is None else json.dumps(content).encode()
    asked = urllib.request.Request(page + path, body, {"Content-Type": "application/json"}, method=method)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked, timeout=30)
    with refused.value as answer:
        assert answer.code == 403
        assert "This page is read-only" in json.load(answer)["reason"]
    assert {file: file.read_bytes() for file in made.folder.iterdir() if file.is_file()} == before


def test_it_reads_while_a_search_holds_the_lock(made: ResultsFolder, page: str) -> None:
    lock = made.folder / "study.journal.lock"
    lock.symlink_to(made.folder / "study.journal")
    try:
        assert study(page)["name"] == "wakeword"
    finally:
        lock.unlink()


def test_a_view_writes_nothing_even_if_asked_directly(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    folder.trained(0.9, 20.0, 20_000)
    before = (folder.folder / "study.journal").read_bytes()
    view = StudyView(Results(folder.folder))
    loaded = optuna.load_study(study_name="wakeword", storage=view)
    with pytest.raises(ReadOnlyError, match="read-only"):
        loaded.ask()
    with pytest.raises(ReadOnlyError, match="read-only"):
        view.create_new_study([StudyDirection.MINIMIZE], "other")
    assert view.get_trial(0).system_attrs["constraints"] == list(folder.study.trials[0].constraints.values())
    assert (folder.folder / "study.journal").read_bytes() == before


def test_folder_that_holds_no_study_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere")]) == 2
    assert main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "nowhere does not exist" in said and "is not a results folder: it holds no run.json" in said


def test_port_that_cannot_be_had_is_named(made: ResultsFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main([str(made.folder), "--port", str(port)]) == 2
    assert f"error: --port: {port} is in use on this machine; choose another, or 0" in capsys.readouterr().err
    with pytest.raises(ValueError, match="--port: must lie within 0-65535, not 70000"):
        server_for(made.folder, 70_000)


def test_an_interrupt_ends_it_without_complaint(made: ResultsFolder) -> None:
    process = subprocess.Popen(
        command(made.folder), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    address(process)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint) == (0, "")


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
def test_a_browser_draws_what_was_refused_in_grey(made: ResultsFolder, page: str, tmp_path: Path) -> None:
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--window-size=1500,2600",
        "--virtual-time-budget=20000",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    done = subprocess.run(
        [str(CHROMIUM), *options, "--dump-dom", f"{page}/dashboard/studies/0"],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    figures = re.split(r'id="user-defined-plot:', done.stdout)[1:]
    assert sorted(figure.split('"')[0] for figure in figures) == ["score-arena_bytes", "score-decision_ms"]
    for figure in figures:
        grey = re.findall(r'<path class="point"[^>]*fill: rgb\(204, 204, 204\)', figure)
        assert len(grey) == 15
