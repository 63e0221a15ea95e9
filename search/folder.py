"""The results of a search as it opens them: a folder, or a URI with a copy on this machine; held by one search."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import final

from filelock import FileLock, Timeout

from export.remote import Remote, is_uri
from export.results import Results, write_atomically
from trainables.ray_trainable import local_copy_of

# What stays in a local copy that is made anew: this machine's own, and trials, of which one may be finished here and
# not have got there; a trial is known by its parameters.
_OURS = (".lock", ".owner", "wandb", "trials", "confirm", "labels_alone", "final")


@final
@dataclass(frozen=True)
class Store:
    """Results on this machine, and the URI that they belong behind, if they do."""

    results: Results
    remote: Remote | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the results for one search; a `ValueError` names the process that holds them already."""
        with _locked(self.results.folder):
            if self.remote is None:
                yield
                return
            with _holding(self.remote):
                with _answering(self.remote):
                    self._copy_anew(self.remote)
                try:
                    yield
                finally:
                    with _answering(self.remote):
                        self.remote.push(self.results.folder, "")

    def before_a_trial(self) -> None:
        """Let no worker begin a trial that the study behind the URI does not know."""
        if self.remote is not None:
            self.remote.push(self.results.folder, self.results.journal.name)

    def after_a_task(self, name: str) -> None:
        """Bring what another node left of a finished task here."""
        if self.remote is not None and not (self.results.folder / name / "metrics.json").is_file():
            self.remote.pull(name, self.results.folder)

    def share(self, path: Path) -> None:
        """Send one file of the results there."""
        if self.remote is not None:
            self.remote.push(self.results.folder, path.relative_to(self.results.folder).as_posix())

    def _copy_anew(self, remote: Remote) -> None:
        for entry in self.results.folder.iterdir():
            if entry.name not in _OURS:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        remote.pull("", self.results.folder)


def open_results(location: str | Path) -> Results:
    """A results folder, made if need be and proven writable."""
    folder = Path(location)
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ and not folder.is_absolute():
        raise ValueError(
            f"--results: {folder} is relative, and a Ray job's folder is thrown away: give an absolute path or a URI"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise ValueError(f"--results: {folder} cannot be written: {error.strerror}") from error
    return Results(folder.resolve())


def open_store(location: str) -> Store:
    """The results at a path, or behind a URI of a file system that pyarrow knows."""
    if not is_uri(location):
        return Store(open_results(location))
    remote = Remote(location)
    with _answering(remote):
        remote.prove_writable()
    return Store(open_results(local_copy_of(remote)), remote)


@contextmanager
def _holding(remote: Remote) -> Iterator[None]:
    lease = remote.leased()
    with _answering(remote):
        lease.__enter__()
    try:
        yield
    finally:
        with _answering(remote):
            lease.__exit__(None, None, None)


@contextmanager
def _answering(remote: Remote) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueError(f"--results: {remote.uri} cannot be used: {error}") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    # The lock is the kernel's: it ends with its process, however that ends.
    owner = folder / ".owner"
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = owner.read_text() if owner.is_file() else "a process that just began"
        raise ValueError(f"--results: another search is writing to {folder}: {who}") from None
    try:
        write_atomically(owner, f"process {os.getpid()} on {platform.node()} since {datetime.now():%Y-%m-%d %H:%M:%S}")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
