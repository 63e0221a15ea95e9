"""Who uses which entries of the cache: a register per process, which the kernel gives up when the process ends."""

from __future__ import annotations

import atexit
import fcntl
import os
import secrets
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import final

GATE = "gate"


@contextmanager
def gate(folder: Path, alone: bool) -> Iterator[None]:
    """Many may enter a cache's gate to say what they use; who removes entries is in there `alone`."""
    with (folder / "locks" / GATE).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


@final
class Register:
    """The keys that this process uses, in a file that it keeps locked for as long as it lives.

    `take` and `give_back` count; a key that is given back may stay in the file until another is taken.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self.owner = folder, os.getpid()
        self._path = folder / "held" / f"{self.owner}-{secrets.token_hex(4)}.keys"
        self._taken: Counter[str] = Counter()
        self._written: set[str] = set()
        self._ever: set[str] = set()
        # Filled by finalizers, which run wherever Python collects: nothing but an atomic append may be done there.
        self._back: deque[str] = deque()
        self._lock = threading.Lock()
        with gate(folder, alone=False):
            self._file = self._path.open("w+", encoding="ascii")
            fcntl.flock(self._file, fcntl.LOCK_EX)
        atexit.register(self.close)

    def take(self, key: str) -> None:
        """Keep an entry, there or not, from being removed."""
        with self._lock:
            self._taken[key] += 1
            self._ever.add(key)
            if key not in self._written:
                self._write()

    def give_back(self, key: str) -> None:
        """Undo one `take`."""
        self._back.append(key)

    def keep_all(self) -> None:
        """Never give back what was taken so far."""
        with self._lock:
            self._settle()
            self._taken.update(self._ever)
            self._write()

    def _write(self) -> None:
        self._settle()
        self._written = set(self._taken)
        with gate(self._folder, alone=False):
            self._file.seek(0)
            self._file.write("".join(f"{key}\n" for key in sorted(self._written)))
            self._file.truncate()
            self._file.flush()

    def _settle(self) -> None:
        while self._back:
            self._taken[self._back.popleft()] -= 1
        self._taken = +self._taken

    def close(self) -> None:
        """Forget everything; a forked child leaves its parent's file alone."""
        if self.owner == os.getpid():
            self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()


_registers: dict[Path, Register] = {}


def register(folder: Path) -> Register:
    """This process's register in a cache."""
    mine = _registers.get(folder)
    if mine is None or mine.owner != os.getpid() or not mine._path.exists():
        mine = _registers[folder] = Register(folder)
    return mine


def keep_what_is_used() -> None:
    """What this process has opened so far stays in the cache until the process ends, mapped or not."""
    for mine in _registers.values():
        if mine.owner == os.getpid():
            mine.keep_all()


def held(folder: Path) -> dict[str, set[int]]:
    """The keys that running processes use, with their process ids."""
    found: dict[str, set[int]] = {}
    for path in (folder / "held").glob("*.keys"):
        for key in _keys_of_living(path):
            found.setdefault(key, set()).add(int(path.name.partition("-")[0]))
    return found


def forget_the_dead(folder: Path) -> None:
    """Remove the registers of processes that ended without a word; only for who is alone in the gate."""
    for path in (folder / "held").glob("*.keys"):
        if not _is_locked(path):
            path.unlink(missing_ok=True)


def _keys_of_living(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split() if _is_locked(path) else []
    except OSError:
        return []


def _is_locked(path: Path) -> bool:
    try:
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
