"""How trials are told to the study, and how an interrupted study is taken up."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

import spaces
from export.results import Results
from search.searcher import OptunaSearcher
from search.study import counted, open_study, outcome
from spaces.budget import Budget, Footprint
from spaces.candidate import Scalar
from spaces.narrowed import Narrowing
from trainables.ray_trainable import NUMBER, REPORT

SPACE = spaces.recipe_space("wakeword")
BUDGET = Budget(flash_bytes=1e9, arena_bytes=50_000, latency_ms=1e9)


class Footprints:
    """Arena of 2,000 bytes per channel of width: what fits is known beforehand."""

    def __init__(self, scale: int = 2000) -> None:
        self.scale = scale

    def start(self, params: Mapping[str, Scalar]) -> Callable[[], Footprint]:
        width = int(params.get("tiny_conv_width") or params["ds_cnn_width"])
        arena = self.scale * width
        return lambda: Footprint(1000, arena, arena, 1.0, 1.0, 1.0, 1.0 + width, 1.0 + width, "sram", "board", "1")


def study_in(folder: Path, seed: int = 0) -> optuna.Study:
    return open_study(Results(folder), "wakeword", SPACE, Narrowing(), seed)


def searcher(study: optuna.Study, folder: Path, trials: int, footprints: Footprints | None = None) -> OptunaSearcher:
    return OptunaSearcher(study, SPACE, Narrowing(), BUDGET, footprints or Footprints(), folder / "trials", trials)


def report(number: int, score: float = 0.9, **changes: Any) -> dict[str, Any]:
    objectives = {"score": score, "decision_ms": 5.0 + number, "arena_bytes": 1000.0}
    base = {"outcome": "trained", "objectives": objectives, "footprint": {}, "score_int8": score, "score_float": score}
    return {**base, "test": {}, **changes}


def finish(ours: OptunaSearcher, name: str, config: Mapping[str, Any], **changes: Any) -> None:
    ours.on_trial_complete(name, {REPORT: json.dumps(report(config[NUMBER], **changes))})


def run_all(ours: OptunaSearcher) -> list[dict[str, Any]]:
    configs: list[dict[str, Any]] = []
    while (config := ours.suggest(f"ray-{len(configs)}")) != Searcher.FINISHED:
        assert isinstance(config, dict)
        finish(ours, f"ray-{len(configs)}", config)
        configs.append(config)
    return configs


def test_only_points_that_fit_are_handed_out(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    configs = run_all(searcher(study, tmp_path, 12))
    assert len(configs) == 12
    assert all((c.get("tiny_conv_width") or c["ds_cnn_width"]) <= 25 for c in configs)
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


def test_suggestions_hold_plain_parameters_and_the_number(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    config = searcher(study, tmp_path, 1).suggest("ray-0")
    assert isinstance(config, dict)
    assert {k: v for k, v in config.items() if k != NUMBER} == study.trials[config[NUMBER]].params
    assert all(isinstance(value, str | int | float | bool) for value in config.values())


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (None, "the worker process died"),
        ({"loss": 1.0}, "the worker process died"),
        ({REPORT: json.dumps({"outcome": "failed", "reason": "loss: nan in epoch 3"})}, "loss: nan in epoch 3"),
        ({REPORT: json.dumps(report(0, score=math.nan))}, "objective score is missing or not a number"),
        ({REPORT: json.dumps(report(0, objectives={"score": 0.5}))}, "objective decision_ms is missing"),
    ],
)
def test_failures_are_told_with_their_reason(tmp_path: Path, result: dict[str, Any] | None, reason: str) -> None:
    study = study_in(tmp_path)
    ours = searcher(study, tmp_path, 1)
    config = ours.suggest("ray-0")
    assert isinstance(config, dict)
    ours.on_trial_complete("ray-0", result, error=result is None)
    trial = study.trials[config[NUMBER]]
    assert (trial.state, outcome(trial)) == (TrialState.FAIL, "failed")
    assert reason in trial.user_attrs["reason"]
    assert counted(study) == 1


def test_a_footprint_that_cannot_be_had_fails_its_trial_alone(tmp_path: Path) -> None:
    class Broken(Footprints):
        calls = 0

        def start(self, params: Mapping[str, Scalar]) -> Callable[[], Footprint]:
            Broken.calls += 1
            if Broken.calls == 1:
                return lambda: (_ for _ in ()).throw(RuntimeError("converter says no"))
            return super().start(params)

    study = study_in(tmp_path)
    configs = run_all(searcher(study, tmp_path, 3, Broken(scale=1)))
    assert len(configs) == 2
    assert "converter says no" in study.trials[0].user_attrs["reason"]


def test_a_budget_that_nothing_fits_stops_with_the_tightest_ceiling(tmp_path: Path) -> None:
    ours = searcher(study_in(tmp_path), tmp_path, 5, Footprints(scale=1_000_000))
    assert ours.suggest("ray-0") == Searcher.FINISHED
    message = str(ours.stopped_by)
    assert "none of 64 candidates in a row fits" in message
    assert "the tightest ceiling is arena_bytes=50000" in message
    assert "arena 8000000 B" in message


def test_refusals_do_not_end_a_search_that_found_what_fits(tmp_path: Path) -> None:
    class ThenTooLarge(Footprints):
        calls = 0

        def start(self, params: Mapping[str, Scalar]) -> Callable[[], Footprint]:
            ThenTooLarge.calls += 1
            self.scale = 1_000_000 if 4 < ThenTooLarge.calls <= 104 else 1
            return super().start(params)

    study = study_in(tmp_path)
    ours = searcher(study, tmp_path, 8, ThenTooLarge())
    assert len(run_all(ours)) == 8
    assert ours.stopped_by is None
    assert sum(outcome(trial) == "refused" for trial in study.trials) == 100


def test_footprints_that_all_fail_end_the_search(tmp_path: Path) -> None:
    class Broken(Footprints):
        def start(self, params: Mapping[str, Scalar]) -> Callable[[], Footprint]:
            return lambda: (_ for _ in ()).throw(RuntimeError("no space left"))

    study = study_in(tmp_path)
    ours = searcher(study, tmp_path, 24, Broken())
    assert ours.suggest("ray-0") == Searcher.FINISHED
    assert str(ours.stopped_by) == "5 footprints in a row failed, the last with: no space left"
    assert counted(study) == 5


def test_a_start_point_cut_off_before_its_parameters_is_not_lost(tmp_path: Path) -> None:
    study_in(tmp_path).ask()
    study = study_in(tmp_path)
    config = searcher(study, tmp_path, 2).suggest("ray-0")
    assert config == {NUMBER: 0, **SPACE.START_POINTS[0]}


def test_an_unfinished_trial_is_taken_up_under_its_number(tmp_path: Path) -> None:
    first = searcher(study_in(tmp_path), tmp_path, 3)
    taken = first.suggest("ray-0")
    assert isinstance(taken, dict)
    study = study_in(tmp_path)
    again = searcher(study, tmp_path, 3).suggest("ray-9")
    assert isinstance(again, dict)
    assert again == taken


def test_a_finished_folder_is_told_and_not_trained_again(tmp_path: Path) -> None:
    first = searcher(study_in(tmp_path), tmp_path, 3)
    config = first.suggest("ray-0")
    assert isinstance(config, dict)
    folder = tmp_path / "trials" / str(config[NUMBER])
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(report(config[NUMBER], score=0.77)))
    study = study_in(tmp_path)
    rest = run_all(searcher(study, tmp_path, 3))
    assert study.trials[config[NUMBER]].values[0] == 0.77
    assert config[NUMBER] not in [other[NUMBER] for other in rest]
    assert counted(study) == 3


def test_nothing_is_left_running_when_all_is_done(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    run_all(searcher(study, tmp_path, 9))
    assert {trial.state for trial in study.trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert counted(study) == 9
