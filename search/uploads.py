"""Uploads of finished W&B runs by W&B's own command, which may fail, hang or find no network."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, final

from search.views import STUDY_RUN, recorded, uploaded

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from export.results import Results

REACHING_SECONDS = 3.0
STOPPING_SECONDS = 5.0
STUCK_SECONDS = 120.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 10.0, 600.0
RUNS_PER_UPLOAD = 64


def base_url() -> str:
    """Address of the W&B server."""
    return os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")


@final
class Uploads:
    """W&B's own `wandb sync` over the finished runs, one process at a time; rarer and rarer where nothing arrives."""

    def __init__(self, results: Results, online: bool) -> None:
        self._results, self._online = results, online
        self._process: subprocess.Popen[bytes] | None = None
        self._batch: list[Path] = []
        self._ending = False
        self._begun = self._next = self._pause = 0.0

    def go_on(self) -> None:
        """Begin the next upload if it is time; look after the running one. Waits for a dead network a few seconds."""
        if not self._online or self._running() or time.monotonic() < self._next:
            return
        left = self._left()
        if not left:
            return
        self._batch, self._begun = left[:RUNS_PER_UPLOAD], time.monotonic()
        if _reachable():
            self._process = _sync(self._batch)
        else:
            self._pause_longer()

    def finish(self, seconds: float) -> None:
        """Upload what is left, for so long at most."""
        until, self._next, self._ending = time.monotonic() + seconds, 0.0, True
        self.go_on()
        while self._process is not None and time.monotonic() < until:
            time.sleep(0.1)
            self.go_on()
        self._stop()

    def _left(self) -> list[Path]:
        left = {name: folder for name, folder in recorded(self._results).items() if not uploaded(folder)}
        # An earlier search's run of the study may be replaced while it is on its way.
        return [folder for name, folder in left.items() if self._ending or not name.endswith(STUDY_RUN)]

    def _running(self) -> bool:
        if self._process is None:
            return False
        if self._process.poll() is None and time.monotonic() - self._begun < STUCK_SECONDS:
            return True
        self._stop()
        if any(uploaded(folder) for folder in self._batch):
            self._pause = 0.0
        else:
            self._pause_longer()
        return False

    def _pause_longer(self) -> None:
        self._pause = min(max(2 * self._pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        self._next = time.monotonic() + self._pause

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=STOPPING_SECONDS)
            self._process.kill()
            self._process.wait()
        self._process = None


def _reachable() -> bool:
    # W&B itself would try a dead network for minutes.
    try:
        with urllib.request.urlopen(base_url(), timeout=REACHING_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


def _sync(folders: Sequence[Path]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "wandb", "sync", *map(str, folders)],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        env={**os.environ, "WANDB_SILENT": "false"},
    )
