"""The results folder as a search opens it: proven writable, and held by one search at a time."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from export.results import Results, write_atomically


def open_results(folder: Path) -> Results:
    """The results folder, made if need be and proven writable."""
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ and not folder.is_absolute():
        raise ValueError(
            f"--results: {folder} is relative, and a Ray job's folder is thrown away: give an absolute path"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise ValueError(f"--results: {folder} cannot be written: {error.strerror}") from error
    return Results(folder.resolve())


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a results folder; a `ValueError` names the process that holds it already.

    The lock is the kernel's: it ends with its process, however that ends.
    """
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
