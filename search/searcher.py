"""Ray Tune's searcher: hands out tasks, several to a Ray trial if asked, and sees to those whose worker died."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any, Protocol, final

from ray.tune.search import Searcher

from search.optuna_tasks import HaltError
from trainables.disk import NO_SPACE
from trainables.ray_trainable import REPORT, TASKS, TOGETHER

if TYPE_CHECKING:
    from search.deaths import Deaths
    from search.populations import Populations
    from trainables.assignment import Task

LOST_NODES = 3


class Source(Protocol):
    """Where tasks come from, and who is told how they end."""

    @property
    def exhausted(self) -> bool:
        """Whether no task is left to hand out."""
        ...

    def next(self, wait: bool) -> Task | None:
        """The next task; None where there is none left, or none yet and `wait` is not asked for."""
        ...

    def ended(self, task: Task, report: Mapping[str, Any]) -> None:
        """Take the report of a task: trained, stopped or failed."""
        ...

    def close(self) -> None:
        """Keep what was begun and did not end for a later run."""
        ...


@final
class TaskSearcher(Searcher):
    """Tasks of `source` as Ray trials: `populations` of tasks that are alike and come in a row, or up to `batch` tasks.

    Ray's own OptunaSearch drops constraints and tells stopped trials as complete, hence this one. A task whose worker
    died is tried once more with nothing beside it, from its checkpoint, and then is failed; one whose node was lost is
    handed out again. `stopped_by` holds what ended the search before its time.
    """

    def __init__(self, source: Source, deaths: Deaths, batch: int = 1, populations: Populations | None = None) -> None:
        super().__init__(metric=None, mode=None)
        self._source, self._deaths, self._batch, self._populations = source, deaths, batch, populations
        self._running: dict[str, deque[Task]] = {}
        self._together: set[str] = set()
        self._gathered: deque[Task] = deque()
        self._to_repeat: deque[Task] = deque()
        self._alone: str | None = None
        self._died: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self.stopped_by: Exception | None = None

    @property
    def running(self) -> int:
        """Tasks that were handed out and did not end."""
        return sum(map(len, self._running.values()))

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """The tasks of the next Ray trial; None while there is none yet; FINISHED when there are no more."""
        try:
            return self._suggested(trial_id)
        except OSError as error:
            self._halt_for(error)
        except (ValueError, RuntimeError) as error:
            self.stopped_by = error
        return Searcher.FINISHED

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Take the report of one task of a batch."""
        self._settle(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Take the report of a Ray trial's last task, or its death."""
        if not error and result and REPORT in result:
            self._settle(trial_id, result)
        self._gone(trial_id, self._deaths.reason(trial_id))

    def all_died(self, reason: str) -> None:
        """Every running worker is gone: each task that was begun may be the one at fault."""
        for trial_id in list(self._running):
            self._gone(trial_id, reason)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study's journal holds it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: a resumed run opens the study's journal."""

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles the searcher into its own experiment folder, which nothing here reads back.
        return {}

    def _suggested(self, trial_id: str) -> dict[str, Any] | str | None:
        if self.stopped_by is not None:
            return Searcher.FINISHED if not self._running else None
        if self._to_repeat or self._alone is not None:
            return self._alone_in(trial_id) if not self._running else None
        size = self._gather()
        if size:
            together = size > 1 and self._most() > 1
            return self._handed(trial_id, [self._gathered.popleft() for _ in range(size)], together)
        # Until the last one ended: its worker may die, and then it is handed out again.
        over = self._source.exhausted and not self._running and not self._gathered
        return Searcher.FINISHED if over else None

    def _gather(self) -> int:
        """How many of the tasks gathered make the next Ray trial; 0 while more may join them."""
        while True:
            size, room = self._share()
            task = self._source.next(wait=not self._running) if room else None
            if task is None:
                return 0 if room and not self._source.exhausted else size
            self._gathered.append(task)

    def _share(self) -> tuple[int, bool]:
        """How many come next of those gathered, and whether there is room for one more."""
        most = self._most()
        if most == 1:
            size = min(self._batch, len(self._gathered))
            return size, size < self._batch
        alike = sum(1 for _ in takewhile(self._like_the_first, islice(self._gathered, most)))
        return alike, alike == len(self._gathered) < most

    def _most(self) -> int:
        """Members of the next population; 1 where the next task is to be in none."""
        return self._populations.most(self._gathered[0]) if self._populations and self._gathered else 1

    def _like_the_first(self, task: Task) -> bool:
        return self._populations is not None and self._populations.alike(self._gathered[0], task)

    def _alone_in(self, trial_id: str) -> dict[str, Any]:
        self._alone = trial_id
        return self._handed(trial_id, [self._to_repeat.popleft()])

    def _handed(self, trial_id: str, tasks: list[Task], together: bool = False) -> dict[str, Any]:
        self._running[trial_id] = deque(tasks)
        if together:
            self._together.add(trial_id)
        return {TASKS: [asdict(task) for task in tasks], TOGETHER: together}

    def _gone(self, trial_id: str, reason: str) -> None:
        tasks = self._running.pop(trial_id)
        self._alone = None if self._alone == trial_id else self._alone
        if trial_id in self._together:
            # All were begun: each may be the one at fault.
            for task in tasks:
                self._bury(task, reason)
        elif tasks:
            self._bury(tasks.popleft(), reason)
            # Those behind it in the batch were not begun.
            self._gathered.extendleft(reversed(tasks))

    def _settle(self, trial_id: str, result: Mapping[str, Any]) -> None:
        report = json.loads(result[REPORT])
        tasks = self._running.get(trial_id, deque())
        # Ray gives the last report of a trial twice.
        task = next((task for task in tasks if task.name == report["name"]), None)
        if task is None:
            return
        tasks.remove(task)
        if report["outcome"] == "halt":
            self.stopped_by = HaltError(report["reason"])
        elif report["outcome"] == "retry":
            self._bury(task, report["reason"])
        else:
            self._tell(task, report)

    def _bury(self, task: Task, reason: str) -> None:
        if self._deaths.by_node(reason) and self._lost[task.name] < LOST_NODES:
            self._lost[task.name] += 1
            self._gathered.appendleft(task)
        elif not self._died[task.name]:
            self._died[task.name] += 1
            self._to_repeat.append(task)
        else:
            self._tell(task, {"outcome": "failed", "reason": f"{reason}, and again with nothing beside it"})

    def _tell(self, task: Task, report: Mapping[str, Any]) -> None:
        try:
            self._source.ended(task, report)
        except OSError as error:
            # The task's folder holds the report: the next search tells it.
            self._halt_for(error)

    def _halt_for(self, error: OSError) -> None:
        what = "the disk is full" if error.errno in NO_SPACE else str(error)
        self.stopped_by = HaltError(f"{what}: {error.filename or 'the study'} cannot be written")
