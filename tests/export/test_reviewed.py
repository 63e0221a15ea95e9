"""A study under other objectives or ceilings, several folders as one front, and the table of all trials."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from pyarrow import parquet

from export.__main__ import main
from export.front import find_front
from export.picks import pick
from export.reviewed import opened, read_objectives
from spaces.budget import Budget
from tests.export.results_folder import ResultsFolder


@pytest.fixture
def made(tmp_path: Path) -> ResultsFolder:
    folder = ResultsFolder(tmp_path / "first")
    folder.trained(0.95, 40.0, 60_000, flash_bytes=90_000)
    folder.trained(0.90, 20.0, 20_000, flash_bytes=30_000)
    folder.trained(0.60, 5.0, 10_000, flash_bytes=20_000)
    folder.trained(0.85, 25.0, 21_000, flash_bytes=10_000)
    folder.refused(80.0, 30_000)
    return folder


@pytest.fixture
def other(tmp_path: Path) -> ResultsFolder:
    folder = ResultsFolder(tmp_path / "second")
    folder.trained(0.93, 10.0, 15_000)
    folder.trained(0.50, 45.0, 60_000)
    folder.failed("NaN")
    return folder


def run(*words: str | Path) -> int:
    return main([str(word) for word in words])


def members(front_json: Path) -> list[tuple[str, int]]:
    content = json.loads(front_json.read_text())
    return [(Path(member.get("results", "")).name, member["trial"]) for member in content["members"]]


def test_front_over_other_objectives(made: ResultsFolder) -> None:
    front = find_front(opened([made.folder], "score,flash_bytes"))
    # 1 is beaten by none: 3 is smaller but scores less.
    assert [row.number for row in front.members] == [0, 1, 3]
    assert front.members[0].values == (0.95, 90_000.0)
    assert [row.number for row in find_front(opened([made.folder], "score")).members] == [0]


def test_figures_of_metrics_json_are_objectives_too(made: ResultsFolder) -> None:
    front = find_front(opened([made.folder], "validation.f1,score_float:min"))
    assert [o.direction for o in front.study.run.objectives] == ["maximize", "minimize"]
    assert [row.number for row in front.members] == [0, 1, 3, 2]


def test_budget_after_the_fact(made: ResultsFolder) -> None:
    front = find_front(opened([made.folder], budget="latency=28"))
    assert [row.number for row in front.members] == [1, 2]
    assert front.study.run.budget["latency_ms"] == 28
    assert front.study.run.budget["arena_bytes"] == made.budget.arena_bytes
    assert front.reference[1] == 28
    assert pick(front, "best").number == 1


def test_refused_trials_that_a_wider_budget_lets_through_are_counted(
    made: ResultsFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(made.folder, "--budget", "latency=200") == 0
    assert "1 refused trials fit these ceilings, but were never trained" in capsys.readouterr().out.splitlines()


def test_second_look_leaves_the_results_folder_as_it_is(made: ResultsFolder, tmp_path: Path) -> None:
    assert run(made.folder) == 0
    before = {path: path.read_bytes() for path in made.folder.iterdir() if path.is_file()}
    assert run(made.folder, "--objectives", "score,flash_bytes", "--out", tmp_path / "out") == 0
    assert {path: path.read_bytes() for path in made.folder.iterdir() if path.is_file()} == before
    assert members(tmp_path / "out/front.json") == [("", 0), ("", 1), ("", 3)]
    listing = json.loads((tmp_path / "out/export.json").read_text())
    assert {"front.json", "front.csv", "report.html", "student.int8.tflite"} <= listing["files"].keys()
    assert "report: " not in (tmp_path / "out/report.html").read_text()[:100]


def test_several_folders_are_one_front(made: ResultsFolder, other: ResultsFolder, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(made.folder, other.folder, "--pick", "best", "--out", out) == 0
    assert members(out / "front.json") == [("first", 0), ("second", 0), ("first", 2)]
    listing = json.loads((out / "export.json").read_text())
    assert (Path(listing["results"]).name, listing["trial"]) == ("first", 0)
    assert run(made.folder, other.folder, "--pick", "second/0", "--out", out) == 0
    assert (out / "student.int8.tflite").read_bytes() == (other.folder / "trials/0/student.int8.tflite").read_bytes()
    first = json.loads((out / "front.json").read_text())["members"][0]
    assert (Path(first["results"]) / first["tflite"]).is_file()


def test_several_folders_without_out_write_nothing(
    made: ResultsFolder, other: ResultsFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted([*made.folder.iterdir(), *other.folder.iterdir()])
    assert run(made.folder, other.folder, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["export"] is None
    assert content["counts"]["trained"] == 6
    assert sorted([*made.folder.iterdir(), *other.folder.iterdir()]) == before
    assert run(made.folder, other.folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("second/0" in line for line in lines)


def test_damaged_trial_of_one_of_several_is_named(
    made: ResultsFolder, other: ResultsFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    (other.folder / "trials/0/student.int8.tflite").write_bytes(b"")
    assert run(made.folder, other.folder) == 3
    said = capsys.readouterr()
    assert "warning: trial second/0 left out, its folder is damaged: student.int8.tflite is empty" in said.err
    assert "second/0" not in said.out


def test_folders_of_one_name_go_by_their_paths(made: ResultsFolder, tmp_path: Path) -> None:
    twin = ResultsFolder(tmp_path / "deeper" / "first")
    twin.trained(0.99, 1.0, 1_000)
    front = find_front(opened([made.folder, twin.folder]))
    assert [row.name for row in front.members] == [f"{twin.folder}/0"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--objectives", "score,beauty"], "--objectives: no trial has a figure 'beauty'; there are arena_bytes,"),
        (["--objectives", "score,test.f1"], "--objectives: test.f1 is a test figure"),
        (["--objectives", "score,score"], "--objectives: score is named twice"),
        (["--objectives", "score:up"], "--objectives: score:up must end in :min or :max"),
        (["--budget", "latency=fast"], "--budget: latency='fast' must be milliseconds"),
        (["--budget", "latency=0.001"], "no trained trial fits the budget"),
        (["--table", "all.xlsx"], "--table: all.xlsx must end in .csv or .parquet"),
        (["RESULTS"], "is given twice"),
    ],
)
def test_bad_input_exits_2(
    made: ResultsFolder, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(made.folder, *[str(made.folder) if word == "RESULTS" else word for word in words]) == 2
    assert message in capsys.readouterr().err
    assert not (made.folder / "export").exists()


def test_a_figure_that_no_trial_has_is_not_among_those_there_are(
    made: ResultsFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(made.folder, "--objectives", "score,beauty") == 2
    _, there = capsys.readouterr().err.split("; there are ")
    assert "score_int8" in there
    assert "beauty" not in there


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ({"board": {"name": "esp32-s3-other"}}, "figures for another board cannot share a front"),
        ({"objectives": [["score", "maximize"], ["decision_ms", "minimize"], ["flash_bytes", "minimize"]]}, "name the"),
    ],
)
def test_folders_that_cannot_be_compared(
    made: ResultsFolder,
    tmp_path: Path,
    details: dict[str, object],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    strange = ResultsFolder(tmp_path / "strange", details=details)
    strange.trained(0.9, 10.0, 10_000)
    assert run(made.folder, strange.folder) == 2
    assert message in capsys.readouterr().err


def test_other_budgets_need_one_and_other_data_are_warned_about(
    made: ResultsFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = ResultsFolder(
        tmp_path / "wide", budget=Budget(latency_ms=90.0), details={"data": {"content_hash": "0" * 64}}
    )
    wide.trained(0.97, 70.0, 10_000)
    assert run(made.folder, wide.folder) == 2
    assert "--budget: the folders were searched under other budgets" in capsys.readouterr().err
    assert run(made.folder, wide.folder, "--budget", "latency=90") == 0
    said = capsys.readouterr()
    assert "the folders differ in their data" in said.err
    assert "wide/0" in said.out


def test_empty_folder_among_several_says_what_is_there(
    made: ResultsFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = ResultsFolder(tmp_path / "empty")
    empty.unfinished()
    assert run(made.folder, empty.folder) == 2
    assert f"{empty.folder} holds no usable trained trial: 1 unfinished" in capsys.readouterr().err


def test_directions_follow_the_unit() -> None:
    found = {o.name: o.direction for o in read_objectives("score, latency_ms,arena_bytes,parameters,compression")}
    assert found == {
        "score": "maximize",
        "latency_ms": "minimize",
        "arena_bytes": "minimize",
        "parameters": "minimize",
        "compression": "maximize",
    }


def test_table_holds_every_trial(made: ResultsFolder, other: ResultsFolder, tmp_path: Path) -> None:
    assert run(made.folder, other.folder, "--table", tmp_path / "all.csv") == 0
    assert run(made.folder, other.folder, "--table", tmp_path / "all.parquet") == 0
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert {row["schema"] for row in rows} == {"1"}
    assert [(Path(row["results"]).name, row["trial"], row["outcome"]) for row in rows][3:6] == [
        ("first", "3", "trained"),
        ("first", "4", "refused"),
        ("second", "0", "trained"),
    ]
    assert [row["trial"] for row in rows if row["on_front"] == "True"] == ["0", "2", "0"]
    table = parquet.read_table(tmp_path / "all.parquet")
    assert table.schema.metadata[b"potstill_schema"] == b"1"
    assert table.column_names == list(rows[0])
    # What schema 1 promises.
    assert table.column_names[:7] == ["schema", "results", "trial", "outcome", "reason", "on_front", "fits"]
    kinds = {name.partition(".")[0] for name in table.column_names[7:]}
    assert kinds == {"value", "score_int8", "score_float", "over", "footprint", "param"}
    assert table["value.score"].to_pylist() == [0.95, 0.9, 0.6, 0.85, None, 0.93, 0.5, None]
    assert table["footprint.arena_bytes"].to_pylist()[:2] == [60_000, 20_000]
    assert table["over.latency_ms"].to_pylist()[4] > 0
