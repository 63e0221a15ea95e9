"""The report's views of whole studies, its size, every kind of recipe, and what a browser makes of it."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import FloatDistribution

from export.front import find_front
from export.picks import pick
from export.report import MAX_BYTES, report, write_report
from export.results import read_study
from tests.export.report_page import front_of, page_of, parsed
from tests.export.results_folder import ResultsFolder


def test_a_study_of_a_thousand_trials_stays_under_3_megabytes(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    folder.random(0, trained=30)
    study = read_study(folder.folder)
    dice = random.Random(0)
    rows = []
    for number in range(1000):
        like = study.trials[number % 30]
        if number >= 30:
            (folder.folder / "trials" / str(number)).symlink_to(folder.folder / "trials" / str(like.number))
        values = tuple(value * dice.uniform(0.9, 1) for value in like.values)
        params = {**like.params, "alpha": dice.random(), "neg_per_pos": dice.uniform(0.5, 20), "peak_lr": dice.random()}
        drawn = {**like.distributions, "neg_per_pos": FloatDistribution(0.5, 20), "peak_lr": FloatDistribution(0, 1)}
        rows.append(replace(like, number=number, values=values, params=params, distributions=drawn))
    front = find_front(replace(study, trials=tuple(rows)))
    text = report(front, pick(front, "knee"))
    assert len(text.encode()) < MAX_BYTES
    page = parsed(text)
    assert sum(a["class"].startswith("dot ") for n, a in page.elements if n == "circle" and "data-trial" in a) == 2000
    # Four effect plots of a thousand points each, drawn as paths.
    spots = [a["d"] for n, a in page.elements if a.get("class", "").startswith("spots ")]
    assert sum(path.count("h0") for path in spots) == 4000
    assert "Importance, all trials (64 of 1000 trials)" in page.text
    others = page.text[page.text.index("Other trained trials") :]
    assert re.match(
        r"Other trained trialsDominated, or over budget once trained\. The best \d+ of \d{3} by score\.", others
    )


def test_what_moved_the_score_is_drawn_from_enough_trials(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    folder.random(2, trained=18)
    text = report(front_of(folder))
    page = parsed(text)
    assert "Importance, all trials (18)" in page.text
    assert {a["data-tip"].split(":")[0] for _, a in page.elements if a.get("class") == "rank"} == {
        "temperature",
        "alpha",
        "student",
        "width",
    }
    assert "score against temperature" in page.text and "score against alpha" in page.text
    assert "score against neg_per_pos" not in page.text
    assert page.classes()["series median"] == 2
    spots = [a for _, a in page.elements if a.get("class", "").startswith("spot c") and "data-trial" in a]
    assert Counter(a["data-trial"] for a in spots) == {str(number): 2 for number in range(18)}
    few = page_of(made_of(tmp_path / "few", 3))
    assert "Importance takes 16 trained trials whose scores differ; here are 3." in few.text
    assert "takes 8 trained trials that drew different values" in few.text


def made_of(path: Path, trained: int) -> ResultsFolder:
    folder = ResultsFolder(path)
    folder.random(2, trained=trained)
    return folder


def test_tables_of_many_columns_take_the_whole_width(tmp_path: Path) -> None:
    made = made_of(tmp_path / "results", 3)
    rows = [{"type": "table", "title": "T", "columns": ["c"] * count, "rows": []} for count in (5, 6, 9)]
    (made.folder / "trials/1/evaluation.json").write_text(json.dumps(rows))
    assert page_of(made, "1").classes()["wide"] == 2


VALUES = {
    "type": "calibration",
    "title": "Valence on test, INT8",
    "x_name": "valence said",
    "y_name": "valence rated",
    "x": [-0.7, 0.1, 0.55],
    "y": [-0.4, 0.0, 0.7],
    "clips": [10, 40, 12],
    "error": 0.158,
    "ends": [-1.0, 1.0],
}
MASKS = {
    "type": "table",
    "title": "Test at -5 dB SNR",
    "columns": ["signal", "SI-SDR dB, 12 clips"],
    "rows": [["noisy input", "-5.02 (-5.10 to -4.95)"], ["INT8 student less noisy input", "6.34 (5.91 to 6.70)"]],
}
SOUNDS = {"type": "audio", "title": "Heard", "clips": [{"name": "noisy", "file": "noisy.wav"}]}


@pytest.mark.parametrize(
    ("recipe", "score", "rows", "said"),
    [
        ("valence_arousal", 0.61, [VALUES], "Off by 0.158 on average over clips"),
        ("speech_enhancement", 6.3, [MASKS, SOUNDS], "6.34 (5.91 to 6.70)"),
        ("baby_cry", 0.97, [], "Calibration on test"),
    ],
)
def test_every_kind_of_recipe_has_its_page(
    recipe: str, score: float, rows: list[dict[str, Any]], said: str, tmp_path: Path
) -> None:
    folder = ResultsFolder(tmp_path / "results", recipe=recipe)
    for number in range(9):
        folder.trained(score - number / 50, 30.0 - number, 30_000 - 1000 * number)
        (folder.folder / "trials" / str(number) / "noisy.wav").write_bytes(b"RIFF")
        if rows:
            (folder.folder / "trials" / str(number) / "evaluation.json").write_text(json.dumps(rows))
    front = front_of(folder)
    page = parsed(report(front, pick(front, "best")))
    assert said in page.text and "malformed" not in page.text and "nan" not in page.text.lower()
    assert f"{recipe} on esp32-s3-devkitc-1-n8" in page.text
    assert page.classes()["series median"] == 2
    players = [attributes["src"][:15] for name, attributes in page.elements if name == "audio"]
    assert players == (["data:audio/wav;"] if SOUNDS in rows else [])


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
def test_a_browser_runs_the_script_under_the_policy(tmp_path: Path) -> None:
    front = front_of(made_of(tmp_path / "results", 3))
    address = write_report(front, pick(front, "1")).as_uri() + "#trial-2"
    opened = {
        a["id"] for name, a in parsed(in_browser(address, tmp_path)).elements if name == "details" and "open" in a
    }
    # The script opens the section that the address names.
    assert opened == {"trial-1", "trial-2"}


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_its_window(width: int, tmp_path: Path) -> None:
    folder = made_of(tmp_path / "results", 18)
    folder.confirmed(0, s1=0.92, s2=0.94)
    folder.labels_alone(0, s1=0.90, s2=0.91)
    front = front_of(folder)
    page = write_report(front, pick(front, "knee"))
    # A window has a least width; a frame has none.
    frame = f'<iframe src="{page.as_uri()}" width="{width}" height="800" style="border:0"></iframe>'
    measure = (
        "onload = () => { const it = document.querySelector('iframe').contentDocument.documentElement;"
        "document.body.dataset.widths = it.clientWidth + ' ' + it.scrollWidth }"
    )
    (tmp_path / "framed.html").write_text(f"<!doctype html><body>{frame}<script>{measure}</script></body>")
    said = in_browser((tmp_path / "framed.html").as_uri(), tmp_path, "--allow-file-access-from-files")
    found = re.search(r'data-widths="(\d+) (\d+)"', said)
    assert found and found[1] == found[2]
    assert width - 20 <= int(found[1]) <= width


def in_browser(address: str, tmp_path: Path, *more: str) -> str:
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}",
        *more,
    ]
    done = subprocess.run(
        [str(CHROMIUM), *options, "--dump-dom", address], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout
