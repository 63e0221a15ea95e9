"""Sweeps: the configuration that is written, an agent's point on real data, prior runs on a stand-in of the API."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from export.results import Results
from search.one import read_params, taken
from search.side_car import Views
from search.sweep import main, parameter
from search.views import recorded
from spaces import recipe_space
from spaces.narrowed import parameters
from spaces.wakeword_students import PRUNABLE
from tests.export.results_folder import ResultsFolder
from tests.search.wandb_files import OfflineRun, finished_run
from tests.search.wandb_stand_in import API_KEY, StandIn, stand_in

ROOT = Path(__file__).parent.parent.parent
KINDS = list(parameters(recipe_space("wakeword"))["student"].choices)  # type: ignore[attr-defined]
VOCABULARY = {
    ("value",),
    ("values",),
    ("distribution", "min", "max"),
    ("distribution", "q", "min", "max"),
}


@pytest.fixture(autouse=True)
def without_wandb_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")] + ["NETRC"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


def written(path: Path, *arguments: str) -> dict[str, Any]:
    assert main(["wakeword", *arguments, "--output", str(path)]) == 0
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    return config


def drawn(told: dict[str, Any], dice: random.Random) -> Any:
    """A value as W&B's documentation says that its server draws one."""
    if "value" in told:
        return told["value"]
    if "values" in told:
        return dice.choice(told["values"])
    low, high = told["min"], told["max"]
    if told["distribution"] == "int_uniform":
        return dice.randint(low, high)
    if told["distribution"] == "uniform":
        return dice.uniform(low, high)
    value = min(max(math.exp(dice.uniform(math.log(low), math.log(high))), low), high)
    return value if told["distribution"] == "log_uniform_values" else round(value / told["q"]) * told["q"]


def test_every_parameter_of_the_space_is_there(tmp_path: Path) -> None:
    parameters = written(tmp_path / "sweep.yaml")["parameters"]
    assert parameters["peak_lr"] == {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2}
    assert parameters["alpha"] == {"distribution": "uniform", "min": 0.0, "max": 1.0}
    assert parameters["ds_cnn_width"] == {"values": list(range(8, 97, 8))}
    assert parameters["ds_cnn_depth"] == {"distribution": "int_uniform", "min": 1, "max": 5}
    assert parameters["tiny_conv_depthwise"] == {"values": [False, True]}
    assert parameters["student"] == {"values": KINDS}
    assert set(recipe_space("wakeword").START_POINTS[0]) <= set(parameters)


def test_the_command_runs_one_point_with_the_options_given(tmp_path: Path) -> None:
    config = written(tmp_path / "sweep.yaml", "--data", "my clips", "--epochs", "3", "--method", "random")
    assert config["command"] == [
        *("${env}", "${interpreter}", "-m", "search", "wakeword", "--one", "${args_json_file}"),
        *("--data=my clips", "--epochs=3"),
    ]
    assert config["method"] == "random"
    assert config["metric"] == {"name": "score", "goal": "maximize"}
    assert (ROOT / config["program"]).is_file()


def test_narrowing_fixes_narrows_and_drops_what_is_out_of_reach(tmp_path: Path) -> None:
    narrow = ("--set", "student=ds_cnn", "--range", "ds_cnn_width=8:24", "--range", "peak_lr=1e-3:2e-3")
    parameters = written(tmp_path / "sweep.yaml", *narrow, "--set", "alpha=0.5")["parameters"]
    assert parameters["student"] == {"value": "ds_cnn"}
    assert parameters["alpha"] == {"value": 0.5}
    assert parameters["ds_cnn_width"] == {"values": [8, 16, 24]}
    assert parameters["peak_lr"] == {"distribution": "log_uniform_values", "min": 1e-3, "max": 2e-3}
    assert not [name for name in parameters if name.startswith("tiny_conv")]


def test_whatever_is_drawn_is_accepted_as_one_point(tmp_path: Path) -> None:
    parameters = written(tmp_path / "sweep.yaml")["parameters"]
    path, drawn_kinds = tmp_path / "point.json", set()
    for seed in range(80):
        dice = random.Random(seed)
        path.write_text(json.dumps({name: drawn(told, dice) for name, told in parameters.items()}))
        point = taken("wakeword", read_params("wakeword", path))
        drawn_kinds.add(point["student"])
        others = tuple(f"{kind}_" for kind in KINDS if kind != point["student"])
        unasked = set() if point["qat"] else {"qat_start"}
        unasked |= set() if point["student"] in PRUNABLE else {"prune_from"}
        unasked |= {"mels", "hop_ms"} if point["front_end"] == "micro" else set()
        assert {name for name in parameters if not name.startswith(others)} - unasked == set(point)
    assert drawn_kinds == set(KINDS)


