"""The Ray trainable: tasks one after another, or those that are alike together, in a reused worker process."""

from __future__ import annotations

import contextlib
import json
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, final

import ray
import torch
from ray import tune

from export.results import read_object, write_atomically
from trainables.assignment import Task, candidate_of
from trainables.cache import cache_folder, cached_array, content_key
from trainables.cache_holds import keep_what_is_used
from trainables.disk import NO_SPACE, is_full
from trainables.distil import StoppedEarlyError, alone
from trainables.learner import NotANumberError
from trainables.phases import teacher_alone
from trainables.population import PopulationError, together
from trainables.trial import trial

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.remote import Remote
    from trainables.assignment import Assignment
    from trainables.distil import Progress, Teaching

TASKS = "tasks"
TOGETHER = "together"
REPORT = "report"
RUNGS = "rungs.json"
CHECKPOINT_SECONDS = 15.0


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
    """Where a worker stands.

    Its threads; who may stop its trials; the run.json that it has to see where results lie in a folder, or the URI that
    they lie behind; and arrays for its cache, by key, that it fetches if its node lacks them.
    """

    threads: int = 1
    referee: Referee | None = None
    run_json: Path | None = None
    remote: Remote | None = None
    arrays: Mapping[str, Any] = field(default_factory=dict)


@final
class TrialActor(tune.Trainable):
    """The tasks of one Ray trial, one that ends in each step: in their order, or `TOGETHER` as each is done.

    A class, because Ray runs a function in a thread of its own, and torch.export in a second such thread crashes the
    process: torch 2.11 keeps a device guard that dies with the first thread.
    """

    def setup(self, config: dict[str, Any], assignment: Assignment, post: Post) -> None:  # type: ignore[override]
        """Take the first tasks."""
        self._reports: Iterator[dict[str, Any]] | None = None
        torch.set_num_threads(post.threads)
        self._assignment, self._post, self._done, self._fault = assignment, post, 0, ""
        try:
            if post.remote is not None:
                self._assignment = replace(assignment, trials=local_copy_of(post.remote) / "trials")
            for key, reference in post.arrays.items():
                cached_array(key, partial(_fetched, reference))
            keep_what_is_used()
        except (OSError, ValueError) as error:
            # Raised here it would reach the driver as a death without a reason.
            self._fault = f"a worker cannot begin: {error}"

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next tasks."""
        self._done, self._reports = 0, None
        return True

    def step(self) -> dict[str, Any]:
        """Give the report of the next task that ends.

        It is one text, because Ray would flatten the nested object into a hundred columns.
        """
        if self._reports is None:
            self._reports = self._reports_of([Task(**task) for task in self.config[TASKS]])
        report = next(self._reports)
        self._done += 1
        return {REPORT: json.dumps(report), "done": self._done == len(self.config[TASKS])}

    def _reports_of(self, tasks: Sequence[Task]) -> Iterator[dict[str, Any]]:
        if self._fault:
            return ({"name": task.name, "outcome": "halt", "reason": self._fault} for task in tasks)
        reports = (_named(self._assignment, self._post, task) for task in tasks)
        return together(list(reports)) if self.config.get(TOGETHER) else map(alone, reports)


def _named(assignment: Assignment, post: Post, task: Task) -> Teaching[dict[str, Any]]:
    return {"name": task.name, **(yield from reporting(assignment, post, task))}


def _fetched(reference: Any) -> NDArray[Any]:
    array: NDArray[Any] = ray.get(reference)
    return array


def report_of(assignment: Assignment, post: Post, task: Task) -> dict[str, Any]:
    """What a task ends with that is trained alone, as `reporting` says."""
    return alone(reporting(assignment, post, task))


def reporting(assignment: Assignment, post: Post, task: Task) -> Teaching[dict[str, Any]]:
    """What a task ended with; a failure is reported, not raised: it ends this trial alone and reaches the study.

    `outcome` is trained, stopped or failed; or retry, where the worker had too little memory or the population that it
    was in failed; or halt, where no trial of the run would fare better.
    """
    if post.run_json is not None and not post.run_json.is_file():
        reason = f"{post.run_json.parent} cannot be seen from this node; results must lie on a shared folder"
        return {"outcome": "halt", "reason": reason}
    folder = task.within(assignment).trials / str(task.number)
    try:
        return (yield from _run(assignment, post, task, folder))
    except Exception as error:
        outcome, reason = _failure(error, folder)
        if outcome == "failed":
            with contextlib.suppress(OSError):
                write_atomically(folder / "error.txt", traceback.format_exc())
        return {"outcome": outcome, "reason": reason}


def _run(assignment: Assignment, post: Post, task: Task, folder: Path) -> Teaching[dict[str, Any]]:
    upload = Upload(post.remote, task, assignment.trials.parent)
    own = task.within(assignment)
    unjudged = teacher_alone(candidate_of(own.recipe, task.params), own.epochs)

    def after_epoch(progress: Progress) -> None:
        if progress.epoch > unjudged:
            _consult(post, task, folder, progress)
        upload.checkpoint()

    upload.fetch()
    report = yield from trial(own, task.number, task.params, after_epoch)
    upload.all()
    return report


def _failure(error: Exception, folder: Path) -> tuple[str, str]:
    """Outcome and reason of what a trial raised."""
    if isinstance(error, NotANumberError):
        return "failed", str(error)
    if isinstance(error, RemoteError):
        return "halt", str(error)
    if _out_of_memory(error):
        return "retry", f"out of memory: {error}"
    if isinstance(error, PopulationError):
        return "retry", f"in a population: {error}"
    if is_full(folder) or is_full(cache_folder()) or (isinstance(error, OSError) and error.errno in NO_SPACE):
        return "halt", f"the disk is full: {error}"
    return "failed", f"{type(error).__name__}: {error}"


@final
class Upload:
    """The folder of one task, kept in step with its place behind a URI; nothing where results lie in a folder."""

    def __init__(self, remote: Remote | None, task: Task, results: Path) -> None:
        self._remote, self._name, self._results = remote, task.name, results
        self._last = time.monotonic()

    def fetch(self) -> None:
        """Take over what another node left of the task."""
        if self._remote is not None:
            with _answering(self._remote):
                self._remote.pull(self._name, self._results)

    def checkpoint(self) -> None:
        """Send the checkpoint, if the last was sent some time ago: a lost node costs no more than that."""
        if self._remote is not None and time.monotonic() - self._last > CHECKPOINT_SECONDS:
            # One that is not sent costs epochs if the node is lost, and no more.
            with contextlib.suppress(OSError):
                self._remote.push(self._results, self._name)
            self._last = time.monotonic()

    def all(self) -> None:
        """Send what a finished task leaves."""
        if self._remote is not None:
            with _answering(self._remote):
                self._remote.push(self._results, self._name)
                self._remote.remove(f"{self._name}/checkpoint.pt")


class RemoteError(RuntimeError):
    """The file system behind the results' URI does not answer."""


@contextlib.contextmanager
def _answering(remote: Remote) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RemoteError(f"{remote.uri} cannot be used: {error}") from error


def local_copy_of(remote: Remote) -> Path:
    """Where this machine keeps its copy of the results behind a URI."""
    return cache_folder() / "results" / content_key("results", remote.uri)


def _out_of_memory(error: Exception) -> bool:
    # torch has a class of its own for a GPU's memory and none for the host's.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


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
