"""The study of a results folder: its journal after a kill, its start points, its samplers."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import optuna
import pytest
from optuna.trial import TrialState

import spaces
from export.results import Results
from search.command_line import SAMPLERS as OFFERED
from search.study import SAMPLERS, counted, give_back_unfinished, open_study, outcome
from search.warm_start import front_points
from spaces.narrowed import Narrowing

SPACE = spaces.recipe_space("wakeword")


def study_in(folder: Path, **more: object) -> optuna.Study:
    return open_study(Results(folder), "wakeword", SPACE, Narrowing(), SPACE.BUDGET, 0, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("torn", [b'{"op_code":4,"worker', b"{", b"\xff\xfe"])
def test_a_line_that_a_kill_cut_off_is_dropped(tmp_path: Path, torn: bytes) -> None:
    study_in(tmp_path).ask()
    journal = tmp_path / "study.journal"
    before = journal.read_bytes()
    with journal.open("ab") as file:
        file.write(torn)
    study = study_in(tmp_path)
    assert journal.read_bytes().startswith(before)
    study.ask()
    states = [trial.state for trial in study_in(tmp_path).trials]
    assert states == [TrialState.RUNNING] * 2 + [TrialState.WAITING] * (len(SPACE.START_POINTS) - 2)


def test_a_journal_that_is_one_torn_line_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "study.journal").write_bytes(b"x" * 200_000)
    assert [trial.state for trial in study_in(tmp_path).trials] == [TrialState.WAITING] * len(SPACE.START_POINTS)


def test_the_lock_that_a_killed_search_left_does_not_delay_the_next(tmp_path: Path) -> None:
    study_in(tmp_path)
    lock = tmp_path / "study.journal.lock"
    lock.symlink_to(tmp_path / "study.journal")
    study_in(tmp_path).ask()
    assert not lock.is_symlink()


def test_start_points_and_warm_starts_are_enqueued_once(tmp_path: Path) -> None:
    other = {**SPACE.START_POINTS[0], "temperature": 2.0}
    study_in(tmp_path)
    for _ in range(3):
        study = study_in(tmp_path, more_points=[other, SPACE.START_POINTS[0], other])
    trials = study.get_trials()
    assert [trial.system_attrs["fixed_params"] for trial in trials] == [*map(dict, SPACE.START_POINTS), other]


def test_a_study_from_before_a_choice_does_not_begin_again(tmp_path: Path) -> None:
    older = [{name: value for name, value in point.items() if name != "front_end"} for point in SPACE.START_POINTS]
    with patch.object(SPACE, "START_POINTS", older):
        study_in(tmp_path)
    trials = study_in(tmp_path).get_trials()
    assert [trial.system_attrs["fixed_params"] for trial in trials] == older


def test_a_front_from_before_a_choice_is_tried_as_it_was(tmp_path: Path) -> None:
    older = {name: value for name, value in SPACE.START_POINTS[0].items() if name != "front_end"}
    newer = {**older, "front_end": "micro"}
    with patch("search.warm_start._points", return_value=[older, newer]):
        assert front_points([tmp_path], "wakeword", SPACE) == [dict(SPACE.START_POINTS[0]), newer]


def test_a_trial_that_is_given_back_is_asked_for_next(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    trial = study.ask()
    SPACE.space(trial)
    give_back_unfinished(study)
    again = study_in(tmp_path).ask()
    SPACE.space(again)
    assert (again.number, again.params) == (trial.number, trial.params)


def test_a_trial_that_was_not_told_does_not_count(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    trial = study.ask()
    # As a kill leaves it between the attribute and the state.
    trial.set_user_attr("outcome", "trained")
    assert counted(study) == 0
    assert outcome(study.trials[0]) == "running"


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_every_sampler_proposes_after_refusals_and_scores(tmp_path: Path, sampler: str) -> None:
    study = study_in(tmp_path, sampler=sampler)
    for number in range(14):
        trial = study.ask()
        SPACE.space(trial)
        trial.set_constraint("arena_bytes", -1.0 if number % 2 else 1.0)
        if number % 2:
            study.tell(trial, [0.5 + number / 100, 10.0 - number, 1000.0 + number])
        else:
            study.tell(trial, state=TrialState.PRUNED)
    assert len({str(trial.params) for trial in study.trials}) > 10


def test_the_command_line_offers_the_samplers_that_there_are() -> None:
    assert set(OFFERED) == set(SAMPLERS)
