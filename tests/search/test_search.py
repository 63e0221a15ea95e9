"""Real searches through the command line, on real Ray: finished, resumed, interrupted, submitted as a job."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState

from export.tflite import Int8Model
from search.study import outcome
from spaces.candidate import Scalar, Student
from spaces.front_end import FrontEnd
from spaces.twin import labels_alone, twin_folder
from spaces.wakeword import PATIENCE, START_POINTS
from tests.search.studies import ROOT, command, study_of
from trainables.corpora.wakeword_task import open_corpus
from trainables.features import corpus_features
from trainables.recipe import Material, recipe

pytestmark = pytest.mark.slow


def run(arguments: list[str], code: int = 0) -> str:
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, speech_folder: Path) -> tuple[Path, str]:
    results = tmp_path_factory.mktemp("finished") / "results"
    return results, run(command(speech_folder, results, 3))


def test_it_prints_the_front_and_where_the_report_is(finished: tuple[Path, str]) -> None:
    results, printed = finished
    assert "teacher: speech_embedding, F1" in printed
    assert len(re.findall(r"^trial +\d+  score", printed, re.MULTILINE)) == 3
    assert f"report: {results / 'report.html'}" in printed
    assert (results / "report.html").stat().st_size > 10_000


def test_the_results_folder_is_as_documented(finished: tuple[Path, str]) -> None:
    results, _ = finished
    documented = {"study.journal", "run.json", "front.json", "front.csv", "report.html", "trials"}
    assert documented <= {path.name for path in results.iterdir()}
    trained = [trial for trial in study_of(results).trials if outcome(trial) == "trained"]
    assert len(trained) == 3
    for trial in trained:
        files = {path.name for path in (results / "trials" / str(trial.number)).iterdir()} - {"tflm.json"}
        assert files == {
            "student.int8.tflite",
            "student.pt2",
            "student.json",
            "metrics.json",
            "evaluation.json",
            "history.csv",
        }
        metrics = json.loads((results / "trials" / str(trial.number) / "metrics.json").read_text())
        assert metrics["params"] == trial.params
        assert trial.values == [metrics["objectives"][name] for name in ("score", "decision_ms", "arena_bytes")]
        assert (
            metrics["footprint"]["flash_bytes"]
            == (results / "trials" / str(trial.number) / "student.int8.tflite").stat().st_size
        )


def test_run_json_says_what_was_run(finished: tuple[Path, str]) -> None:
    record = json.loads((finished[0] / "run.json").read_text())
    assert record["command"].startswith("python -m search wakeword --data")
    assert record["data"]["speaker_disjoint"] is True
    assert len(record["data"]["content_hash"]) >= 16
    assert len(record["teacher"]["content_hash"]) >= 16
    assert record["board"]["cpu_mhz"] == 240
    assert record["budget"] == {"flash_bytes": 131072.0, "arena_bytes": 102400.0, "latency_ms": 50.0}
    assert record["versions"]["ray"].startswith("2.")


def test_the_stored_score_is_that_of_the_int8_model(finished: tuple[Path, str], speech_folder: Path) -> None:
    results, _ = finished
    corpus = open_corpus(speech_folder, "up")
    rules = recipe("wakeword")
    material = Material(corpus, np.zeros((len(corpus.clips), 2), np.float32), {}, {})
    validation = corpus.indices("validation")
    for folder in (results / "trials").iterdir():
        settings = json.loads((folder / "student.json").read_text())
        features = corpus_features(corpus, FrontEnd(**settings["front_end"]))[validation]
        outputs = Int8Model((folder / "student.int8.tflite").read_bytes()).outputs(features)
        stored = json.loads((folder / "metrics.json").read_text())["score_int8"]
        assert rules.score(material, validation, outputs) == stored
        assert Student(**settings["student"]).kind == "ds_cnn"


def test_front_members_exist_and_the_history_has_every_epoch(finished: tuple[Path, str]) -> None:
    results, _ = finished
    front = json.loads((results / "front.json").read_text())
    assert front["members"]
    for member in front["members"]:
        assert (results / member["tflite"]).is_file()
        history = (results / "trials" / str(member["trial"]) / "history.csv").read_text()
        rows = list(csv.DictReader(history.splitlines()))
        assert [row["epoch"] for row in rows] == ["0", "1"]
        assert {"loss", "hard_loss", "soft_loss", "validation_score"} <= set(rows[0])


def test_the_front_was_scored_under_tflm(finished: tuple[Path, str], speech_folder: Path) -> None:
    results, printed = finished
    members = json.loads((results / "front.json").read_text())["members"]
    validation = len(open_corpus(speech_folder, "up").indices("validation"))
    said = f"under the TFLM interpreter: {len(members)} members of the front, {len(members) * validation} validation"
    assert said in printed
    for member in members:
        found = member["tflm"]
        stored = json.loads((results / member["tflite"]).with_name("tflm.json").read_text())
        assert stored["schema"] == 1 and found.items() <= stored.items()
        assert (found["clips"], found["outputs"]) == (validation, 2 * validation)
        assert found["score_host"] == pytest.approx(member["score_int8"])
        assert found["largest_step"] <= 1 and found["differing"] <= 0.1 * found["outputs"]
        assert found["score_tflm"] == pytest.approx(member["score_int8"], abs=0.1)
    assert {path.parent.name for path in (results / "trials").glob("*/tflm.json")} == {str(m["trial"]) for m in members}


def test_the_same_command_resumes(finished: tuple[Path, str], speech_folder: Path) -> None:
    results, _ = finished
    before = {p: p.stat().st_mtime_ns for p in (results / "trials").rglob("metrics.json")}
    assert "holds 3 finished trials already" in run(command(speech_folder, results, 3))
    shown = on_a_terminal(command(speech_folder, results, 4))
    assert "trained 3/4" in shown
    assert "hypervolume" in shown
    after = {p: p.stat().st_mtime_ns for p in (results / "trials").rglob("metrics.json")}
    assert len(after) == 4
    assert {path: after[path] for path in before} == before


def test_the_front_is_confirmed_and_a_pick_trained_to_the_end_once(
    finished: tuple[Path, str], speech_folder: Path
) -> None:
    results, _ = finished
    looking = command(speech_folder, results, 3, "--confirm", "2", "--final", "smallest", "--population", "4")
    searched = len(ray_trials(results))
    printed = run(looking)
    front = json.loads((results / "front.json").read_text())
    members = [str(member["trial"]) for member in front["members"]]
    assert {path.name for path in (results / "confirm").iterdir()} == set(members)
    for number in members:
        metrics = [json.loads(path.read_text()) for path in (results / "confirm" / number).glob("*/metrics.json")]
        assert sorted(one["seed"] for one in metrics) == [1, 2]
        assert all(one["params"] == study_of(results).trials[int(number)].params for one in metrics)
    assert all(
        member["seeds"] == 2 and member["low"] <= member["mean"] <= member["high"] for member in front["members"]
    )
    twins = {twin_folder(twin) for number in members if (twin := alone(results, number)) is not None}
    assert {path.name for path in (results / "labels_alone").iterdir()} == twins
    for folder in twins:
        metrics = [json.loads(path.read_text()) for path in (results / "labels_alone" / folder).glob("*/metrics.json")]
        assert [(one["seed"], one["params"]["alpha"]) for one in sorted(metrics, key=lambda one: one["seed"])] == [
            (1, 1.0),
            (2, 1.0),
        ]
        assert f"labels alone {folder} with seed 1  score" in printed
    assert len(re.findall(r"^trial \d+ on test: .*over labels alone, 2 seeds; F1 less", printed, re.MULTILINE)) == len(
        members
    )
    (final,) = (results / "final").iterdir()
    epochs = len((final / "history.csv").read_text().splitlines()) - 1
    best = json.loads((final / "metrics.json").read_text())["best_epoch"]
    assert epochs in (150, best + 1 + PATIENCE)
    assert f"final {final.name}  score" in printed
    assert "twins, or a pick" in printed
    assert "twins, or a pick" not in run(looking), "nothing is trained twice"
    looks = [path for kind in ("confirm", "labels_alone", "final") for path in (results / kind).rglob("metrics.json")]
    assert len(ray_trials(results)) - searched < len(looks), "seeds of one student were taught together"


def ray_trials(results: Path) -> list[Path]:
    return [path for path in (results / "ray").iterdir() if path.is_dir()]


def alone(results: Path, number: str) -> dict[str, Scalar] | None:
    return labels_alone("wakeword", study_of(results).trials[int(number)].params)


def test_another_front_is_tried_first_in_batches(
    tmp_path: Path, finished: tuple[Path, str], speech_folder: Path
) -> None:
    results = tmp_path / "results"
    more = ["--from", str(finished[0]), "--batch", "2", "--stop", "dominance", "--sampler", "random"]
    known = [member["params"] for member in json.loads((finished[0] / "front.json").read_text())["members"]]
    first = len(START_POINTS)
    run(command(speech_folder, results, first + len(known), *more))
    trials = study_of(results).trials
    assert [trial.params for trial in trials[first : first + len(known)]] == known
    assert {trial.number for trial in trials if outcome(trial) != "refused"} == {
        int(path.name) for path in (results / "trials").iterdir()
    }
    assert len({path.name.partition("-")[0] for path in (results / "ray").iterdir() if path.is_dir()}) < 4


def test_a_search_ends_when_its_time_is_up(tmp_path: Path, finished: tuple[Path, str], speech_folder: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(finished[0], results)
    printed = run(command(speech_folder, results, 400, "--time-budget", "20s"))
    assert "the time is up" in printed
    assert "front:" in printed
    trials = study_of(results).trials
    assert len(trials) < 400
    assert all(trial.state != TrialState.RUNNING for trial in trials)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--budget", "arena=64K"], "with another budget:"),
        (["--word", "down"], "with another data and views: data was"),
    ],
)
def test_other_conditions_are_refused(
    finished: tuple[Path, str], speech_folder: Path, change: list[str], message: str
) -> None:
    other = command(speech_folder, finished[0], 9, *change)
    done = subprocess.run(other, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert message in done.stderr


def on_a_terminal(arguments: list[str]) -> str:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=theirs, stderr=subprocess.DEVNULL, close_fds=True)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    assert process.wait(timeout=300) == 0
    return shown.decode()


def wait_for(process: subprocess.Popen[bytes], results: Path, trials: int) -> None:
    until = time.monotonic() + 300
    while len(list((results / "trials").glob("*/metrics.json"))) < trials:
        assert process.poll() is None, "the search ended before it was interrupted"
        assert time.monotonic() < until
        time.sleep(0.2)


def heeding_interrupts(arguments: list[str]) -> list[str]:
    """The same command; what a shell runs in the background ignores SIGINT, and so would all its children."""
    code = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-c", code, *arguments]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_searches_lose_nothing(tmp_path: Path, speech_folder: Path, sent: signal.Signals) -> None:
    results = tmp_path / "results"
    process = subprocess.Popen(
        heeding_interrupts(command(speech_folder, results, 40)),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(process, results, 2)
    if sent == signal.SIGINT:
        # A terminal's Ctrl-C reaches every process of the group.
        os.killpg(process.pid, sent)
    else:
        process.send_signal(sent)
    code = process.wait(timeout=120)
    done = {path.parent.name: path.stat().st_mtime_ns for path in (results / "trials").glob("*/metrics.json")}
    if sent != signal.SIGKILL:
        assert code == 3
        assert json.loads((results / "front.json").read_text())["members"]
        left = study_of(results).get_trials(states=(TrialState.RUNNING, TrialState.WAITING))
        assert {trial.state for trial in left} == {TrialState.WAITING}, "nothing is left running"
    run(command(speech_folder, results, len(done) + 1))
    after = {path.parent.name: path.stat().st_mtime_ns for path in (results / "trials").glob("*/metrics.json")}
    assert {number: after[number] for number in done} == done
    trials = study_of(results).trials
    assert {str(trial.number) for trial in trials if outcome(trial) == "trained"} == set(after)
    assert len(after) >= len(done) + 1
    assert all(trial.state != TrialState.RUNNING for trial in trials)


def test_an_interrupt_before_anything_is_trained_says_so(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "search", "wakeword", "--results", str(tmp_path / "r"), "--seed", "41"]
    process = subprocess.Popen(
        heeding_interrupts(arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "preparing" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=120)
    assert process.returncode == 3
    assert complaint.strip().endswith("interrupted")
    assert "Traceback" not in complaint


def test_a_single_point(tmp_path: Path, speech_folder: Path, finished: tuple[Path, str]) -> None:
    point = next((finished[0] / "trials").iterdir()) / "metrics.json"
    stored = json.loads(point.read_text())
    where = ["--data", str(speech_folder), "--word", "up", "--results", str(tmp_path / "one")]
    arguments = [sys.executable, "-m", "search", "wakeword", *where, "--epochs", "2", "--one", str(point)]
    metrics = json.loads(run(arguments))
    assert metrics["params"] == stored["params"]
    assert metrics["score_int8"] == stored["score_int8"]


def test_a_dry_run_surveys_and_trains_nothing(tmp_path: Path, speech_folder: Path) -> None:
    # Few architectures, whose footprints are worked out once each.
    fixed = ("ds_cnn_second_stride=2", "ds_cnn_depth=1", "mels=20", "clip_ms=1000")
    narrow = [part for setting in fixed for part in ("--set", setting)]
    printed = run(command(speech_folder, tmp_path / "dry", 24, "--dry-run", *narrow))
    assert "32 of 32 candidates fit" in printed
    assert "teacher: speech_embedding, F1" in printed
    assert re.search(r"^teacher   validation +.*f1 \d", printed, re.MULTILINE)
    assert "smallest" in printed
    assert "minutes for 24 trials of 2 epochs" in printed
    assert not (tmp_path / "dry").exists()


def test_a_budget_that_nothing_fits_ends_the_search(tmp_path: Path, speech_folder: Path) -> None:
    fixed = ("ds_cnn_width=8", "ds_cnn_depth=1", "mels=20", "ds_cnn_second_stride=2")
    narrow = [part for setting in fixed for part in ("--set", setting)]
    arguments = command(speech_folder, tmp_path / "r", 2, "--budget", "flash=1K")
    arguments = [part for part in arguments if part not in ("--range", "ds_cnn_width=8:24")] + narrow
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 2
    assert "the tightest ceiling is flash_bytes=1024" in done.stderr
    assert "the smallest footprint seen takes flash" in done.stderr
