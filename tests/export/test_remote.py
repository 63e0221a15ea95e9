"""Results behind a URI: on a local file system, and on S3 as pyarrow speaks it to a stand-in on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from moto.server import ThreadedMotoServer
from pyarrow.fs import FileSystem, FileType

from export.remote import LEASE, Remote, is_uri


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Where a stand-in of S3 listens."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture(params=["file", "s3"])
def remote(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    if request.param == "file":
        return Remote(f"file://{tmp_path}/far/away")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anyone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    where = request.getfixturevalue("s3")
    options = f"endpoint_override={where}&scheme=http&region=us-east-1&allow_bucket_creation=true"
    return Remote(f"s3://bucket-{uuid4().hex}/studies/one?{options}")


def exists(remote: Remote, name: str) -> bool:
    system, root = FileSystem.from_uri(remote.uri)
    return bool(system.get_file_info(f"{root}/{name}").type == FileType.File)


def test_what_is_pushed_can_be_pulled_elsewhere(remote: Remote, tmp_path: Path) -> None:
    remote.prove_writable()
    here, there = tmp_path / "here", tmp_path / "there"
    for name, content in {
        "run.json": b"{}",
        "trials/3/student.pt2": bytes(70_000),
        "trials/3/metrics.json": b"1",
    }.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(content)
    remote.push(here, "")
    assert remote.pull("", there)
    assert {p.relative_to(there).as_posix(): p.read_bytes() for p in there.rglob("*") if p.is_file()} == {
        p.relative_to(here).as_posix(): p.read_bytes() for p in here.rglob("*") if p.is_file()
    }
    assert remote.pull("trials/3", tmp_path / "again")
    assert (tmp_path / "again" / "trials" / "3" / "metrics.json").read_bytes() == b"1"
    assert not remote.pull("trials/4", there)


def test_a_file_is_replaced_and_removed(remote: Remote, tmp_path: Path) -> None:
    remote.prove_writable()
    path = tmp_path / "study.journal"
    for content in (b"one\n", b"one\ntwo\n"):
        path.write_bytes(content)
        remote.push(tmp_path, "study.journal")
        assert remote.pull("study.journal", tmp_path / "there")
        assert (tmp_path / "there" / "study.journal").read_bytes() == content
    remote.remove("study.journal")
    remote.remove("study.journal")
    assert not exists(remote, "study.journal")


def test_what_belongs_to_a_machine_stays_there(remote: Remote, tmp_path: Path) -> None:
    remote.prove_writable()
    here = tmp_path / "here"
    for name in ("ray/state.json", "wandb/run-1.wandb", ".lock", "run.json", "trials/1/x.1234.tmp"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("x")
    remote.push(here, "")
    there = tmp_path / "there"
    remote.pull("", there)
    assert [path.name for path in there.rglob("*") if path.is_file()] == ["run.json"]


def test_one_search_holds_it_at_a_time(remote: Remote) -> None:
    remote.prove_writable()
    with remote.leased():
        assert exists(remote, LEASE)
        held = r"another search is writing to .*: process \d+ on .*runs out in \d+ s"
        with pytest.raises(ValueError, match=held), remote.leased():
            pass
    assert not exists(remote, LEASE)
    with remote.leased():
        pass


def test_the_lease_of_a_dead_search_runs_out(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    remote.prove_writable()
    with monkeypatch.context() as patched:
        patched.setattr("export.remote.LEASE_SECONDS", -1.0)
        remote._renew("a search that died")
    with remote.leased():
        assert exists(remote, LEASE)


def test_locations() -> None:
    assert is_uri("s3://bucket/folder")
    assert not is_uri(Path("/data/results"))
    with pytest.raises(ValueError, match="results: nothing://here cannot be opened"):
        Remote("nothing://here").pull("", Path())


def test_a_search_that_slept_through_its_lease_gives_way(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    remote.prove_writable()
    monkeypatch.setattr("export.remote.LEASE_SECONDS", 0.3)
    ended = threading.Event()
    monkeypatch.setattr("export.remote.os.kill", lambda process, number: ended.set())
    other = json.dumps({"id": "another", "who": "process 7 on elsewhere", "until": time.time() + 60})
    system, root = FileSystem.from_uri(remote.uri)
    until = time.monotonic() + 20
    with remote.leased():
        # Again, where it was renewed in the same moment.
        while not ended.wait(0.05):
            assert time.monotonic() < until
            with system.open_output_stream(f"{root}/{LEASE}") as file:
                file.write(other.encode())
    # What the other one holds is left to it.
    with system.open_input_stream(f"{root}/{LEASE}") as file:
        assert json.loads(file.read())["id"] == "another"
