"""What W&B's offline files say of a study, read back without W&B's own reader."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from export.front import find_front
from export.results import Results, TrialRow, read_study
from search.side_car import Views
from search.views import history, study_id, summary_of
from tests.export.results_folder import ResultsFolder
from tests.search.wandb_files import OfflineRun, finished_runs

Recorded = tuple[Path, dict[str, OfflineRun]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """A study of every outcome and its runs by what follows the study in their ids."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        made = ResultsFolder(tmp_path_factory.mktemp("views") / "results")
        made.random(5, trained=8, refused=4)
        made.trained(0.99, 60.0, 30_000)
        made.failed("loss: nan")
        made.stopped()
        (made.folder / "report.html").write_text("<p>the report</p>")
        with Views("offline", print) as views:
            views.start(Results(made.folder))
            views.finish()
        yield made.folder, {name: found[0] for name, found in finished_runs(made.folder).items()}


def rows(results: Path) -> list[TrialRow]:
    return [row for row in read_study(results).trials if row.outcome == "trained"]


def of_ours(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if not name.startswith("_")}


def test_all_runs_are_of_one_group(recorded: Recorded) -> None:
    results, runs = recorded
    study = study_id(Results(results))
    assert {run.group for run in runs.values()} == {f"wakeword-{study}"}
    assert {run.project for run in runs.values()} == {"potstill"}
    for row in rows(results):
        run = runs[str(row.number)]
        assert (run.run_id, run.name, run.job_type) == (f"{study}-{row.number}", f"trial {row.number}", "trial")
    assert (runs["study"].run_id, runs["study"].name, runs["study"].job_type) == (f"{study}-study", "study", "study")


def test_config_is_exactly_the_parameters(recorded: Recorded) -> None:
    results, runs = recorded
    assert rows(results)
    for row in rows(results):
        assert of_ours(runs[str(row.number)].config) == row.params


def test_history_has_every_column_of_every_epoch(recorded: Recorded) -> None:
    results, runs = recorded
    for row in rows(results):
        text = (results / "trials" / str(row.number) / "history.csv").read_text()
        told = [{name: float(value) for name, value in line.items()} for line in csv.DictReader(text.splitlines())]
        written = runs[str(row.number)].history
        assert [of_ours(line) for line in written] == told
        assert [line["_step"] for line in written] == [line["epoch"] for line in told]


def test_summary_holds_objectives_constraints_and_footprint(recorded: Recorded) -> None:
    results, runs = recorded
    for row in rows(results):
        summary = runs[str(row.number)].summary
        assert [summary[name] for name in ("score", "decision_ms", "arena_bytes")] == list(row.values)
        assert summary["constraints"] == row.constraints
        assert summary["footprint"] == row.footprint
        assert (summary["score_int8"], summary["score_float"]) == (row.values[0], row.metrics["score_float"])
        assert (summary["outcome"], summary["fits"]) == ("trained", row.fits)
    assert not all(runs[str(row.number)].summary["fits"] for row in rows(results))


def media(results: Path, run: OfflineRun, kind: str) -> Any:
    (folder,) = (results / "wandb").glob(f"offline-run-*-{run.run_id}")
    return json.loads((folder / "files" / next(path for path in run.files if kind in path)).read_text())


def test_the_front_is_a_table(recorded: Recorded) -> None:
    results, runs = recorded
    table = media(results, runs["study"], "/front_")
    members = find_front(read_study(results)).members
    told = [dict(zip(table["columns"], line, strict=True)) for line in table["data"]]
    assert {line["trial"]: [line["score"], line["decision_ms"], line["arena_bytes"]] for line in told} == {
        row.number: list(row.values) for row in members
    }
    assert {line["trial"]: line["param.temperature"] for line in told} == {
        row.number: row.params["temperature"] for row in members
    }


def test_scatter_plots_show_the_score_by_latency_and_arena(recorded: Recorded) -> None:
    results, runs = recorded
    panels = runs["study"].config["_wandb"]["visualize"]
    assert {name: panel["panel_config"]["fieldSettings"] for name, panel in panels.items()} == {
        "score_by_decision_ms": {"x": "decision_ms", "y": "score"},
        "score_by_arena_bytes": {"x": "arena_bytes", "y": "score"},
    }
    table = media(results, runs["study"], "/trained_")
    assert len(table["data"]) == len(rows(results))
    for key in ("score_by_decision_ms_table", "score_by_arena_bytes_table"):
        assert runs["study"].history[0][key]["nrows"] == len(rows(results))


def test_parameters_are_parallel_coordinates(recorded: Recorded) -> None:
    results, runs = recorded
    (trace,) = media(results, runs["study"], "/parameters_")["data"]
    assert trace["type"] == "parcoords"
    labels = [axis["label"] for axis in trace["dimensions"]]
    assert labels == ["temperature", "alpha", "student", "width", "score", "decision_ms", "arena_bytes"]
    assert all(len(axis["values"]) == len(rows(results)) for axis in trace["dimensions"])


def test_the_study_run_counts_and_says_under_which_conditions(recorded: Recorded) -> None:
    results, runs = recorded
    summary, config = runs["study"].summary, of_ours(runs["study"].config)
    assert summary["counts"] == {"trained": 9, "stopped": 1, "refused": 4, "failed": 1, "unfinished": 0}
    front = find_front(read_study(results))
    assert (summary["front_size"], summary["hypervolume"]) == (len(front.members), front.hypervolume)
    assert config["budget"] == {"flash_bytes": 131072, "arena_bytes": 65536, "latency_ms": 50}
    assert config["data"] == {"name": "synthesised", "content_hash": "3f1c" * 16}
    assert "command" not in config


def test_models_of_the_front_and_the_report_are_artifacts(recorded: Recorded) -> None:
    results, runs = recorded
    name = f"wakeword-{study_id(Results(results))}"
    members = {f"trial_{row.number}.int8.tflite" for row in find_front(read_study(results)).members}
    kind, files = runs["study"].artifacts[f"{name}-students"]
    assert (kind, set(files)) == ("model", members)
    assert runs["study"].artifacts[f"{name}-report"] == ("report", ["report.html"])


def test_the_studys_id_stays_and_differs_between_studies(recorded: Recorded, tmp_path: Path) -> None:
    results, _ = recorded
    first = (results / "study.journal").read_bytes().split(b"\n")[0] + b"\n"
    assert study_id(Results(results)) == hashlib.sha256(first).hexdigest()[:8]
    other = ResultsFolder(tmp_path / "other")
    before = study_id(Results(other.folder))
    other.random(1, trained=1)
    assert study_id(Results(other.folder)) == before
    assert before != study_id(Results(results))


def test_empty_cells_of_a_history_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss,soft_loss\n0,0.5,\n1,nan,0.25\n")
    first, second = history(path)
    assert first == {"epoch": 0.0, "loss": 0.5}
    assert (second["epoch"], second["soft_loss"]) == (1.0, 0.25)
    assert second["loss"] != second["loss"]


def test_a_point_beyond_a_ceiling_does_not_fit() -> None:
    metrics = {
        "objectives": {"score": 0.5},
        "score_int8": 0.5,
        "score_float": 0.6,
        "outcome": "trained",
        "footprint": {},
    }
    assert summary_of(metrics, {"flash_bytes": 0.0, "arena_bytes": -0.5})["fits"] is True
    assert summary_of(metrics, {"flash_bytes": 0.01, "arena_bytes": -0.5})["fits"] is False
