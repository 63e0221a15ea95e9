"""A recipe's ablation as a person runs it: trained on Ray, taken up again, told as a table."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import spaces
from search.ablation import possible_settings
from search.options import Options
from spaces.board import load_board
from spaces.narrowed import Narrowing
from tests.search.studies import ROOT, command
from tests.trainables.teachers.classifiers import AST, save_classifier
from trainables.recipe import Request


def options(recipe: str, teacher: str) -> Options:
    space = spaces.recipe_space(recipe)
    request = Request(teacher=teacher)
    return Options(recipe, "r", 1, 1, load_board(space.BOARD), space.BUDGET, request, ablation=True)


def test_settings_that_the_teacher_cannot_teach_are_left_out(tmp_path: Path) -> None:
    said: list[str] = []
    whole = [setting.name for setting in spaces.recipe_space("wakeword").ABLATION]
    teacher = f"classifier:{save_classifier(tmp_path, kind=AST)}"
    kept = [setting.name for setting in possible_settings(options("wakeword", teacher), said.append)]
    assert kept == [name for name in whole if name != "DS-CNN 32 x 3, aligned with the teacher"]
    reason = "with this --teacher, alignment_weight is 0.0"
    assert said == [f"DS-CNN 32 x 3, aligned with the teacher is left out: {reason}"]
    assert len(possible_settings(options("wakeword", "speech_embedding"), said.append)) == len(whole)


def test_an_ablation_is_not_narrowed() -> None:
    narrowed = replace(options("wakeword", "speech_embedding"), narrowing=Narrowing().fixing({"temperature": 2.0}))
    with pytest.raises(ValueError, match="--ablation: its settings say it all; leave out --set and --range"):
        possible_settings(narrowed, print)


def ran(data: Path, results: Path, seeds: int) -> str:
    arguments = [part for part in command(data, results, 1) if part != "--trials"]
    plain = arguments[: arguments.index("--set")]
    plain.remove("1")
    done = subprocess.run(
        [*plain, "--ablation", "--seeds", str(seeds), "--epochs", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_an_ablation_goes_on_where_it_stopped(tmp_path: Path, speech_folder: Path) -> None:
    settings = spaces.recipe_space("wakeword").ABLATION
    ran(speech_folder, tmp_path / "r", 1)
    reports = {path: path.stat().st_mtime_ns for path in (tmp_path / "r" / "ablation").glob("*/*/metrics.json")}
    assert len(reports) == len(settings)
    printed = ran(speech_folder, tmp_path / "r", 2)
    assert {path: path.stat().st_mtime_ns for path in reports} == reports
    assert all(f"| {setting.name} | 2 |" in printed for setting in settings)
    for setting in settings:
        for seed in (0, 1):
            folder = tmp_path / "r" / "ablation" / setting.folder / str(seed)
            metrics = json.loads((folder / "metrics.json").read_text())
            assert (metrics["params"], metrics["seed"]) == (dict(setting.params), seed)
    assert (tmp_path / "r" / "ablation.md").read_text().strip() in printed
