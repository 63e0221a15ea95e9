"""The Ray trainable: one task after another in a reused worker process."""

from __future__ import annotations

import contextlib
import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, final

import torch
from ray import tune

from export.results import read_object, write_atomically
from trainables.disk import is_full
from trainables.distil import NotANumberError, StoppedEarlyError
from trainables.trial import Task, run_trial

if TYPE_CHECKING:
    from trainables.distil import Progress
    from trainables.trial import Assignment

TASKS = "tasks"
REPORT = "report"
RUNGS = "rungs.json"


class Referee(Protocol):
    """Who decides, at some epochs, whether a trial is worth going on with."""

    @property
    def rungs(self) -> tuple[int, ...]:
        """Finished epochs at which it is asked."""
        ...

    def verdict(self, number: int, costs: Mapping[str, float], epochs: int, score: float) -> str:
        """Why the trial should stop, or nothing. Asked again, it answers the same."""
        ...


@final
@dataclass(frozen=True)
class Post:
    """Where a worker stands: its threads, who may stop its trials, and the run that its results belong to."""

    threads: int = 1
    referee: Referee | None = None
    run_json: Path | None = None


@final
class TrialActor(tune.Trainable):
    """The tasks of one Ray trial, one in each step.

    A class, because Ray runs a function in a thread of its own, and torch.export in a second such thread crashes the
    process: torch 2.11 keeps a device guard that dies with the first thread.
    """

    def setup(self, config: dict[str, Any], assignment: Assignment, post: Post) -> None:  # type: ignore[override]
        """Take the first tasks."""
        torch.set_num_threads(post.threads)
        self._assignment, self._post, self._done = assignment, post, 0

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next tasks."""
        self._done = 0
        return True

    def step(self) -> dict[str, Any]:
        """Run the next of the config's tasks.

        The report is one text, because Ray would flatten the nested object into a hundred columns.
        """
        tasks = self.config[TASKS]
        task = Task(**tasks[self._done])
        self._done += 1
        report = {"name": task.name, **report_of(self._assignment, self._post, task)}
        return {REPORT: json.dumps(report), "done": self._done == len(tasks)}


def report_of(assignment: Assignment, post: Post, task: Task) -> dict[str, Any]:
    """What a task ended with; a failure is reported, not raised: it ends this trial alone and reaches the study.

    `outcome` is trained, stopped or failed; or retry, where the worker had too little memory; or halt, where no trial
    of the run would fare better.
    """
    assignment = task.within(assignment)
    folder = assignment.trials / str(task.number)
    if post.run_json is not None and not post.run_json.is_file():
        return _halt(f"{post.run_json.parent} cannot be seen from this node; results must lie on a shared folder")
    try:
        return run_trial(assignment, task.number, task.params, lambda progress: _consult(post, task, folder, progress))
    except NotANumberError as error:
        return {"outcome": "failed", "reason": str(error)}
    except Exception as error:
        if _out_of_memory(error):
            return {"outcome": "retry", "reason": f"out of memory: {error}"}
        if is_full(folder):
            return _halt(f"the disk of {folder} is full")
        with contextlib.suppress(OSError):
            write_atomically(folder / "error.txt", traceback.format_exc())
        return {"outcome": "failed", "reason": f"{type(error).__name__}: {error}"}


def _out_of_memory(error: Exception) -> bool:
    # torch has a class of its own for a GPU's memory and none for the host's.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _halt(reason: str) -> dict[str, Any]:
    return {"outcome": "halt", "reason": reason}


def _consult(post: Post, task: Task, folder: Path, progress: Progress) -> None:
    """Ask the referee at a rung, and keep its verdict: it must outlive a driver that dies before it is told."""
    if post.referee is None or progress.epoch not in post.referee.rungs:
        return
    path, score = folder / RUNGS, progress.best_score
    verdict = post.referee.verdict(task.number, task.costs, progress.epoch, score)
    known = read_object(path) if path.is_file() else {}
    known[str(progress.epoch)] = {"score": score, "costs": dict(task.costs), "stop": verdict}
    write_atomically(path, json.dumps(known))
    if verdict:
        raise StoppedEarlyError(progress, verdict)
