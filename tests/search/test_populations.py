"""Which tasks come together in one Ray trial: from lists, from a study, and after a death."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import spaces
from export.results import Results
from search.architecture import architecture_of
from search.command_line import parser_of
from search.deaths import Deaths
from search.listed_tasks import ListedTasks
from search.optuna_tasks import OptunaTasks
from search.populations import Populations
from search.searcher import TaskSearcher
from search.study import open_study
from spaces.budget import Budget, Footprint
from spaces.candidate import Scalar, Student
from spaces.narrowed import NarrowedSpace, Narrowing, parameters
from trainables.assignment import Task, candidate_of
from trainables.crossover import members_that_pay
from trainables.ray_trainable import REPORT, TASKS, TOGETHER

SPACE = spaces.recipe_space("wakeword")
TINY, LONG = (dict(SPACE.START_POINTS[number]) for number in (0, 1))
GRU: dict[str, Scalar] = {
    **{name: value for name, value in TINY.items() if not name.startswith("tiny_conv")},
    **{"student": "gru", "gru_hidden": 32, "gru_depth": 1},
}


def searcher(tasks: list[Task], asked: int | None = 8, workers: int = 1, batch: int = 1) -> tuple[TaskSearcher, Any]:
    told: list[tuple[str, str]] = []
    populations = Populations("wakeword", "cpu", asked, len(tasks), workers)
    source = ListedTasks(populations.in_runs(tasks), lambda task, report: told.append((task.name, report["outcome"])))
    return TaskSearcher(source, Deaths(), batch, populations), told


def seeds(params: Mapping[str, Scalar], folder: str, count: int = 3) -> list[Task]:
    return [Task(seed, params, seed=seed, trials=f"confirm/{folder}") for seed in range(count)]


def names(config: Any) -> list[str]:
    assert isinstance(config, dict), config
    return [f"{task['trials']}/{task['number']}" for task in config[TASKS]]


def report(name: str, outcome: str = "trained") -> dict[str, Any]:
    return {REPORT: json.dumps({"name": name, "outcome": outcome, "reason": "why"})}


def test_tasks_of_one_architecture_come_together_in_any_order() -> None:
    twins = {**TINY, "alpha": 1.0, "peak_lr": 3e-3}
    listed = [seeds(TINY, "0"), seeds(LONG, "1"), seeds(twins, "2")]
    mixed = [task for three in zip(*listed, strict=True) for task in three]
    ours, told = searcher(mixed)
    config = ours.suggest("a")
    first = names(config)
    assert isinstance(config, dict)
    assert (sorted(first), config[TOGETHER]) == ([f"confirm/{f}/{n}" for f in "02" for n in range(3)], True)
    assert sorted(names(ours.suggest("b"))) == [f"confirm/1/{n}" for n in range(3)]
    for name in reversed(first):
        ours.on_trial_result("a", report(name))
    ours.on_trial_complete("a", report(first[0]))
    assert told == [(name, "trained") for name in reversed(first)]
    assert ours.running == 3


def test_no_population_is_larger_than_asked_or_than_a_worker_s_share() -> None:
    assert len(names(searcher(seeds(TINY, "0", 9), asked=4)[0].suggest("a"))) == 4
    assert len(names(searcher(seeds(TINY, "0", 9), workers=3)[0].suggest("a"))) == 3


def test_one_at_a_time_where_it_does_not_pay() -> None:
    ours, _ = searcher(seeds(TINY, "0"), asked=None)
    config = ours.suggest("a")
    assert isinstance(config, dict)
    assert (len(config[TASKS]), config[TOGETHER]) == (1, False)
    assert len(names(searcher(seeds(TINY, "0"), asked=None, batch=2)[0].suggest("a"))) == 2
    assert len(names(searcher(seeds(GRU, "0"), asked=None)[0].suggest("a"))) == 3


def test_a_run_of_another_length_is_apart() -> None:
    tasks = [*seeds(TINY, "0"), Task(7, TINY, epochs=150, trials="final")]
    ours, _ = searcher(tasks)
    assert len(names(ours.suggest("a"))) == 3
    assert names(ours.suggest("b")) == ["final/7"]


def test_when_a_population_s_worker_dies_each_is_repeated_alone() -> None:
    ours, told = searcher(seeds(TINY, "0"))
    whole = names(ours.suggest("a"))
    ours.on_trial_result("a", report(whole[1]))
    ours.on_trial_complete("a", error=True)
    for name, again in ((whole[0], "b"), (whole[2], "c")):
        config = ours.suggest(again)
        assert names(config) == [name]
        assert isinstance(config, dict)
        assert not config[TOGETHER]
        assert ours.suggest("x") is None
        ours.on_trial_complete(again, error=True)
    assert told == [(whole[1], "trained"), (whole[0], "failed"), (whole[2], "failed")]


def test_what_fails_as_a_population_is_repeated_alone() -> None:
    ours, told = searcher(seeds(TINY, "0", 2))
    whole = names(ours.suggest("a"))
    ours.on_trial_result("a", report(whole[0], "retry"))
    ours.on_trial_complete("a", report(whole[1], "retry"))
    assert names(ours.suggest("b")) == whole[:1]
    ours.on_trial_complete("b", report(whole[0]))
    assert names(ours.suggest("c")) == whole[1:]
    ours.on_trial_complete("c", report(whole[1]))
    assert told == [(name, "trained") for name in whole]


class Footprints:
    """Of the front ends few fit beside those of the start points."""

    ahead = 2

    def start(self, params: Mapping[str, Scalar]) -> Any:
        # TFLM's front end has neither.
        arena = (
            1_000 if (params.get("mels", 40), params.get("hop_ms", 10)) in ((40, 10), (64, 10), (64, 16)) else 99_000
        )
        footprint = Footprint(1000, arena, arena, 1.0, 1.0, 1.0, 2.0, 2.0, "sram", "board", "1")
        return SimpleNamespace(ready=lambda: True, get=lambda: footprint)


def test_a_study_asks_for_one_architecture_at_a_time(tmp_path: Path) -> None:
    narrowing = Narrowing({"student": "ds_cnn", "front_end": "log_mel"})
    study = open_study(Results(tmp_path), "wakeword", SPACE, narrowing, SPACE.BUDGET, 0)
    populations = Populations("wakeword", "cpu", 3, 18, 1)
    budget = Budget(flash_bytes=1e9, arena_bytes=50_000, latency_ms=1e9)
    folder = tmp_path / "trials"
    source = OptunaTasks(study, SPACE, narrowing, budget, Footprints(), folder, 18, populations=populations)
    tasks = [task for task in (source.next(wait=True) for _ in range(15)) if task]
    architectures = [candidate_of("wakeword", task.params).architecture for task in tasks]
    assert [len(list(group)) for _, group in groupby(architectures)] == [3, 3, 3, 3, 3]
    assert len({json.dumps(dict(task.params), sort_keys=True) for task in tasks}) == 15
    for place in range(0, 15, 3):
        first, *others = tasks[place : place + 3]
        shared = architecture_of(NarrowedSpace(SPACE, narrowing), parameters(SPACE), first.params)
        for task in others:
            proposed = source._started[task.number].relative_params
            assert {name: proposed[name] for name in shared} == shared, "the rest was proposed for this architecture"
    refused = [trial for trial in study.get_trials() if trial.user_attrs.get("outcome") == "refused"]
    assert refused
    assert all("beside" not in trial.user_attrs for trial in refused)


def test_what_decides_an_architecture() -> None:
    space = NarrowedSpace(SPACE, Narrowing())
    kept = architecture_of(space, parameters(SPACE), TINY)
    names = {
        "student",
        "front_end",
        "mels",
        "hop_ms",
        "clip_ms",
        "tiny_conv_width",
        "tiny_conv_depth",
        "tiny_conv_depthwise",
    }
    assert kept == {name: TINY[name] for name in names}


def test_where_populations_pay() -> None:
    assert members_that_pay(Student("gru", {"hidden": 32, "depth": 1}), "cpu") > 1
    assert members_that_pay(Student("ds_cnn", {"width": 32}), "cpu") == 1
    assert members_that_pay(Student("ds_cnn", {"width": 32}), "cuda") > 1


@pytest.mark.parametrize(("text", "members"), [("auto", None), ("off", 1), ("1", 1), ("6", 6)])
def test_how_many_the_command_line_asks_for(text: str, members: int | None) -> None:
    assert parser_of("wakeword", SPACE, []).parse_args(["--population", text]).population == members


@pytest.mark.parametrize("text", ["0", "-3", "many"])
def test_other_numbers_are_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser_of("wakeword", SPACE, []).parse_args([f"--population={text}"])
    assert f"'{text}' must be auto, off or a number of students" in capsys.readouterr().err
