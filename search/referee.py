"""The judge of a search as a Ray actor, which workers ask directly: Ray's driver stays out of the training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.stopping import Judge


@final
class RemoteReferee:
    """Asks the judge's actor. One that cannot be reached lets every trial go on."""

    def __init__(self, actor: Any, rungs: tuple[int, ...]) -> None:
        self._actor, self._rungs = actor, rungs

    @property
    def rungs(self) -> tuple[int, ...]:
        """Finished epochs at which it is asked."""
        return self._rungs

    def verdict(self, number: int, costs: Mapping[str, float], epochs: int, score: float) -> str:
        """Why the trial should stop, or nothing."""
        try:
            return str(ray.get(self._actor.verdict.remote(number, dict(costs), epochs, score)))
        except RayError:
            return ""


def start_referee(judge: Judge, rungs: tuple[int, ...]) -> RemoteReferee:
    """An actor on the driver's node that holds `judge`."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ray.remote(num_cpus=0, max_restarts=-1)(_Bench)
    return RemoteReferee(actor.options(scheduling_strategy=here).remote(judge), rungs)


@final
class _Bench:
    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def verdict(self, number: int, costs: Mapping[str, float], epochs: int, score: float) -> str:
        return self._judge.verdict(number, costs, epochs, score)
