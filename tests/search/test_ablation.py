"""A recipe's ablation as a person runs it: trained on Ray, taken up again, told as a table."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import spaces
from tests.search.studies import ROOT, command

pytestmark = pytest.mark.slow


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
