"""Footprints of untrained students, worked out by Ray actors beside the trials and kept on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import cycle
from typing import TYPE_CHECKING, Any, final

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from spaces.budget import Footprint
from trainables.untrained import footprint_of_untrained, keep_footprint, known_footprint

if TYPE_CHECKING:
    from spaces.candidate import Scalar
    from trainables.assignment import Assignment

MOST_WORKERS = 4
LOST_ACTORS = 3


@final
class KnownFootprint:
    """A footprint that is there already."""

    def __init__(self, footprint: Footprint) -> None:
        self._footprint = footprint

    def ready(self) -> bool:
        """Always."""
        return True

    def get(self) -> Footprint:
        """Give it."""
        return self._footprint


@final
class _FootprintOnItsWay:
    def __init__(self, ask: Callable[[], Any], assignment: Assignment, params: Mapping[str, Scalar]) -> None:
        self._ask, self._assignment, self._params = ask, assignment, params
        self._reference, self._lost = ask(), 0

    def ready(self) -> bool:
        return bool(ray.wait([self._reference], timeout=0)[0])

    def get(self) -> Footprint:
        footprint = Footprint(**self._answer())
        # The actor may have run on another node, with a cache of its own.
        with suppress(OSError):
            keep_footprint(self._assignment, self._params, footprint)
        return footprint

    def _answer(self) -> dict[str, Any]:
        while True:
            try:
                answer: dict[str, Any] = ray.get(self._reference)
            except RayError as error:
                # An actor or its node that died is not the candidate's fault; what the candidate raised is.
                if isinstance(error, RayTaskError) or self._lost == LOST_ACTORS:
                    raise
                self._lost += 1
                self._reference = self._ask()
            else:
                return answer


@final
class FootprintWorkers:
    """Actors that convert and profile untrained students; at most `MOST_WORKERS`, one for two `cpus`.

    What the cache holds needs no actor. An actor is begun when it is first needed, because it holds 700 MB.
    """

    def __init__(self, assignment: Assignment, cpus: int) -> None:
        self._count = max(1, min(MOST_WORKERS, cpus // 2))
        self._assignment = assignment
        # With each call rather than once, so that an actor which died can be started anew.
        self._shared = ray.put(assignment)
        self._actors: list[Any] = []
        self._turns = cycle(range(self._count))
        self.ahead = self._count + 1

    def start(self, params: Mapping[str, Scalar]) -> KnownFootprint | _FootprintOnItsWay:
        """Look one up, or queue it; waiting for it raises what went wrong in the actor."""
        known = known_footprint(self._assignment, params)
        if known is not None:
            return KnownFootprint(known)
        wanted = dict(params)
        return _FootprintOnItsWay(
            lambda: self._actor().footprint.remote(self._shared, wanted), self._assignment, wanted
        )

    def _actor(self) -> Any:
        turn = next(self._turns)
        if turn >= len(self._actors):
            actor: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=2)(_FootprintActor)
            # On the driver's node if it can be: there the cache is the one that is looked into.
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
            self._actors.append(actor.options(scheduling_strategy=here).remote())
        return self._actors[turn]


@final
class _FootprintActor:
    def footprint(self, assignment: Assignment, params: Mapping[str, Scalar]) -> dict[str, Any]:
        return footprint_of_untrained(assignment, params).as_dict()