@st.composite
def distributions(draw: st.DrawFn) -> BaseDistribution:
    kind = draw(st.sampled_from(["float", "log float", "stepped float", "int", "log int", "stepped int", "choice"]))
    low = draw(st.integers(1, 50))
    high = low + draw(st.integers(0, 100))
    if kind == "choice":
        choices = draw(
            st.lists(st.one_of(st.booleans(), st.integers(2, 9), st.text(max_size=3)), min_size=1, unique=True)
        )
        return CategoricalDistribution(choices)
    if kind.endswith("int"):
        step = draw(st.integers(2, 9)) if kind.startswith("stepped") else 1
        return IntDistribution(low, high - (high - low) % step, log=kind.startswith("log"), step=step)
    quarters = 0.25 if kind.startswith("stepped") else None
    return FloatDistribution(low / 4, high / 4, log=kind.startswith("log"), step=quarters)


@given(distributions(), st.integers(0, 99))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_drawn_value_lies_in_the_distribution(distribution: BaseDistribution, seed: int) -> None:
    told = parameter(distribution)
    assert tuple(told) in VOCABULARY
    assert yaml.safe_load(yaml.safe_dump(told)) == told
    value = drawn(json.loads(json.dumps(told)), random.Random(seed))
    assert distribution._contains(distribution.to_internal_repr(value))


def test_it_is_printed_where_no_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wakeword"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("# wandb sweep THIS_FILE makes the sweep;")
    assert yaml.safe_load(shown)["name"] == "wakeword"


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    return capsys.readouterr().err


def test_bad_input_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "recipe: 'wakeboard' is unknown; there are" in refused(capsys, "wakeboard")
    assert "parameter 'widht' is unknown" in refused(capsys, "wakeword", "--set", "widht=3")
    (tmp_path / "file").write_text("")
    message = refused(capsys, "wakeword", "--output", str(tmp_path / "file" / "sweep.yaml"))
    assert "--output: " in message
    assert "cannot be written: " in message


def test_a_misspelt_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["wakeword", "--epoch", "3"])
    assert ended.value.code == 2
    assert "--epoch" in capsys.readouterr().err


def as_an_agent_writes(folder: Path, point: dict[str, Any]) -> tuple[Path, dict[str, str]]:
    """The two parameter files and the environment, by wandb's own functions, as its agent prepares a process."""
    from wandb.sdk.launch.sweeps import utils
    from wandb.sdk.lib import config_util

    arguments = {name: {"value": value} for name, value in point.items()}
    config, args_json = folder / "config-abc123.yaml", folder / "config-abc123.json"
    config_util.save_config_file_from_dict(str(config), arguments)  # type: ignore[no-untyped-call]
    args_json.write_text(utils.create_sweep_command_args({"args": arguments})["args_json"][0])
    told = {"SWEEP_ID": "sw1", "RUN_ID": "abc123", "SWEEP_PARAM_PATH": str(config), "MODE": "offline"}
    return args_json, {f"WANDB_{name}": value for name, value in told.items()}


POINT = {
    **recipe_space("wakeword").START_POINTS[0],
    **{"student": "ds_cnn", "ds_cnn_width": 8.0, "ds_cnn_depth": 1, "ds_cnn_second_stride": 2, "hop_ms": 20},
}
UNUSED = ["tiny_conv_depth", "tiny_conv_depthwise", "tiny_conv_width"]


def small(speech_folder: Path, results: Path) -> list[str]:
    return ["--data", str(speech_folder), "--word", "up", "--results", str(results), "--epochs", "2"]


@pytest.mark.slow
def test_an_agents_point_is_trained_and_logged_into_its_run(tmp_path: Path, speech_folder: Path) -> None:
    config = written(tmp_path / "sweep.yaml", *small(speech_folder, tmp_path / "results"))
    args_json, environment = as_an_agent_writes(tmp_path, POINT)
    macros = {"${env}": "/usr/bin/env", "${interpreter}": sys.executable, "${args_json_file}": str(args_json)}
    command = [macros.get(word, word) for word in config["command"]]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    metrics = json.loads(done.stdout)
    assert metrics["ignored"] == UNUSED
    assert metrics["params"] == {name: value for name, value in POINT.items() if name not in UNUSED}
    assert isinstance(metrics["params"]["ds_cnn_width"], int)
    (folder,) = (tmp_path / "results" / "wandb").glob("offline-run-*")
    _check_agent_run(finished_run(folder), metrics)


