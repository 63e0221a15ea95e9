"""How a study proposes, refuses and is told, through Ray's interface; how an interrupted one is taken up."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from export.results import Results
from search.deaths import Deaths
from search.optuna_tasks import Listener, OptunaTasks
from search.searcher import TaskSearcher
from search.study import counted, open_study, outcome
from spaces.budget import Budget, Footprint
from spaces.candidate import Scalar
from spaces.narrowed import Narrowing
from tests.benchmarks.black_box import BlackBox
from trainables.ray_trainable import REPORT, TASKS

SPACE = BlackBox()
BUDGET = Budget(flash_bytes=1e9, arena_bytes=50_000, latency_ms=1e9)


class Known:
    """A footprint, or an error, that is there already, unless it is told to be late."""

    def __init__(self, footprint: Footprint | Exception, late: bool = False) -> None:
        self.footprint, self.late = footprint, late

    def ready(self) -> bool:
        return not self.late

    def get(self) -> Footprint:
        if isinstance(self.footprint, Exception):
            raise self.footprint
        return self.footprint


class Footprints:
    """Arena of 2,000 bytes per channel of width: what fits is known beforehand."""

    ahead = 2

    def __init__(self, scale: int = 2000) -> None:
        self.scale = scale

    def start(self, params: Mapping[str, Scalar]) -> Known:
        width = int(params.get("tiny_conv_width") or params["ds_cnn_width"])
        arena = self.scale * width
        return Known(Footprint(1000, arena, arena, 1.0, 1.0, 1.0, 1.0 + width, 1.0 + width, "sram", "board", "1"))


def study_in(folder: Path, seed: int = 0, sampler: str = "tpe") -> optuna.Study:
    return open_study(Results(folder), "wakeword", SPACE, Narrowing(), SPACE.BUDGET, seed, sampler)


def tasks(
    study: optuna.Study, folder: Path, trials: int, footprints: Footprints | None = None, *listeners: Listener
) -> OptunaTasks:
    source = footprints or Footprints()
    return OptunaTasks(study, SPACE, Narrowing(), BUDGET, source, folder / "trials", trials, listeners)


def searcher(study: optuna.Study, folder: Path, trials: int, footprints: Footprints | None = None) -> TaskSearcher:
    return TaskSearcher(tasks(study, folder, trials, footprints), Deaths())


def report(task: Mapping[str, Any], score: float = 0.9, **changes: Any) -> dict[str, Any]:
    objectives = {"score": score, "decision_ms": 5.0 + task["number"], "arena_bytes": 1000.0}
    base = {"outcome": "trained", "objectives": objectives, "footprint": {}, "score_int8": score, "score_float": score}
    return {**base, "test": {}, "name": f"trials/{task['number']}", "params": task["params"], **changes}


def only_task(config: object) -> dict[str, Any]:
    assert isinstance(config, dict)
    (task,) = config[TASKS]
    return dict(task)


def run_all(ours: TaskSearcher) -> list[dict[str, Any]]:
    done: list[dict[str, Any]] = []
    while (config := ours.suggest(f"ray-{len(done)}")) != Searcher.FINISHED:
        task = only_task(config)
        ours.on_trial_complete(f"ray-{len(done)}", {REPORT: json.dumps(report(task))})
        done.append(task)
    return done


def test_only_points_that_fit_are_handed_out(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    done = run_all(searcher(study, tmp_path, 12))
    assert len(done) == 12
    assert all((t["params"].get("tiny_conv_width") or t["params"]["ds_cnn_width"]) <= 25 for t in done)
    assert any(outcome(trial) == "refused" for trial in study.trials)


def test_every_trial_has_its_constraints_and_outcome(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    run_all(searcher(study, tmp_path, 10))
    for trial in study.trials:
        assert set(trial.constraints) == {"flash_bytes", "arena_bytes", "latency_ms"}
        refused = trial.constraints["arena_bytes"] > 0
        assert outcome(trial) == ("refused" if refused else "trained")
        assert trial.state == (TrialState.PRUNED if refused else TrialState.COMPLETE)
        assert "footprint" in trial.user_attrs


def test_first_trial_is_the_published_preset_and_comes_once(tmp_path: Path) -> None:
    run_all(searcher(study_in(tmp_path), tmp_path, 2))
    study = study_in(tmp_path)
    assert study.trials[0].params == dict(SPACE.START_POINTS[0])
    assert [trial.number for trial in study.trials if trial.params == study.trials[0].params] == [0]


def test_a_task_holds_plain_parameters_its_number_and_what_is_known_of_its_objectives(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    task = only_task(searcher(study, tmp_path, 1).suggest("ray-0"))
    assert task["params"] == study.trials[task["number"]].params
    assert all(isinstance(value, str | int | float | bool) for value in task["params"].values())
    footprint = study.trials[task["number"]].user_attrs["footprint"]
    assert task["costs"] == {name: footprint[name] for name in ("decision_ms", "arena_bytes")}


@pytest.mark.parametrize(
    ("changes", "state", "said", "reason"),
    [
        ({"outcome": "failed", "reason": "loss: nan"}, TrialState.FAIL, "failed", "loss: nan"),
        ({"outcome": "stopped", "reason": "2 dominate it"}, TrialState.PRUNED, "stopped", "2 dominate it"),
        ({"score": math.nan}, TrialState.FAIL, "failed", "objective score is missing or not a number"),
        ({"objectives": {"score": 0.5}}, TrialState.FAIL, "failed", "objective decision_ms is missing"),
        ({"outcome": "lost"}, TrialState.FAIL, "failed", "the worker reported no outcome"),
    ],
)
def test_what_was_not_trained_is_told_with_its_reason(
    tmp_path: Path, changes: dict[str, Any], state: TrialState, said: str, reason: str
) -> None:
    study = study_in(tmp_path)
    ours = searcher(study, tmp_path, 1)
    task = only_task(ours.suggest("ray-0"))
    ours.on_trial_complete("ray-0", {REPORT: json.dumps(report(task, **changes))})
    trial = study.trials[task["number"]]
    assert (trial.state, outcome(trial)) == (state, said)
    assert reason in trial.user_attrs["reason"]
    assert trial.constraints
    assert counted(study) == 1


def test_listeners_hear_how_trials_end(tmp_path: Path) -> None:
    heard: list[tuple[int, str]] = []
    study = study_in(tmp_path)
    source = tasks(study, tmp_path, 3, None, lambda n, params, told: heard.append((n, told["outcome"])))
    run_all(TaskSearcher(source, Deaths()))
    assert sorted(heard) == [(trial.number, outcome(trial)) for trial in study.trials]


def test_a_listener_that_fails_costs_no_trial(tmp_path: Path) -> None:
    def fails(*told: object) -> None:
        raise BrokenPipeError

    study = study_in(tmp_path)
    source = tasks(study, tmp_path, 3, Footprints(scale=1), fails)
    ours = TaskSearcher(source, Deaths())
    first = only_task(ours.suggest("ray-0"))
    ours.on_trial_complete("ray-0", {REPORT: json.dumps(report(first))})
    assert ours.suggest("ray-1") == Searcher.FINISHED
    source.close()
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE, TrialState.WAITING}


def test_a_machine_s_fault_with_a_footprint_fails_no_trial(tmp_path: Path) -> None:
    class Full(Footprints):
        def start(self, params: Mapping[str, Scalar]) -> Known:
            return Known(OSError(28, "No space left on device"))

    study = study_in(tmp_path)
    source = tasks(study, tmp_path, 3, Full())
    ours = TaskSearcher(source, Deaths())
    assert ours.suggest("ray-0") == Searcher.FINISHED
    assert "a footprint could not be worked out" in str(ours.stopped_by)
    source.close()
    assert counted(study) == 0
    assert {trial.state for trial in study.trials} == {TrialState.WAITING}


def test_a_footprint_that_cannot_be_had_fails_its_trial_alone(tmp_path: Path) -> None:
    class Broken(Footprints):
        calls = 0

        def start(self, params: Mapping[str, Scalar]) -> Known:
            Broken.calls += 1
            return Known(RuntimeError("converter says no")) if Broken.calls == 1 else super().start(params)

    study = study_in(tmp_path)
    done = run_all(searcher(study, tmp_path, 3, Broken(scale=1)))
    assert len(done) == 2
    assert "converter says no" in study.trials[0].user_attrs["reason"]


def test_the_driver_does_not_wait_for_a_footprint_while_trials_run(tmp_path: Path) -> None:
    class Late(Footprints):
        started: list[Known] = []  # noqa: RUF012

        def start(self, params: Mapping[str, Scalar]) -> Known:
            known = super().start(params)
            known.late = len(self.started) > 0
            self.started.append(known)
            return known

    footprints = Late(scale=1)
    ours = searcher(study_in(tmp_path), tmp_path, 3, footprints)
    assert only_task(ours.suggest("ray-0"))["number"] == 0
    assert ours.suggest("ray-1") is None
    footprints.started[1].late = False
    assert only_task(ours.suggest("ray-1"))["number"] == 1


def test_a_budget_that_nothing_fits_stops_with_the_tightest_ceiling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.optuna_tasks.REFUSALS_WHERE_NOTHING_FITTED", 64)
    study = study_in(tmp_path, sampler="random")
    ours = searcher(study, tmp_path, 5, Footprints(scale=1_000_000))
    assert ours.suggest("ray-0") == Searcher.FINISHED
    message = str(ours.stopped_by)
    assert "candidates in a row fits" in message
    assert "the tightest ceiling is arena_bytes=50000" in message
    assert "arena 8000000 B" in message
    assert 64 <= sum(outcome(trial) == "refused" for trial in study.trials) < 300


class OtherBranch(Footprints):
    """What fits lies in one branch, about a hundredth of random draws; the other comes nearer without ever fitting."""

    def start(self, params: Mapping[str, Scalar]) -> Known:
        arena = 50_001 + int(params.get("tiny_conv_width", 0))
        if params["student"] == "ds_cnn":
            steps = int(params["ds_cnn_width"]) // 8 - 1 + int(params["ds_cnn_depth"]) - 1 + (params["hop_ms"] == 10)
            arena = 40_000 + 10_000 * steps if steps < 2 else 90_000 + steps
        return Known(Footprint(1000, arena, arena, 1.0, 1.0, 1.0, 1.0, 1.0, "sram", "board", "1"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_hundredth_of_the_space_is_found_behind_a_branch_that_comes_near(tmp_path: Path, seed: int) -> None:
    ours = searcher(study_in(tmp_path, seed), tmp_path, 5, OtherBranch())
    assert len(run_all(ours)) == 5, str(ours.stopped_by)


def test_refusals_do_not_end_a_search_that_found_what_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.optuna_tasks.REFUSALS_WHERE_NOTHING_FITTED", 64)

    class ThenTooLarge(Footprints):
        calls = 0

        def start(self, params: Mapping[str, Scalar]) -> Known:
            ThenTooLarge.calls += 1
            self.scale = 1_000_000 if 4 < ThenTooLarge.calls <= 104 else 1
            return super().start(params)

    study = study_in(tmp_path, sampler="random")
    ours = searcher(study, tmp_path, 8, ThenTooLarge())
    assert len(run_all(ours)) == 8
    assert ours.stopped_by is None
    assert sum(outcome(trial) == "refused" for trial in study.trials) == 100


def test_footprints_that_all_fail_end_the_search(tmp_path: Path) -> None:
    class Broken(Footprints):
        def start(self, params: Mapping[str, Scalar]) -> Known:
            return Known(RuntimeError("no such operator"))

    study = study_in(tmp_path)
    ours = searcher(study, tmp_path, 24, Broken())
    assert ours.suggest("ray-0") == Searcher.FINISHED
    assert str(ours.stopped_by) == "5 footprints in a row failed, the last with: no such operator"
    assert counted(study) == 5


def test_a_start_point_cut_off_before_its_parameters_is_not_lost(tmp_path: Path) -> None:
    study_in(tmp_path).ask()
    task = only_task(searcher(study_in(tmp_path), tmp_path, 2).suggest("ray-0"))
    assert (task["number"], task["params"]) == (0, SPACE.START_POINTS[0])


def test_an_unfinished_trial_of_a_killed_search_is_taken_up_under_its_number(tmp_path: Path) -> None:
    taken = only_task(searcher(study_in(tmp_path), tmp_path, 3).suggest("ray-0"))
    again = only_task(searcher(study_in(tmp_path), tmp_path, 3).suggest("ray-9"))
    assert again == taken


def test_a_closed_search_leaves_nothing_running_and_the_next_one_takes_it_up(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    source = tasks(study, tmp_path, 9)
    begun = [source.next(wait=True) for _ in range(2)]
    source.close()
    states = {trial.state for trial in study.get_trials()}
    assert TrialState.RUNNING not in states
    assert TrialState.WAITING in states
    again = tasks(study_in(tmp_path), tmp_path, 9)
    assert [again.next(wait=True) for _ in range(2)] == begun


def test_a_finished_folder_is_told_and_not_trained_again(tmp_path: Path) -> None:
    for close in (False, True):
        place = tmp_path / str(close)
        place.mkdir()
        source = tasks(study_in(place), place, 3)
        task = source.next(wait=True)
        assert task is not None
        if close:
            source.close()
        folder = place / "trials" / str(task.number)
        folder.mkdir(parents=True)
        finished = report({"number": task.number, "params": dict(task.params)}, score=0.77)
        (folder / "metrics.json").write_text(json.dumps(finished))
        study = study_in(place)
        rest = run_all(searcher(study, place, 3))
        assert study.trials[task.number].values[0] == 0.77
        assert task.number not in [other["number"] for other in rest]
        assert counted(study) == 3


def test_a_folder_of_other_parameters_is_not_taken_for_the_trial(tmp_path: Path) -> None:
    folder = tmp_path / "trials" / "0"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(report({"number": 0, "params": {"student": "other"}})))
    assert only_task(searcher(study_in(tmp_path), tmp_path, 1).suggest("ray-0"))["number"] == 0


def test_nothing_is_left_running_when_all_is_done(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    run_all(searcher(study, tmp_path, 9))
    assert {trial.state for trial in study.trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert counted(study) == 9
