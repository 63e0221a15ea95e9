"""Batches, workers that die and faults that end a search, with tasks from a list."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ray.tune.search import Searcher

from search.deaths import KILLED, LOST_NODE, OUT_OF_MEMORY, Deaths
from search.listed_tasks import ListedTasks
from search.searcher import TaskSearcher
from trainables.assignment import Task
from trainables.ray_trainable import REPORT, TASKS

Told = list[tuple[int, str, str]]


class Reasons(Deaths):  # type: ignore[misc]
    """Deaths whose cause a test names."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.cause = reason

    def reason(self, trial_id: str) -> str:
        return self.cause


def searcher(count: int, batch: int = 1, reason: str = KILLED) -> tuple[TaskSearcher, Told]:
    told: Told = []

    def hear(task: Task, report: Mapping[str, Any]) -> None:
        told.append((task.number, report["outcome"], report.get("reason", "")))

    source = ListedTasks([Task(number, {"x": number}) for number in range(count)], hear)
    return TaskSearcher(source, Reasons(reason), batch), told


def numbers(config: object) -> list[int]:
    assert isinstance(config, dict), config
    return [task["number"] for task in config[TASKS]]


def result(number: int, outcome: str = "trained", reason: str = "") -> dict[str, Any]:
    return {REPORT: json.dumps({"name": f"trials/{number}", "outcome": outcome, "reason": reason})}


def test_a_batch_is_told_task_by_task_and_each_once() -> None:
    ours, told = searcher(5, batch=3)
    assert numbers(ours.suggest("a")) == [0, 1, 2]
    ours.on_trial_result("a", result(0))
    assert [number for number, *_ in told] == [0]
    ours.on_trial_result("a", result(1, "failed", "loss: nan"))
    ours.on_trial_result("a", result(2))
    ours.on_trial_complete("a", result(2))
    assert told == [(0, "trained", ""), (1, "failed", "loss: nan"), (2, "trained", "")]
    assert numbers(ours.suggest("b")) == [3, 4]
    assert ours.running == 2
    ours.on_trial_result("b", result(3))
    ours.on_trial_complete("b", result(4))
    assert ours.suggest("c") == Searcher.FINISHED


def test_a_dead_worker_s_task_is_repeated_alone_and_then_failed() -> None:
    ours, told = searcher(3, reason=OUT_OF_MEMORY)
    assert numbers(ours.suggest("a")) == [0]
    assert numbers(ours.suggest("b")) == [1]
    ours.on_trial_complete("a", error=True)
    assert ours.suggest("c") is None, "the other trial still runs"
    ours.on_trial_complete("b", result(1))
    assert numbers(ours.suggest("c")) == [0]
    assert ours.suggest("d") is None, "nothing runs beside it"
    ours.on_trial_complete("c", error=True)
    assert told[1:] == [(0, "failed", f"{OUT_OF_MEMORY}, and again with nothing beside it")]
    assert numbers(ours.suggest("d")) == [2]


def test_a_repeated_task_that_ends_well_is_told_so() -> None:
    ours, told = searcher(1)
    ours.suggest("a")
    assert ours.suggest("b") is None, "the search is not over while a worker may die"
    ours.on_trial_complete("a", error=True)
    assert numbers(ours.suggest("b")) == [0]
    ours.on_trial_complete("b", result(0))
    assert told == [(0, "trained", "")]
    assert ours.suggest("c") == Searcher.FINISHED


def test_too_little_memory_without_a_death_is_repeated_too() -> None:
    ours, told = searcher(1)
    for name in ("a", "b"):
        assert numbers(ours.suggest(name)) == [0]
        ours.on_trial_complete(name, result(0, "retry", "out of memory: 3 GiB"))
    assert told == [(0, "failed", "out of memory: 3 GiB, and again with nothing beside it")]


def test_those_behind_a_dead_task_of_a_batch_come_again_as_if_never_begun() -> None:
    ours, told = searcher(3, batch=3)
    ours.suggest("a")
    ours.on_trial_result("a", result(0))
    ours.on_trial_complete("a", error=True)
    assert numbers(ours.suggest("b")) == [1], "alone"
    ours.on_trial_complete("b", result(1))
    assert numbers(ours.suggest("c")) == [2]
    ours.on_trial_complete("c", result(2))
    assert [number for number, *_ in told] == [0, 1, 2]


def test_a_lost_node_is_not_the_task_s_fault() -> None:
    ours, told = searcher(2, reason=LOST_NODE)
    ours.suggest("a")
    for name in ("b", "c", "d"):
        ours.on_trial_complete(chr(ord(name) - 1), error=True)
        assert numbers(ours.suggest(name)) == [0]
        assert not told
    ours.on_trial_complete("d", error=True)
    assert numbers(ours.suggest("e")) == [0]
    assert ours.suggest("f") is None, "by now it is tried alone"


def test_a_fault_that_all_would_meet_ends_the_search() -> None:
    ours, told = searcher(9)
    ours.suggest("a")
    ours.suggest("b")
    ours.on_trial_complete("a", result(0, "halt", "the disk is full"))
    assert ours.suggest("c") is None, "what runs may end"
    ours.on_trial_complete("b", result(1))
    assert ours.suggest("c") == Searcher.FINISHED
    assert str(ours.stopped_by) == "the disk is full"
    assert told == [(1, "trained", "")]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_study_that_cannot_be_written_ends_the_search(number: int) -> None:
    def full(task: Task, report: Mapping[str, Any]) -> None:
        raise OSError(number, "No space left on device", "study.journal")

    ours = TaskSearcher(ListedTasks([Task(0, {}), Task(1, {})], full), Deaths())
    ours.suggest("a")
    ours.on_trial_complete("a", result(0))
    assert ours.suggest("b") == Searcher.FINISHED
    assert str(ours.stopped_by) == "the disk is full: study.journal cannot be written"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ActorDiedError: The actor died because its node has died. Node Id: 12", LOST_NODE),
        ("Task was killed due to the node running low on memory.", OUT_OF_MEMORY),
        ("Worker unexpectedly exits with a connection error code 2. End of file.", KILLED),
    ],
)
def test_reasons_are_read_from_what_ray_wrote(tmp_path: Any, text: str, reason: str) -> None:
    path = tmp_path / "error.txt"
    path.write_text(text)
    deaths = Deaths()
    deaths.on_trial_error(None, cast("Any", SimpleNamespace(trial_id="a", error_file=str(path))))
    assert deaths.reason("a") == reason
    assert deaths.reason("unknown") == KILLED
