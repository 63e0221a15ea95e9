"""A results folder that lies behind a URI, and the copy of it that this machine works on."""

from __future__ import annotations

import json
import os
import platform
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, final
from uuid import uuid4

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

LEASE = ".lease.json"
LEASE_SECONDS = 90.0
# They know no folders: a file's name is all.
OBJECT_STORES = ("s3", "gcs", "abfs")
# What only this machine can use: Ray's own files, W&B's, locks.
NOT_SHARED = ("ray", "wandb", ".lock", ".owner", LEASE)


def is_uri(location: str | Path) -> bool:
    """Whether a location names its file system, as in s3://bucket/folder."""
    return "://" in str(location)


@final
@dataclass(frozen=True)
class Remote:
    """A folder on any file system that pyarrow opens by a URI: s3, gs, abfs, hdfs, file.

    Files appear there whole: all of these file systems show an upload when it is finished, and a local one is written
    beside its name first.
    """

    uri: str

    def pull(self, relative: str, into: Path) -> bool:
        """Copy one file, or a folder with all it holds, to `into`/`relative`; False where it is not there."""
        system, root = self._opened()
        from pyarrow.fs import FileSelector, FileType

        found = system.get_file_info(f"{root}/{relative}" if relative else root)
        if found.type == FileType.NotFound:
            return False
        infos = [found] if found.is_file else system.get_file_info(FileSelector(found.path, recursive=True))
        for info in infos:
            name = info.path[len(root) + 1 :]
            if info.is_file and not _stays(name):
                _download(system, info.path, into / name)
        return True

    def push(self, folder: Path, relative: str) -> None:
        """Copy `folder`/`relative`, a file or a folder, there; metrics.json, which says that all is there, last."""
        system, root = self._opened()
        for path in _files(folder / relative):
            name = path.relative_to(folder).as_posix()
            if not _stays(name):
                _upload(system, path.read_bytes(), f"{root}/{name}")

    def prove_writable(self) -> None:
        """Write a file there and delete it; an `OSError` where that fails."""
        system, root = self._opened()
        system.create_dir(root, recursive=True)
        _upload(system, b"", f"{root}/.writable")
        self.remove(".writable")

    def remove(self, relative: str) -> None:
        """Delete one file, if it is there."""
        system, root = self._opened()
        with suppress(FileNotFoundError):
            system.delete_file(f"{root}/{relative}")

    @contextmanager
    def leased(self) -> Iterator[None]:
        """Hold the folder; a `ValueError` names who holds it already.

        A lease is renewed while it is held and runs out after `LEASE_SECONDS` when its process died. Object stores have
        no locks: two searches that begin within the same second may both see the other's lease, and then both give up.
        """
        mine = uuid4().hex
        self._refuse_if_held(mine)
        self._renew(mine)
        self._refuse_if_held(mine)
        over = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(mine, over), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()
            if self._lease().get("id") == mine:
                self.remove(LEASE)

    def _keep(self, mine: str, over: threading.Event) -> None:
        while not over.wait(LEASE_SECONDS / 3):
            # One round may fail; three have to for the lease to run out.
            with suppress(OSError):
                if self._lease().get("id") != mine:
                    # This process slept through its lease, and another search began: there must be one.
                    os.kill(os.getpid(), signal.SIGTERM)
                    return
                self._renew(mine)

    def _renew(self, mine: str) -> None:
        who = f"process {os.getpid()} on {platform.node()}"
        lease = {"id": mine, "who": who, "until": time.time() + LEASE_SECONDS}
        system, root = self._opened()
        _upload(system, json.dumps(lease).encode(), f"{root}/{LEASE}")

    def _refuse_if_held(self, mine: str) -> None:
        lease = self._lease()
        if lease and lease["id"] != mine and lease["until"] > time.time():
            seconds = lease["until"] - time.time()
            raise ValueError(
                f"--results: another search is writing to {self.uri}: {lease['who']}; its lease runs out in "
                f"{seconds:.0f} s if it died"
            )

    def _lease(self) -> dict[str, Any]:
        system, root = self._opened()
        try:
            with system.open_input_stream(f"{root}/{LEASE}") as file:
                lease: dict[str, Any] = json.loads(file.read())
        except (FileNotFoundError, ValueError):
            return {}
        return lease

    def _opened(self) -> tuple[FileSystem, str]:
        return _opened(self.uri)


@cache
def _opened(uri: str) -> tuple[FileSystem, str]:
    from pyarrow.fs import FileSystem

    try:
        system, root = FileSystem.from_uri(uri)
    except (ValueError, NotImplementedError, OSError) as error:
        raise ValueError(f"results: {uri} cannot be opened: {error}") from error
    return system, root.rstrip("/")


def _stays(name: str) -> bool:
    return name.partition("/")[0] in NOT_SHARED or name.endswith(".tmp")


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.name == "metrics.json")


def _download(system: FileSystem, source: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    with system.open_input_stream(source) as file:
        partial.write_bytes(file.read())
    partial.replace(target)


def _upload(system: FileSystem, content: bytes, target: str) -> None:
    local = system.type_name == "local"
    if system.type_name not in OBJECT_STORES:
        system.create_dir(target.rpartition("/")[0], recursive=True)
    with system.open_output_stream(f"{target}.tmp" if local else target) as file:
        file.write(content)
    if local:
        system.move(f"{target}.tmp", target)
