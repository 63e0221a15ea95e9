"""Tasks from a list, for trainings that no study proposes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from trainables.assignment import Task


@final
class ListedTasks:
    """Each task once, in order; `told` hears how it ended."""

    def __init__(self, tasks: Sequence[Task], told: Callable[[Task, Mapping[str, Any]], None]) -> None:
        self._tasks, self._told = deque(tasks), told

    @property
    def exhausted(self) -> bool:
        """Whether no task is left to hand out."""
        return not self._tasks

    def next(self, wait: bool) -> Task | None:
        """The next task."""
        return self._tasks.popleft() if self._tasks else None

    def ended(self, task: Task, report: Mapping[str, Any]) -> None:
        """Pass the report on."""
        self._told(task, report)

    def close(self) -> None:
        """Nothing to keep: an unfinished task has its checkpoint."""
