"""The journal of a study: one line for each step, on the disk whenever a trial begins or ends."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO, Any, final

from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import get_lock_file
from optuna.storages.journal._storage import JournalOperation

_TAIL_BYTES = 1 << 16


@final
class Journal(JournalFileBackend):
    """Optuna's journal file, brought to the disk once for each change of a trial's state instead of at every step.

    A trial takes some twenty steps. What a failing machine may lose are the last ones, before any state changed.
    """

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append steps, each a line of JSON."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with get_lock_file(self._lock), Path(self._file_path).open("ab") as file:
            file.write(lines.encode())
            file.flush()
            if any(log["op_code"] == JournalOperation.SET_TRIAL_STATE_VALUES for log in logs):
                os.fsync(file.fileno())


def mend_journal(journal: Path) -> None:
    """Cut off a last line that a kill or a full disk left unfinished, and remove a dead search's lock.

    Optuna reads past such a line, but what it appends next would join it and make the journal unreadable.
    """
    lock = journal.with_name(f"{journal.name}.lock")
    lock.unlink(missing_ok=True)
    if not journal.is_file():
        return
    with journal.open("r+b") as file:
        whole = _bytes_of_whole_lines(file)
        if whole < file.seek(0, os.SEEK_END):
            file.truncate(whole)


def _bytes_of_whole_lines(file: IO[bytes]) -> int:
    at = file.seek(0, os.SEEK_END)
    while at:
        start = max(0, at - _TAIL_BYTES)
        file.seek(start)
        newline = file.read(at - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        at = start
    return 0
