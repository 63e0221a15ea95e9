"""The process beside a search: what it writes, what it survives, what it never does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from export.results import Results, read_trials
from search import side_car
from search.side_car import LOG, Views
from search.views import recorded, study_id, uploaded
from tests.export.results_folder import ResultsFolder
from tests.search.wandb_files import OfflineRun, finished_runs
from tests.search.wandb_stand_in import API_KEY, StandIn, stand_in

ROOT = Path(__file__).parent.parent.parent
DRIVER = """
import sys, time
from pathlib import Path
from urllib.parse import urlsplit
from export.results import Results
from search.side_car import Views
views = Views("offline", print)
views.start(Results(Path(sys.argv[1])))
print("started", flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def away_from_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of the test's own, in which nothing may be written."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith("WANDB_")] + ["NETRC"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    yield home
    assert not list(home.iterdir())


def searched(results: Path, mode: side_car.Mode = "offline") -> list[str]:
    """What a search that trains nothing says about W&B."""
    said: list[str] = []
    with Views(mode, said.append) as views:
        views.start(Results(results))
        views.finish()
    return said


def only(runs: dict[str, list[OfflineRun]]) -> dict[str, OfflineRun]:
    assert {name: len(found) for name, found in runs.items()} == dict.fromkeys(runs, 1)
    return {name: found[0] for name, found in runs.items()}


def trained(results: Path) -> set[str]:
    return {str(row.number) for row in read_trials(results) if row.outcome == "trained"}


@pytest.fixture
def made(tmp_path: Path) -> ResultsFolder:
    folder = ResultsFolder(tmp_path / "results")
    folder.random(3, trained=5, refused=3)
    folder.failed("loss: nan")
    folder.stopped()
    return folder


def test_every_trained_trial_and_the_study_have_one_run(made: ResultsFolder) -> None:
    said = searched(made.folder)
    runs = only(finished_runs(made.folder))
    assert set(runs) == trained(made.folder) | {"study"}
    assert said == [f"W&B: 6 runs in {made.folder}/wandb; wandb sync {made.folder}/wandb uploads them"]
    assert {path.name for path in made.folder.iterdir()} == {"run.json", "study.journal", "trials", "wandb"}


def test_trials_that_end_while_it_runs_are_recorded(made: ResultsFolder) -> None:
    with Views("offline", print) as views:
        views.start(Results(made.folder))
        until = time.monotonic() + 60
        while len(recorded(Results(made.folder))) < 5:
            assert time.monotonic() < until
            time.sleep(0.1)
        made.random(4, trained=2)
        views.finish()
    assert set(only(finished_runs(made.folder))) == trained(made.folder) | {"study"}


def test_it_may_be_started_before_the_study_exists(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    with Views("offline", print) as views:
        views.start(Results(tmp_path / "results"))
        ResultsFolder(tmp_path / "results").random(1, trained=1)
        views.finish()
    assert set(only(finished_runs(tmp_path / "results"))) == {"0", "study"}


def test_a_study_without_a_trained_trial_has_no_run(tmp_path: Path) -> None:
    made = ResultsFolder(tmp_path / "results")
    made.failed("loss: nan")
    assert searched(made.folder) == [f"W&B: 0 runs in {made.folder}/wandb"]


def test_a_resumed_search_has_each_run_once(made: ResultsFolder) -> None:
    searched(made.folder)
    before = {path: path.stat().st_mtime_ns for path in (made.folder / "wandb").glob("offline-run-*/*.wandb")}
    made.random(9, trained=2)
    searched(made.folder)
    runs = only(finished_runs(made.folder))
    assert set(runs) == trained(made.folder) | {"study"}
    assert runs["study"].summary["counts"]["trained"] == 7
    kept = {path: path.stat().st_mtime_ns for path in before if path.exists()}
    assert kept == {path: at for path, at in before.items() if not path.stem.endswith("-study")}


def test_a_run_that_was_cut_off_is_written_again(made: ResultsFolder) -> None:
    searched(made.folder)
    cut_off = recorded(Results(made.folder))[f"{study_id(Results(made.folder))}-0"]
    (cut_off / "finished").unlink()
    file = next(cut_off.glob("*.wandb"))
    file.write_bytes(file.read_bytes()[:100])
    searched(made.folder)
    assert set(only(finished_runs(made.folder))) == trained(made.folder) | {"study"}


def children(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def alive(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_it_ends_by_itself_when_its_driver_is_killed(made: ResultsFolder) -> None:
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, made.folder], cwd=ROOT, stdout=subprocess.PIPE)
    assert driver.stdout is not None
    assert driver.stdout.readline() == b"started\n"
    (process,) = children(driver.pid)
    driver.kill()
    driver.communicate()
    until = time.monotonic() + 60
    while alive(process):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert set(only(finished_runs(made.folder))) == trained(made.folder)
    searched(made.folder)
    assert set(only(finished_runs(made.folder))) == trained(made.folder) | {"study"}


def test_interrupts_leave_it_alone(made: ResultsFolder) -> None:
    before = set(children(os.getpid()))
    with Views("offline", print) as views:
        views.start(Results(made.folder))
        (process,) = set(children(os.getpid())) - before
        until = time.monotonic() + 60
        while not recorded(Results(made.folder)):
            assert time.monotonic() < until
            time.sleep(0.05)
        os.kill(process, signal.SIGINT)
        views.finish()
    assert set(only(finished_runs(made.folder))) == trained(made.folder) | {"study"}


def test_one_that_hangs_is_given_up(made: ResultsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_car, "RECORDING_SECONDS", 1.0)
    said: list[str] = []
    before = set(children(os.getpid()))
    with Views("offline", said.append) as views:
        views.start(Results(made.folder))
        (process,) = set(children(os.getpid())) - before
        os.kill(process, signal.SIGSTOP)
        views.finish()
    assert said[0] == "warning: W&B: given up after 1 s; the same command goes on where this stopped"
    assert not alive(process)


def test_one_that_dies_is_said(made: ResultsFolder) -> None:
    said: list[str] = []
    before = set(children(os.getpid()))
    with Views("offline", said.append) as views:
        views.start(Results(made.folder))
        (process,) = set(children(os.getpid())) - before
        os.kill(process, signal.SIGKILL)
        views.finish()
    assert said[0] == f"warning: W&B: its process ended early; see {LOG} there"


def test_an_exception_in_the_search_ends_it(made: ResultsFolder) -> None:
    before = set(children(os.getpid()))
    with pytest.raises(KeyboardInterrupt), Views("offline", print) as views:
        views.start(Results(made.folder))
        raise KeyboardInterrupt
    assert set(children(os.getpid())) == before


def test_a_damaged_trial_is_named_and_the_others_are_recorded(made: ResultsFolder) -> None:
    (made.folder / "trials" / "1" / "history.csv").unlink()
    said = searched(made.folder)
    assert len(said) == 2
    assert said[0].startswith("warning: W&B: run 1 was not recorded: FileNotFoundError: ")
    assert set(only(finished_runs(made.folder))) == trained(made.folder) - {"1"} | {"study"}


def test_a_study_that_cannot_be_read_is_named(made: ResultsFolder) -> None:
    (made.folder / "run.json").write_text("{")
    said = searched(made.folder)
    assert said[0].startswith("warning: W&B: run study was not recorded: ValueError: ")
    assert "run.json is not JSON" in said[0]


def test_a_folder_that_cannot_be_made_fails_nothing(made: ResultsFolder) -> None:
    (made.folder / "wandb").write_text("")
    (said,) = searched(made.folder)
    assert said.startswith("warning: W&B: nothing will be recorded: ")


def test_off_starts_nothing(made: ResultsFolder) -> None:
    assert searched(made.folder, "off") == []
    assert not (made.folder / "wandb").exists()


def test_wandb_is_imported_by_its_process_alone(made: ResultsFolder) -> None:
    code = (
        "import sys; from pathlib import Path; from export.results import Results\n"
        "from search.side_car import Views\n"
        "with Views('offline', print) as views:\n"
        "    views.start(Results(Path(sys.argv[1])))\n"
        "    views.finish()\n"
        "assert 'wandb' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, made.folder], cwd=ROOT, check=True, capture_output=True)


def test_a_run_id_of_the_users_does_not_join_the_runs(made: ResultsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RUN_ID": "mine", "SWEEP_ID": "sw", "MODE": "disabled", "RUN_GROUP": "g"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    monkeypatch.setenv("WANDB_PROJECT", "lab")
    searched(made.folder)
    runs = only(finished_runs(made.folder))
    assert set(runs) == trained(made.folder) | {"study"}
    assert {run.project for run in runs.values()} == {"lab"}
    assert {run.group for run in runs.values()} == {f"wakeword-{study_id(Results(made.folder))}"}


def test_online_without_a_key_is_offline(made: ResultsFolder) -> None:
    said = searched(made.folder, "online")
    assert said[0] == (
        "warning: W&B: no API key for api.wandb.ai (WANDB_API_KEY or netrc; another server by WANDB_BASE_URL): "
        "runs are recorded offline"
    )
    assert set(only(finished_runs(made.folder))) == trained(made.folder) | {"study"}


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_dead_network_fails_nothing(made: ResultsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", API_KEY)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{closed_port()}")
    said = searched(made.folder, "online")
    assert set(only(finished_runs(made.folder))) == trained(made.folder) | {"study"}
    assert said == [f"W&B: 6 runs in {made.folder}/wandb; wandb sync {made.folder}/wandb uploads them"]


def test_a_server_that_never_answers_fails_nothing(made: ResultsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("WANDB_API_KEY", API_KEY)
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        said = searched(made.folder, "online")
    assert set(only(finished_runs(made.folder))) == trained(made.folder) | {"study"}
    assert "given up" not in "".join(said)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with stand_in() as running:
        monkeypatch.setenv("WANDB_BASE_URL", running.url)
        monkeypatch.setenv("WANDB_API_KEY", API_KEY)
        yield running


def test_online_uploads_what_was_recorded(made: ResultsFolder, server: StandIn) -> None:
    said = searched(made.folder, "online")
    assert said == [f"W&B: 6 runs in {made.folder}/wandb, all uploaded"]
    runs = recorded(Results(made.folder))
    assert all(uploaded(folder) for folder in runs.values())
    assert {call["name"] for call in server.calls("upsertBucket")} == set(runs)
    groups = {call["groupName"] for call in server.calls("upsertBucket") if call["jobType"]}
    assert groups == {f"wakeword-{study_id(Results(made.folder))}"}
    number = min(trained(made.folder))
    sent = [json.loads(line) for line in server.streamed[f"{study_id(Results(made.folder))}-{number}"]]
    assert [row["epoch"] for row in sent] == list(range(20))
    artifacts = {call["input"]["artifactCollectionName"] for call in server.calls("createArtifact")}
    assert f"wakeword-{study_id(Results(made.folder))}-students" in artifacts


@pytest.mark.slow
def test_a_server_that_takes_nothing_is_left_in_time(made: ResultsFolder, server: StandIn) -> None:
    server.takes_nothing = threading.Event()
    said = searched(made.folder, "online")
    server.takes_nothing.set()
    assert said == [f"W&B: 6 runs in {made.folder}/wandb; wandb sync {made.folder}/wandb uploads them"]
    assert "wandb: Syncing 5 run(s):" in (made.folder / "wandb" / LOG).read_text()
    assert not [line for line in processes() if str(made.folder) in line]
    server.takes_nothing = None
    assert searched(made.folder, "online") == [f"W&B: 6 runs in {made.folder}/wandb, all uploaded"]


def processes() -> list[str]:
    """Command lines and environments of what runs here; a process that just ended has none."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.append((folder / "cmdline").read_text() + (folder / "environ").read_text())
    return found


def test_a_key_in_netrc_is_found(
    made: ResultsFolder, server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {urlsplit(server.url).netloc} login user password {API_KEY}\n")
    netrc.chmod(0o600)
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("NETRC", str(netrc))
    assert searched(made.folder, "online")[0].endswith("all uploaded")
