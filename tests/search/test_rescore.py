"""A trained trial scored anew: the stored figures to the last digit, or both values."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from export.results import Results
from search.__main__ import main
from search.command_line import parser_of
from search.given import options_of
from search.record import describe
from search.study import tell_report
from spaces import recipe_space
from tests.search.studies import command
from trainables.recipe import recipe
from trainables.trial import run_trial


@pytest.fixture(scope="module")
def searched(speech_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with one trained trial and one that failed, as a search leaves it."""
    results = Results(tmp_path_factory.mktemp("rescore") / "results")
    words = command(speech_folder, results.folder, 1, "--epochs", "1")[3:]
    space = recipe_space("wakeword")
    options = options_of("wakeword", space, parser_of("wakeword", space, []).parse_args(words[1:]), words)
    material = recipe("wakeword").prepare(options.request)
    results.folder.mkdir()
    results.run_json.write_text(json.dumps(describe(options, material)))
    storage = JournalStorage(JournalFileBackend(str(results.journal)))
    directions = [objective.direction for objective in space.OBJECTIVES]
    study = optuna.create_study(study_name="wakeword", storage=storage, directions=directions)
    trial = study.ask()
    options.narrowing.propose(space, trial)
    report = run_trial(options.assignment(material, results.trials), trial.number, trial.params)
    tell_report(study, trial, report, space)
    tell_report(study, study.ask(), {"outcome": "failed", "reason": "NaN"}, space)
    return results.folder


@pytest.fixture
def copied(searched: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(searched, tmp_path / "results"))


def rescore(*words: object) -> int:
    return main(["rescore", *map(str, words)])


def test_stored_figures_come_out_again(searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rescore(searched, 0) == 0
    score = json.loads((searched / "trials/0/metrics.json").read_text())["score_int8"]
    expected = f"trial 0: score {score!r} again, and every other figure of the INT8 model"
    assert capsys.readouterr().out.splitlines()[-1] == expected


def test_figure_that_is_another_in_its_last_digit_exits_1_with_both(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied / "trials/0/metrics.json"
    metrics = json.loads(path.read_text())
    now = metrics["test"]["auc"]
    metrics["test"]["auc"] = now + 2e-16 if now < 1 else 1 - 2e-16
    path.write_text(json.dumps(metrics))
    assert rescore(copied, 0) == 1
    assert f"differs: test.auc: stored {metrics['test']['auc']!r}, now {now!r}" in capsys.readouterr().err


def test_other_data_are_refused(searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rescore(searched, 0, "--word", "down") == 2
    assert "error: results: the data is not the study's: its hash was" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "message"),
    [(1, "trial 1 was not trained; trained are 0"), (7, "trial 7 was not trained; trained are 0")],
)
def test_trial_that_was_not_trained(
    searched: Path, number: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rescore(searched, number) == 2
    assert message in capsys.readouterr().err


def test_damaged_trial_is_named(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copied / "trials/0/student.int8.tflite").write_bytes(b"")
    assert rescore(copied, 0) == 2
    assert "the folder of trial 0 is damaged: student.int8.tflite is empty" in capsys.readouterr().err


def test_study_that_does_not_say_how_it_was_searched(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = json.loads((copied / "run.json").read_text()) | {"command": ""}
    (copied / "run.json").write_text(json.dumps(run))
    assert rescore(copied, 0) == 2
    assert "does not say how it was searched: command is ''" in capsys.readouterr().err
