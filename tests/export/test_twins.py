"""What the report says of the teacher: gains over labels alone, and the distance to the teacher itself."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from export.__main__ import main
from export.confirmation import Confirmed, Estimate, estimate
from export.front import find_front, write_front
from export.markup import html, tag
from export.report import report
from export.results import Results, read_study
from export.teaching_section import teaching_section
from tests.export.results_folder import ResultsFolder


@pytest.fixture
def made(tmp_path: Path) -> ResultsFolder:
    """Trials 0 and 1 are the front; 0 has three fresh seeds, and its twin two of them and another."""
    folder = ResultsFolder(tmp_path / "results")
    folder.trained(0.95, 40.0, 60_000)
    folder.trained(0.90, 20.0, 20_000)
    folder.confirmed(0, s1=0.92, s2=0.94, s3=0.96)
    folder.confirmed(1, s1=0.80)
    folder.labels_alone(0, s1=0.90, s3=0.91, s9=0.99)
    return folder


def members(folder: ResultsFolder) -> dict[int, Confirmed]:
    return dict(find_front(read_study(folder.folder)).retrained.members)


def test_gains_are_paired_by_seed(made: ResultsFolder) -> None:
    first, second = members(made)[0], members(made)[1]
    assert first.gains == pytest.approx({1: 0.02, 3: 0.05})
    assert first.gain == estimate(list(first.gains.values()))
    assert (second.gains, second.gain.mean) == ({}, None)


def section_of(folder: ResultsFolder) -> str:
    return html(tag("div", *teaching_section(find_front(read_study(folder.folder)))))


def test_the_report_shows_pairs_with_their_interval_and_who_is_not_confirmed(made: ResultsFolder) -> None:
    assert members(made)[0].alone == pytest.approx({1: 0.90 - 0.0317, 3: 0.91 - 0.0317})
    page = section_of(made)
    taught, alone = (figures_of([score - 0.0317 for score in scores]) for scores in ((0.92, 0.96), (0.90, 0.91)))
    cells = ["+0.035 (-0.156 to +0.226)", taught, alone, "2"]
    assert all(f'<td class="n">{cell}</td>' in page for cell in cells)
    assert 'aria-label="trial 0: gain +0.035 (-0.156 to +0.226)"' in page
    assert "Of 1 intervals 0 lie above zero and 0 below" in page
    assert "Not confirmed: 1." in page


def figures_of(scores: list[float]) -> str:
    found: Estimate = estimate(scores)
    return f"{found.mean:.3f} ({found.low:.3f}-{found.high:.3f})"


def test_a_teacher_that_helps_clears_zero(made: ResultsFolder) -> None:
    made.labels_alone(0, s2=0.91)
    for seed, score in ((1, 0.89), (2, 0.91), (3, 0.93)):
        path = next(made.folder.glob(f"labels_alone/*/{seed}/metrics.json"))
        path.write_text(json.dumps(json.loads(path.read_text()) | told(score)))
    assert "Of 1 intervals 1 lies above zero" in section_of(made)


def told(score: float) -> dict[str, object]:
    test = {"f1": score - 0.0317, "threshold": 0.5}
    return {"score_int8": score, "validation": {"f1": score, "threshold": 0.5}, "test": test}


def test_where_no_twin_was_trained_the_report_says_how(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    folder.trained(0.95, 40.0, 60_000)
    page = section_of(folder)
    assert "Not known: no member of the front was trained beside a twin" in page
    assert "--confirm 3" in page


def test_a_front_that_learnt_from_labels_alone_needs_no_twin(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    folder.trained(0.95, 40.0, 60_000)
    front = find_front(read_study(folder.folder))
    alone = replace(front.members[0], params={**front.members[0].params, "alpha": 1.0})
    page = html(tag("div", *teaching_section(replace(front, members=(alone,)))))
    assert "Every member of the front learns from labels alone" in page


def test_the_distance_to_the_teacher_and_its_margin(made: ResultsFolder) -> None:
    first, second = members(made)[0], members(made)[1]
    assert first.gap.mean == pytest.approx(0.94 - 0.0317 - 0.9)
    assert (first.within_margin, second.within_margin) == (True, False)
    assert Confirmed().within_margin is None


def test_damaged_folders_of_a_twin_are_named_and_left_out(made: ResultsFolder) -> None:
    folder = made.labels_alone(0, s4=0.9)
    (folder / "3" / "metrics.json").unlink()
    metrics = json.loads((folder / "4" / "metrics.json").read_text())
    (folder / "4" / "metrics.json").write_text(json.dumps(metrics | {"params": {}}))
    retrained = find_front(read_study(made.folder)).retrained
    assert list(retrained.members[0].gains) == [1]
    name = f"labels_alone/{folder.name}"
    assert retrained.left_out == {
        f"{name}/3": "not finished: metrics.json is missing",
        f"{name}/4": "its parameters are not those of the twin that its folder names",
    }


def test_files_report_and_command_say_it(made: ResultsFolder, capsys: pytest.CaptureFixture[str]) -> None:
    front = write_front(Results(made.folder))
    page = report(front)
    assert "+0.035 (-0.156 to +0.226)" in page
    assert "within 0.05: yes" in page
    assert "within 0.05 of the teacher" in page
    first, second = csv.DictReader((made.folder / "front.csv").read_text().splitlines())
    assert float(first["gain_mean"]) == pytest.approx(0.035)
    assert int(first["gain_seeds"]) == 2
    assert (first["within_teacher_margin"], second["within_teacher_margin"]) == ("True", "False")
    assert second["gain_mean"] == ""
    assert main([str(made.folder)]) == 0
    printed = capsys.readouterr().out
    assert (
        "trial 0 on test: +0.035 (-0.156 to +0.226) over labels alone, 2 seeds; F1 less the teacher's +0.008" in printed
    )
    assert "trial 1 on test: F1 less the teacher's -0.132, within 0.05: no" in printed


def test_without_twins_nothing_is_said_of_a_gain(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    folder.trained(0.95, 40.0, 60_000)
    folder.confirmed(0, s1=0.92)
    assert "gain over labels alone, test (95 %)" not in report(find_front(read_study(folder.folder)))
