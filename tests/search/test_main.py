"""The command line on bad input: one clear line, exit code 2, nothing begun."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import search.__main__ as command
import spaces
from search.command_line import parser_of
from search.config_file import with_config
from search.record import refuse_other_run
from spaces.narrowed import parameters
from tests.trainables.teachers.classifiers import AST, save_classifier

SMALL = ("--epochs", "1", "--trials", "1")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert command.main(["wakeword", *SMALL, *arguments]) == command.BAD_INPUT
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.err.startswith("error: ")
    return captured.err


def test_unknown_recipe_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["wakeboard"]) == command.BAD_INPUT
    known = ", ".join(sorted(spaces.recipes()))
    assert f"recipe: 'wakeboard' is unknown; there are {known}" in capsys.readouterr().err


def test_unknown_board_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert "esp32-s3-devkitc-1-n8" in refused(capsys, "--board", "esp8266")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "ram=3"], "'ram' is no ceiling"),
        (["--latency-margin", "2"], "--latency-margin: must lie within 0-1, not 2.0"),
        (["--calibration", "nowhere.toml"], "nowhere.toml: cannot be read: No such file or directory"),
        (["--trials", "0"], "--trials: must be at least 1, not 0"),
        (["--seed", "-1"], "--seed: must be at least 0, not -1"),
        (["--cpus", "-2"], "--cpus: must be at least 0, not -2"),
        (["--batch", "0"], "--batch: must be at least 1, not 0"),
        (["--confirm", "-1"], "--confirm: must be at least 0, not -1"),
        (["--cpus-per-trial", "0"], "--cpus-per-trial: must be at least 0.05, not 0.0"),
        (["--from", "nowhere"], "results: folder nowhere does not exist"),
        (["--config", "nowhere.toml"], "--config: nowhere.toml cannot be read: No such file or directory"),
        (["--address", "127.0.0.1:1"], "--address: nothing answers at 127.0.0.1:1: Connection refused"),
        (["--results", "s4://bucket/x"], "results: s4://bucket/x cannot be opened"),
        (["--epochs", "0"], "--epochs: must be at least 1, not 0"),
        (["--noise", "hall", "--set", "view_share=0"], "--noise, --rooms: view_share is fixed to 0; leave them out"),
        (["--rooms", "hall", "--set", "view_share=0"], "--noise, --rooms: view_share is fixed to 0; leave them out"),
        (["--noise", "nowhere"], "--noise: nowhere is not there"),
        (["--rooms", "Makefile"], "--rooms: Makefile is no folder"),
        (
            ["--teacher-layers", "1", "--set", "alignment_weight=0"],
            "--teacher-layers: alignment_weight is fixed to 0; leave it out",
        ),
        (["--set", "width=3"], "parameter 'width' is unknown"),
        (["--range", "peak_lr=1:2"], "peak_lr=1 lies outside 0.0001-0.01"),
    ],
)
def test_bad_options_are_named(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert message in refused(capsys, *arguments)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--time-budget", "soon", "'soon' must be a time such as 90s, 30m or 2h"),
        ("--time-budget", "-3m", "must be a time such as 90s, 30m or 2h"),
        ("--time-budget", "90", "must be a time such as 90s, 30m or 2h"),
        ("--final", "kneee", "'kneee' must be knee, best, smallest, within:0.01 or a trial's number"),
        ("--sampler", "cmaes", "choose from"),
        ("--stop", "median", "choose from"),
        ("--wandb", "maybe", "choose from"),
        ("--teacher-layers", "1,x", "'1,x' must be whole numbers such as 1,2,3"),
    ],
)
def test_values_outside_the_choice_are_named(
    capsys: pytest.CaptureFixture[str], option: str, value: str, message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["wakeword", f"{option}={value}"])
    assert ended.value.code == command.BAD_INPUT
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("trials = ", "is not TOML"),
        ("trails = 3", "'trails' is unknown; there are ablation, address, batch,"),
        ("config = 'other.toml'", "'config' is unknown"),
        ("trials = 0", "--trials: must be at least 1, not 0"),
        ("[set]\ntemperature = 3", "set must be a value or a list, not a table"),
        ("set = ['temprature=3']", "parameter 'temprature' is unknown"),
    ],
)
def test_a_bad_file_of_options_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "search.toml"
    path.write_text(content)
    assert command.main(["wakeword", "--config", str(path)]) == command.BAD_INPUT
    said = capsys.readouterr().err
    assert message in said
    assert str(path) in said or message.startswith(("--trials", "parameter"))


def test_options_come_from_a_file_and_the_command_line_wins(tmp_path: Path) -> None:
    path = tmp_path / "search.toml"
    path.write_text(
        'trials = 7\nepochs = 3\ncpus_per_trial = 0.5\ntime-budget = "2h"\n'
        'set = ["student=ds_cnn", "hop_ms=20"]\ndry_run = true\nbudget = "arena=64K"\n'
    )
    arguments = ["--config", str(path), "--epochs", "5", "--set", "mels=40"]
    parser = parser_of("wakeword", spaces.recipe_space("wakeword"), arguments)
    given = parser.parse_args(with_config(arguments, parser))
    assert (given.trials, given.epochs, given.cpus_per_trial, given.time_budget) == (7, 5, 0.5, 7200.0)
    assert given.set == ["student=ds_cnn", "hop_ms=20", "mels=40"]
    assert given.dry_run
    assert given.budget == "arena=64K"


def test_the_overview_lists_recipes_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--help"]) == command.DONE
    shown = capsys.readouterr().out
    for name, space in spaces.recipes().items():
        assert f"{name:<20}{space.SUMMARY}" in shown
    for word in command.OTHERS:
        assert f"  {word} " in shown
    assert "0 done, 1 failed, 2 bad input, 3" in shown


@pytest.mark.parametrize("recipe", sorted(spaces.recipes()))
def test_a_recipe_s_help_shows_space_budget_and_objectives(capsys: pytest.CaptureFixture[str], recipe: str) -> None:
    space = spaces.recipe_space(recipe)
    with pytest.raises(SystemExit) as ended:
        command.main([recipe, "--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name in parameters(space):
        assert f" {name} " in shown
    for objective in space.OBJECTIVES:
        assert f"{objective.name} ({objective.direction})" in shown
    assert str(space.BUDGET) in shown


def test_unknown_option_exits_as_bad_input() -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["wakeword", "--trails", "3"])
    assert ended.value.code == command.BAD_INPUT


def test_missing_data_folder_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    message = refused(capsys, "--data", str(tmp_path / "nowhere"), "--word", "up", "--results", str(tmp_path / "r"))
    assert str(tmp_path / "nowhere") in message


def test_unknown_word_lists_those_there_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, speech_folder: Path
) -> None:
    message = refused(capsys, "--data", str(speech_folder), "--word", "left", "--results", str(tmp_path / "r"))
    assert "left" in message
    assert all(word in message for word in ("up", "down", "hat"))


def test_unknown_teacher_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path, speech_folder: Path) -> None:
    base = ("--data", str(speech_folder), "--word", "up", "--results", str(tmp_path / "r"))
    assert "'hubert' is unknown; use speech_embedding" in refused(capsys, *base, "--teacher", "hubert")
    missing = refused(capsys, *base, "--teacher", f"wav2vec2:{tmp_path / 'none'}")
    assert f"wav2vec2:{tmp_path / 'none'} cannot be loaded" in missing


def test_a_recipe_without_views_refuses_noise(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["speech_emotion", "--noise", "hall"]) == command.BAD_INPUT
    assert "--noise, --rooms: speech_emotion hears no clip in noise; leave them out" in capsys.readouterr().err


def test_a_recipe_without_alignment_refuses_layers(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["baby_cry", "--teacher-layers", "1"]) == command.BAD_INPUT
    assert "--teacher-layers: baby_cry aligns no student; leave it out" in capsys.readouterr().err


def test_an_ablation_without_noise_refuses_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["baby_cry", "--ablation", "--noise", "hall"]) == command.BAD_INPUT
    assert "--noise, --rooms: view_share is 0 in all of the ablation; leave them out" in capsys.readouterr().err


def test_alignment_with_a_teacher_that_shows_no_layers_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    teacher = ("--teacher", f"classifier:{save_classifier(tmp_path, kind=AST)}")
    capsys.readouterr()
    said = refused(capsys, *teacher, "--set", "alignment_weight=0.1")
    assert "--set: alignment_weight=0.1 needs another --teacher; with this one, alignment_weight is 0.0" in said
    said = refused(capsys, *teacher, "--range", "alignment_weight=0:0.1")
    assert "--range: alignment_weight needs another --teacher; with this one, alignment_weight is 0.0" in said


def test_a_head_that_the_teacher_does_not_teach_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["baby_cry", "--set", "head=yamnet"]) == command.BAD_INPUT
    assert "--set: head=yamnet needs another --teacher; with this one, head is cry" in capsys.readouterr().err


def test_unwritable_results_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = refused(capsys, "--results", str(tmp_path / "file" / "results"))
    assert "file/results cannot be written: Not a directory" in message


def test_a_folder_that_holds_something_else_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    assert "thesis.tex and no run.json" in refused(capsys, "--results", str(tmp_path))


def test_trials_of_an_unknown_run_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "trials").mkdir()
    assert "holds trials and no run.json" in refused(capsys, "--results", str(tmp_path))


def test_a_broken_run_json_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for content in ("{broken", "[]"):
        (tmp_path / "run.json").write_text(content)
        assert str(tmp_path / "run.json") in refused(capsys, "--results", str(tmp_path))


def test_a_single_point_takes_no_narrowing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ("--one", str(tmp_path / "p.json"), "--set", "alpha=0.5", "--results", str(tmp_path / "r"))
    assert "leave out --set and --range" in refused(capsys, *arguments)


def test_results_of_another_recipe_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"recipe": "baby_cry"}))
    assert "holds a study of recipe baby_cry, not wakeword" in refused(capsys, "--results", str(tmp_path))


def test_relative_results_in_a_ray_job_are_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert "give an absolute path" in refused(capsys, "--results", "results/here")


def test_other_conditions_are_refused_by_name() -> None:
    run = {
        "recipe": "wakeword",
        "data": {"name": "mine", "content_hash": "a" * 64},
        "teacher": {"name": "t", "content_hash": "b"},
        "teacher_layers": None,
        "max_false_alarms_per_hour": None,
        "views": {"count": 2, "name": "noise of a hall", "content_hash": "d"},
        "board": {"cpu_mhz": 240},
        "budget": {"flash_bytes": 1024.0},
        "latency_margin": 1.0,
        "calibration": None,
        "profiler_version": "5",
        "epochs": 20,
        "seed": 0,
        "narrowing": {},
    }
    refuse_other_run({}, run, Path("r"))
    refuse_other_run(json.loads(json.dumps(run)) | {"trials": 3}, run, Path("r"))
    changed = run | {"data": {"name": "yours", "content_hash": "c" * 64}, "budget": {"flash_bytes": 2048.0}}
    with pytest.raises(ValueError, match="another data and budget") as error:
        refuse_other_run(run, changed, Path("r"))
    assert "data was mine (aaaaaaaa), is yours (cccccccc)" in str(error.value)
    assert 'budget was {"flash_bytes": 1024.0}, is {"flash_bytes": 2048.0}' in str(error.value)
    with pytest.raises(ValueError, match=r"another views: views was noise of a hall \(d\), is null"):
        refuse_other_run(run, run | {"views": None}, Path("r"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("[1, 2]", "must hold an object of parameters"),
        ("{broken", "is not JSON"),
        ('{"temprature": 3}', "parameter 'temprature' is unknown"),
        ('{"temperature": 300}', "temperature=300 lies outside the space"),
        ('{"temperature": "hot"}', "temperature='hot' lies outside the space"),
        ('{"mels": 40}', "hop_ms"),
    ],
)
def test_bad_points_are_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str | None, message: str
) -> None:
    path = tmp_path / "params.json"
    if content is not None:
        path.write_text(content)
    found = refused(capsys, "--one", str(path), "--results", str(tmp_path / "r"))
    assert message in found
    assert str(path) in found


def test_recipe_help_shows_space_budget_and_objectives(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["wakeword", "--help"])
    assert ended.value.code == command.DONE
    shown = capsys.readouterr().out
    assert "temperature" in shown
    assert "1 to 8, logarithmic" in shown
    assert "flash=128K" in shown
    assert "arena_bytes (minimize)" in shown
