"""Reading a results folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from export.results import (
    Results,
    TrialRow,
    read_evaluation,
    read_metrics,
    read_run,
    read_study,
    read_trials,
    require_trained,
    sha256,
    write_atomically,
)
from tests.export.results_folder import OBJECTIVES, ResultsFolder, footprint


@pytest.fixture
def made(tmp_path: Path) -> ResultsFolder:
    return ResultsFolder(tmp_path / "results")


def test_every_outcome_comes_back_from_the_journal(made: ResultsFolder) -> None:
    numbers = {
        "trained": made.trained(0.9, 12.0, 20_000),
        "refused": made.refused(80.0, 30_000),
        "failed": made.failed("loss: nan in epoch 3"),
        "stopped": made.stopped(),
        "unfinished": made.unfinished(),
    }
    rows = {row.number: row for row in read_trials(made.folder)}
    assert {number: rows[number].outcome for number in rows} == {number: outcome for outcome, number in numbers.items()}
    assert rows[numbers["failed"]].reason == "loss: nan in epoch 3"
    assert rows[numbers["stopped"]].reason == "dominated by 2 trials at epoch 5"
    assert rows[numbers["stopped"]].values == ()
    assert rows[numbers["stopped"]].footprint == footprint(10.0, 10_000).as_dict()
    trained, refused = rows[numbers["trained"]], rows[numbers["refused"]]
    assert trained.values == (0.9, 12.0, 20_000.0)
    assert trained.metrics == {"score_int8": 0.9, "score_float": pytest.approx(0.904)}
    assert trained.footprint == footprint(12.0, 20_000).as_dict()
    assert refused.values == ()
    # Held at the upper end of its interval, a fifth above the estimate.
    assert refused.constraints["latency_ms"] == pytest.approx(80 * 1.2 / 50 - 1)
    assert refused.constraints["arena_bytes"] < 0
    assert trained.fits and not refused.fits
    assert set(trained.params) == {"temperature", "alpha", "student", "width"}


def test_reading_leaves_the_folder_as_it_is(made: ResultsFolder) -> None:
    made.trained(0.9, 12.0, 20_000)
    before = {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")}
    read_study(made.folder)
    assert {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")} == before


def test_counts_and_summary(made: ResultsFolder) -> None:
    made.trained(0.9, 12.0, 20_000)
    made.refused(80.0, 30_000)
    made.refused(90.0, 30_000)
    study = read_study(made.folder)
    assert study.counts == {"trained": 1, "stopped": 0, "refused": 2, "failed": 0, "unfinished": 0}
    assert study.summary() == "1 trained, 2 refused"
    require_trained(study)


def test_run_holds_objectives_board_and_budget(made: ResultsFolder) -> None:
    run = read_run(Results(made.folder))
    assert tuple((objective.name, objective.direction) for objective in run.objectives) == OBJECTIVES
    assert run.board_name == "esp32-s3-devkitc-1-n8"
    assert run.budget == {"flash_bytes": 131072, "arena_bytes": 65536, "latency_ms": 50}
    assert run.details["command"].startswith("python -m search")


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"results: folder .*nowhere does not exist"):
        read_study(tmp_path / "nowhere")


def test_folder_without_run_json_is_no_results_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is not a results folder: it holds no run\.json"):
        read_study(tmp_path)


def test_folder_without_study_is_named_and_gets_none(made: ResultsFolder) -> None:
    (made.folder / "study.journal").unlink()
    with pytest.raises(ValueError, match=r"holds no study: study\.journal is missing"):
        read_study(made.folder)
    assert not (made.folder / "study.journal").exists()


def test_study_without_trials_says_so(made: ResultsFolder) -> None:
    with pytest.raises(ValueError, match="holds no usable trained trial: no trial at all"):
        require_trained(read_study(made.folder))


def test_study_with_nothing_trained_says_what_is_there(made: ResultsFolder) -> None:
    made.refused(80.0, 30_000)
    made.failed("loss: nan")
    made.unfinished()
    with pytest.raises(ValueError, match="1 refused, 1 failed, 1 unfinished"):
        require_trained(read_study(made.folder))


def test_study_whose_trained_trials_are_all_damaged_says_so(made: ResultsFolder) -> None:
    number = made.trained(0.9, 12.0, 20_000)
    (made.folder / "trials" / str(number) / "metrics.json").unlink()
    with pytest.raises(ValueError, match="1 trained; 1 of the trained ones have a damaged folder"):
        require_trained(read_study(made.folder))


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("student.int8.tflite", None, "student.int8.tflite is missing"),
        ("student.int8.tflite", b"", "student.int8.tflite is empty"),
        ("student.int8.tflite", b"not a flatbuffer", "student.int8.tflite is not a .tflite"),
        ("student.json", None, "student.json is missing"),
        ("student.json", b'{"labels": ["ot', "student.json is not JSON"),
        ("student.json", b"[]", "student.json must hold a JSON object"),
        ("evaluation.json", b"", "evaluation.json is empty"),
        ("history.csv", None, "history.csv is missing"),
        ("metrics.json", b'{"number": 0, "scor', "metrics.json is not JSON"),
        ("metrics.json", b"[]", "metrics.json must hold a JSON object"),
        ("metrics.json", b"\xff\xfe", "metrics.json is not JSON"),
        ("metrics.json", b'{"number": 7}', "metrics.json is of trial 7"),
        ("metrics.json", b'{"number": 0, "tflite_sha256": "00"}', "its hash differs"),
    ],
)
def test_damaged_trial_is_named_with_its_fault(
    made: ResultsFolder, name: str, content: bytes | None, fault: str
) -> None:
    damaged, whole = made.trained(0.9, 12.0, 20_000), made.trained(0.8, 6.0, 10_000)
    path = made.folder / "trials" / str(damaged) / name
    path.unlink() if content is None else path.write_bytes(content)
    study = read_study(made.folder)
    assert list(study.damaged) == [damaged]
    assert fault in study.damaged[damaged]
    assert [row.number for row in study.trained] == [whole]


def test_matching_hash_is_whole(made: ResultsFolder) -> None:
    number = made.trained(0.9, 12.0, 20_000)
    folder = made.folder / "trials" / str(number)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["tflite_sha256"] = sha256(folder / "student.int8.tflite")
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert not read_study(made.folder).damaged


def test_missing_trial_folder_is_damage(made: ResultsFolder) -> None:
    number = made.trained(0.9, 12.0, 20_000)
    (made.folder / "trials" / str(number)).rename(made.folder / "elsewhere")
    assert read_study(made.folder).damaged == {number: "student.int8.tflite is missing"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, r"run\.json has schema 2; this version reads 1"),
        ({"objectives": [["score", "up"]]}, "direction 'up' must be maximize or minimize"),
        ({"objectives": 3}, r"run\.json is malformed"),
        ({"budget": None}, r"run\.json is malformed"),
        ({"recipe": "baby_cry"}, "holds no study of recipe baby_cry; there is wakeword"),
        ({"objectives": [["score", "maximize"]]}, r"unlike the objectives of run\.json"),
    ],
)
def test_unusable_run_json_is_explained(made: ResultsFolder, change: dict[str, object], message: str) -> None:
    path = made.folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=message):
        read_study(made.folder)


def test_run_json_without_a_field_names_it(made: ResultsFolder) -> None:
    (made.folder / "run.json").write_text('{"schema": 1, "recipe": "wakeword"}')
    with pytest.raises(ValueError, match=r"run\.json has no field 'objectives'"):
        read_study(made.folder)


def test_run_json_that_is_no_json_is_named(made: ResultsFolder) -> None:
    (made.folder / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run\.json is not JSON"):
        read_study(made.folder)


def test_unreadable_journal_is_named(made: ResultsFolder) -> None:
    made.trained(0.9, 12.0, 20_000)
    with (made.folder / "study.journal").open("r+b") as journal:
        journal.write(b"garbage")
    with pytest.raises(ValueError, match=r"study\.journal cannot be used"):
        read_study(made.folder)


def test_journal_cut_within_its_last_line_is_read_up_to_there(made: ResultsFolder) -> None:
    made.trained(0.9, 12.0, 20_000)
    with (made.folder / "study.journal").open("ab") as journal:
        journal.write(b'{"op_code": 4, "wor')
    assert [row.outcome for row in read_trials(made.folder)] == ["trained"]


@pytest.mark.parametrize("content", ["{}", "[1]", '[{"title": "no type"}]', "[", '"text"'])
def test_malformed_evaluation_is_named(made: ResultsFolder, content: str) -> None:
    number = made.trained(0.9, 12.0, 20_000)
    (made.folder / "trials" / str(number) / "evaluation.json").write_text(content)
    with pytest.raises(ValueError, match=r"evaluation\.json"):
        read_evaluation(Results(made.folder).trial(number))


def test_metrics_and_evaluation_come_back(made: ResultsFolder) -> None:
    number = made.trained(0.9, 12.0, 20_000)
    assert read_metrics(Results(made.folder), number)["test"]["f1"] == pytest.approx(0.8683)
    assert [row["type"] for row in read_evaluation(Results(made.folder).trial(number))] == [
        "confusion",
        "curve",
        "det",
        "calibration",
        "table",
    ]


def test_row_without_constraints_fits() -> None:
    assert TrialRow(0, "trained").fits


def test_write_makes_the_folder_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "note.txt"
    write_atomically(path, "naïve\n")
    assert path.read_bytes() == "naïve\n".encode()
    write_atomically(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert list(path.parent.iterdir()) == [path]


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
