"""A disk that is full, storage that is slow, an object store, and two searches in one folder: real searches."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from moto.server import ThreadedMotoServer
from optuna.trial import TrialState

from export.remote import LEASE, Remote
from search.study import outcome
from tests.search.studies import ROOT, command, study_of

pytestmark = pytest.mark.slow


def ran(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[list[str]]:
    """A command prefix under which `tmp_path`/disk is a file system of 24 MiB; skips where the kernel allows none."""
    disk = tmp_path / "disk"
    disk.mkdir()
    prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=24m none {disk} && "
    if not shutil.which("unshare") or subprocess.run([*prefix, f"{mount} true"], check=False).returncode:
        pytest.skip("no file system of one's own can be mounted here (unshare with a user namespace)")
    yield [*prefix, mount + 'exec "$@"', "sh"]


FULL_THEN_FREED = """
import json, os, subprocess, sys
from pathlib import Path
disk, *command = sys.argv[1:]
ballast = Path(disk) / "ballast"
results = Path(disk) / "results"
first = subprocess.run(command, capture_output=True, text=True)
assert first.returncode == 0, first.stdout + first.stderr
free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
ballast.write_bytes(bytes(free - 100_000))
more = [*command[: command.index("--trials") + 1], "5", *command[command.index("--trials") + 2 :]]
full = subprocess.run(more, capture_output=True, text=True)
before = {p.parent.name: p.stat().st_mtime_ns for p in (results / "trials").glob("*/metrics.json")}
ballast.unlink()
freed = subprocess.run(more, capture_output=True, text=True)
after = {p.parent.name: p.stat().st_mtime_ns for p in (results / "trials").glob("*/metrics.json")}
from export.results import Results
from search.study import outcome
from tests.search.studies import study_of
outcomes = {trial.number: outcome(trial) for trial in study_of(results).trials}
print(json.dumps({"full": [full.returncode, full.stdout[-2000:], full.stderr[-2000:]], "freed": [freed.returncode,
    freed.stdout[-2000:] + freed.stderr[-2000:]], "before": before, "after": after, "outcomes": outcomes}))
"""


def test_a_full_disk_stops_the_search_and_loses_nothing(
    tmp_path: Path, speech_folder: Path, small_disk: list[str]
) -> None:
    search = command(speech_folder, tmp_path / "disk" / "results", 2)
    done = ran([*small_disk, sys.executable, "-c", FULL_THEN_FREED, str(tmp_path / "disk"), *search])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    ended = json.loads(done.stdout.splitlines()[-1])
    code, _, complaint = ended["full"]
    assert code in (1, 3)
    assert "disk" in complaint
    assert "full" in complaint
    assert "Traceback" not in complaint
    assert ended["freed"][0] == 0, ended["freed"][1]
    assert {name: ended["after"][name] for name in ended["before"]} == ended["before"]
    assert set(ended["outcomes"].values()) <= {"trained", "refused"}, "a full disk is no trial's fault"
    assert sum(kind == "trained" for kind in ended["outcomes"].values()) == 5


SLOW = """
import os, time
def slowed(call):
    def slow(*arguments, **named):
        with open(os.environ["SLOWED"], "a") as file:
            file.write("x")
        time.sleep(0.2)
        return call(*arguments, **named)
    return slow
for name in ("fsync", "rename", "replace"):
    setattr(os, name, slowed(getattr(os, name)))
"""


def test_slow_storage_delays_and_does_no_harm(tmp_path: Path, speech_folder: Path) -> None:
    # Every flush and rename of the driver and its workers takes 0.2 s, as on a busy network share.
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SLOW)
    slow = {"PYTHONPATH": str(tmp_path / "site"), "SLOWED": str(tmp_path / "slowed")}
    done = ran(command(speech_folder, tmp_path / "results", 3), **slow)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert len((tmp_path / "slowed").read_text()) > 50
    assert [outcome(trial) for trial in study_of(tmp_path / "results").trials].count("trained") == 3


ACCOUNT = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of a folder on a stand-in of S3, which this process may use too."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    host, port = server.get_host_and_port()
    where = f"endpoint_override={host}:{port}&scheme=http&region=us-east-1&allow_bucket_creation=true"
    yield f"s3://bucket-{uuid4().hex}/studies/up?{where}"
    server.stop()


def test_a_killed_search_on_an_object_store_goes_on_elsewhere(tmp_path: Path, speech_folder: Path, bucket: str) -> None:
    process = subprocess.Popen(
        command(speech_folder, bucket, 40),
        cwd=ROOT,
        env={**os.environ, "POTSTILL_CACHE": str(tmp_path / "one")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    remote, until = Remote(bucket), time.monotonic() + 300

    def reports(place: str) -> dict[str, bytes]:
        remote.pull("", tmp_path / place)
        return {path.parent.name: path.read_bytes() for path in (tmp_path / place / "trials").glob("*/metrics.json")}

    while len(reports("watched")) < 2:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = reports("killed")
    elsewhere = {"POTSTILL_CACHE": str(tmp_path / "two")}
    held = ran(command(speech_folder, bucket, len(before) + 1), **elsewhere)
    assert held.returncode == 2
    assert "its lease runs out in" in held.stderr
    # As if the time had passed.
    remote.remove(LEASE)
    done = ran(command(speech_folder, bucket, len(before) + 1), **elsewhere)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    after = reports("after")
    assert {number: after[number] for number in before} == before
    trials = study_of(tmp_path / "after").trials
    assert sorted(str(trial.number) for trial in trials if outcome(trial) == "trained") == sorted(after)
    assert all(trial.state.is_finished() or trial.state == TrialState.WAITING for trial in trials)


def test_results_on_an_object_store_resume_elsewhere(tmp_path: Path, speech_folder: Path, bucket: str) -> None:
    for machine, trials in (("one", 2), ("two", 3)):
        # Another cache stands for another machine.
        done = ran(command(speech_folder, bucket, trials), POTSTILL_CACHE=str(tmp_path / machine))
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    Remote(bucket).pull("", tmp_path / "copy")
    study = study_of(tmp_path / "copy")
    assert [outcome(trial) for trial in study.trials].count("trained") == 3
    times = {path.parent.name for path in (tmp_path / "copy" / "trials").glob("*/metrics.json")}
    assert len(times) == 3
    assert json.loads((tmp_path / "copy" / "front.json").read_text())["members"]
    assert (tmp_path / "copy" / "report.html").stat().st_size > 10_000


def test_two_searches_in_one_folder(tmp_path: Path, speech_folder: Path) -> None:
    results = tmp_path / "results"
    first = subprocess.Popen(
        command(speech_folder, results, 40), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 120
    while not (results / ".owner").is_file():
        assert first.poll() is None and time.monotonic() < until
        time.sleep(0.1)
    second = ran(command(speech_folder, results, 40))
    assert second.returncode == 2
    assert f"another search is writing to {results}: process {first.pid} on" in second.stderr
    first.kill()
    first.wait()
    # What it left is no lock.
    assert (results / ".owner").is_file()
    third = ran(command(speech_folder, results, 1))
    assert third.returncode == 0, third.stderr[-2000:]