def _check_agent_run(run: OfflineRun, metrics: dict[str, Any]) -> None:
    assert (run.run_id, run.sweep_id) == ("abc123", "sw1")
    assert {name: value for name, value in run.config.items() if not name.startswith("_")} == POINT
    assert [row["epoch"] for row in run.history] == [0, 1]
    assert {"loss", "hard_loss", "soft_loss", "validation_score"} <= set(run.history[0])
    assert run.summary["score"] == metrics["score_int8"]
    assert run.summary["footprint"] == metrics["footprint"]
    assert set(run.summary["constraints"]) == {"flash_bytes", "arena_bytes", "latency_ms"}
    assert run.summary["ignored_parameters"] == UNUSED


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with stand_in() as running:
        monkeypatch.setenv("WANDB_BASE_URL", running.url)
        monkeypatch.setenv("WANDB_API_KEY", API_KEY)
        yield running


@pytest.mark.slow
def test_wandbs_own_agent_runs_the_sweep(tmp_path: Path, speech_folder: Path, server: StandIn) -> None:
    written(tmp_path / "sweep.yaml", *small(speech_folder, tmp_path / "results"))
    server.sweep_config = (tmp_path / "sweep.yaml").read_text()
    arguments = {name: {"value": value} for name, value in POINT.items()}
    server.commands.append({"type": "run", "id": "1", "run_id": "abc123", "program": "", "args": arguments})
    places = {name: str(tmp_path / name.lower()) for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR")}
    (tmp_path / "wandb_dir").mkdir()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "agent", "me/potstill/sw1"],
        cwd=ROOT,
        env={**os.environ, **places, "PATH": path, "WANDB_MODE": "offline"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert "Agent received command: exit" in done.stderr, done.stdout[-3000:] + done.stderr[-3000:]
    (folder,) = (tmp_path / "wandb_dir" / "wandb").glob("offline-run-*")
    _check_agent_run(finished_run(folder), json.loads(done.stdout[done.stdout.index("{") :]))


@pytest.fixture
def study(tmp_path: Path) -> ResultsFolder:
    narrowing = {"set": {"student": "ds_cnn"}, "range": {"peak_lr": [1e-3, 2e-3]}}
    command = "python -m search wakeword --data 'my clips' --epochs 5 --trials 3 --set student=ds_cnn --wandb online"
    made = ResultsFolder(tmp_path / "results", details={"narrowing": narrowing, "command": command})
    made.random(2, trained=3, refused=1)
    return made


def swept(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: wandb keeps what it was once told for as long as it lives."""
    code = "import sys; from search.sweep import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def recorded_study(made: ResultsFolder, mode: Any) -> set[str]:
    with Views(mode, lambda line: None) as views:
        views.start(Results(made.folder))
        views.finish()
    return {name for name in recorded(Results(made.folder)) if not name.endswith("-study")}


def test_uploaded_runs_become_a_sweep(study: ResultsFolder, server: StandIn) -> None:
    ids = recorded_study(study, "online")
    done = swept("wakeword", "--prior", str(study.folder), "--seed", "4")
    assert (done.returncode, done.stdout) == (0, "sweep sw1 of 3 runs of wakeword\n"), done.stderr
    (sent,) = server.calls("upsertSweep")
    assert sent["projectName"] == "potstill"
    assert {entry["name"] for entry in json.loads(sent["priorRunsFilters"])["$or"]} == ids
    config = yaml.safe_load(sent["config"])
    assert config["parameters"]["student"] == {"value": "ds_cnn"}
    assert config["parameters"]["peak_lr"] == {"distribution": "log_uniform_values", "min": 1e-3, "max": 2e-3}
    assert config["command"][-3:] == ["--data=my clips", "--epochs=5", "--seed=4"]
    assert not (ROOT / "wandb").exists()


def test_runs_that_are_not_uploaded_make_no_sweep(study: ResultsFolder, capsys: pytest.CaptureFixture[str]) -> None:
    recorded_study(study, "offline")
    message = refused(capsys, "wakeword", "--prior", str(study.folder))
    assert f"--prior: none of 3 runs is uploaded yet: wandb sync {study.folder}/wandb" in message


def test_prior_runs_bring_their_own_space(study: ResultsFolder, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "wakeword", "--prior", str(study.folder), "--set", "alpha=0.5")
    assert "--prior: the study says what its space was; leave out --set and --range" in message


def test_prior_runs_of_another_recipe_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = ResultsFolder(tmp_path / "other", recipe="baby_cry")
    message = refused(capsys, "wakeword", "--prior", str(made.folder))
    assert f"--prior: {made.folder} holds a study of recipe baby_cry, not wakeword" in message


def test_a_server_that_refuses_is_said(study: ResultsFolder, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded_study(study, "online")
    monkeypatch.delenv("WANDB_API_KEY")
    done = swept("wakeword", "--prior", str(study.folder))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("failed: W&B did not take the sweep: ")
