"""Which tasks are taught together, and how many of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

from trainables.assignment import candidate_of
from trainables.crossover import members_that_pay

if TYPE_CHECKING:
    from trainables.assignment import Task


@final
class Populations:
    """Populations of a recipe's tasks: of `asked` members, or where that is None of as many as pay on the device.

    `workers` share the tasks: no population takes so many that another worker has nothing to do.
    """

    def __init__(self, recipe: str, device: str, asked: int | None, tasks: int, workers: int) -> None:
        self._recipe, self._device, self._asked = recipe, device, asked
        self._fair = max(1, -(-tasks // workers))
        self._known: dict[str, tuple[str, int]] = {}

    def most(self, task: Task) -> int:
        """How many tasks with this one among them are taught together; 1: it is taught alone."""
        return min(self._of(task)[1], self._fair)

    def alike(self, task: Task, other: Task) -> bool:
        """Whether two tasks train one architecture as long."""
        return self._kind(task) == self._kind(other)

    def in_runs(self, tasks: Sequence[Task]) -> list[Task]:
        """The tasks with those that are alike one after another, in the order of the first of each kind."""
        first: dict[object, int] = {}
        for place, task in enumerate(tasks):
            first.setdefault(self._kind(task), place)
        return sorted(tasks, key=lambda task: first[self._kind(task)])

    def _kind(self, task: Task) -> tuple[str, int | None]:
        return self._of(task)[0], task.epochs

    def _of(self, task: Task) -> tuple[str, int]:
        """Architecture, and the members that it is worth."""
        name = repr(sorted(task.params.items()))
        if name not in self._known:
            candidate = candidate_of(self._recipe, task.params)
            pay = members_that_pay(candidate.student, self._device) if self._asked is None else self._asked
            self._known[name] = candidate.architecture, max(1, pay)
        return self._known[name]
