"""Why workers died, kept from Ray's scheduler for the searcher, which is not told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from ray.tune.schedulers import FIFOScheduler

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

LOST_NODE = "the node of the worker was lost"
KILLED = "the worker process died: it was killed, for example for want of memory, or it crashed"
OUT_OF_MEMORY = "the worker process was killed: out of memory"


@final
class Deaths(FIFOScheduler):
    """Trials in order, none stopped by Ray; it only remembers the errors, of which Ray tells a scheduler first."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._reasons: dict[str, str] = {}

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Remember why."""
        path = Path(trial.error_file or "")
        self._reasons[trial.trial_id] = _reason_in(path.read_text() if path.is_file() else "")

    def reason(self, trial_id: str) -> str:
        """Why the worker of a Ray trial died."""
        return self._reasons.pop(trial_id, KILLED)

    def by_node(self, reason: str) -> bool:
        """Whether the fault was the node's and not the task's."""
        return reason == LOST_NODE


def _reason_in(text: str) -> str:
    # Ray tells the cause in words alone.
    if "running low on memory" in text or "OutOfMemory" in text:
        return OUT_OF_MEMORY
    return LOST_NODE if "node has died" in text or "node died" in text else KILLED
