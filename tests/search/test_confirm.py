"""Which second looks a results folder still lacks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from export.results import Results
from search.confirm import line, second_looks
from search.options import Options
from spaces import recipe_space
from spaces.board import load_board
from spaces.twin import labels_alone, twin_folder
from tests.export.results_folder import ResultsFolder
from trainables.assignment import Task
from trainables.recipe import Request


@pytest.fixture
def made(tmp_path: Path) -> ResultsFolder:
    folder = ResultsFolder(tmp_path / "results")
    folder.trained(0.95, 40.0, 60_000)
    folder.trained(0.90, 20.0, 20_000)
    return folder


def asked(folder: ResultsFolder, confirm: int) -> list[Task]:
    space = recipe_space("wakeword")
    board = load_board(space.BOARD)
    options = Options("wakeword", str(folder.folder), 2, 1, board, space.BUDGET, Request(), confirm=confirm)
    return second_looks(options, Results(folder.folder))


def of(folder: ResultsFolder, number: int) -> str:
    twin = labels_alone("wakeword", folder.study.trials[number].params)
    assert twin is not None
    return twin_folder(twin)


def test_members_and_their_twins_are_trained_with_the_same_seeds(made: ResultsFolder) -> None:
    tasks = asked(made, 2)
    wanted = {"confirm/0", "confirm/1", *(f"labels_alone/{of(made, number)}" for number in (0, 1))}
    assert Counter(task.trials for task in tasks) == dict.fromkeys(wanted, 2)
    assert {(task.number, task.seed) for task in tasks} == {(1, 1), (2, 2)}
    assert {task.params["alpha"] for task in tasks if str(task.trials).startswith("labels")} == {1.0}


def test_what_is_there_is_not_trained_again(made: ResultsFolder) -> None:
    made.confirmed(0, s1=0.9, s2=0.9)
    made.labels_alone(0, s1=0.8)
    made.labels_alone(1, s1=0.8, s2=0.8)
    names = {task.name for task in asked(made, 2)}
    assert names == {"confirm/1/1", "confirm/1/2", f"labels_alone/{of(made, 0)}/2"}


def test_a_recipe_without_labels_alone_trains_no_twins(made: ResultsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe_space("wakeword"), "LABELS_ALONE", {})
    assert {task.trials for task in asked(made, 1)} == {"confirm/0", "confirm/1"}


def test_each_second_look_is_told_by_its_kind() -> None:
    ended = {"outcome": "trained", "score_int8": 0.9, "score_float": 0.91}
    told = [line(Task(2, {}, seed=2, trials=f"{kind}/7"), ended) for kind in ("confirm", "labels_alone")]
    assert told == [
        "trial 7 with seed 2  score 0.900 (float 0.910)",
        "labels alone 7 with seed 2  score 0.900 (float 0.910)",
    ]
    assert line(Task(7, {}, trials="final"), ended) == "final 7  score 0.900 (float 0.910)"
    failed = {"outcome": "failed", "reason": "loss: nan"}
    assert line(Task(2, {}, seed=2, trials="labels_alone/7"), failed) == "labels alone 7 with seed 2  failed: loss: nan"
