"""What an ablation's folders say, beside scipy and counts by hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from scipy.stats import ttest_1samp, ttest_rel

from export.ablation import ablation_rows, ablation_table, ablation_text, write_ablation
from export.results import Results
from spaces.ablation import Setting
from spaces.candidate import Scalar

ALONE: Mapping[str, Scalar] = {"alpha": 1.0}
TAUGHT: Mapping[str, Scalar] = {"alpha": 0.5}
SETTINGS = (Setting("labels alone", ALONE), Setting("T=2, half", TAUGHT, against="labels alone"), Setting("never", {}))
VALIDATION = {"labels alone": [0.8, 0.82, 0.84], "T=2, half": [0.86, 0.83, 0.87]}
TEST = {"labels alone": [0.7, 0.74, 0.72], "T=2, half": [0.75, 0.76, 0.8]}


def kept(folder: Path, setting: Setting, seed: int, validation: float, test: float, **more: object) -> None:
    path = folder / "ablation" / setting.folder / str(seed) / "metrics.json"
    path.parent.mkdir(parents=True)
    figures = {"score_int8": validation, "score_float": validation + 0.01}
    parts = {"validation": {"f1": validation, "auc": 0.9}, "test": {"f1": test, "auc": 0.9}}
    path.write_text(json.dumps({"outcome": "trained", "params": dict(setting.params), **figures, **parts, **more}))


@pytest.fixture
def results(tmp_path: Path) -> Results:
    for setting in SETTINGS[:2]:
        for seed, scores in enumerate(zip(VALIDATION[setting.name], TEST[setting.name], strict=True)):
            kept(tmp_path, setting, seed, *scores)
    return Results(tmp_path)


def test_means_intervals_and_paired_gains(results: Results) -> None:
    alone, taught = ablation_rows(results, SETTINGS)
    for row in (alone, taught):
        interval = ttest_1samp(VALIDATION[row.name], 0).confidence_interval()
        assert (row.validation.low, row.validation.high) == pytest.approx(tuple(interval))
        assert row.rounding.mean == pytest.approx(-0.01)
    assert taught.test.mean == pytest.approx(0.77)
    interval = ttest_rel(TEST["T=2, half"], TEST["labels alone"]).confidence_interval()
    assert (taught.gain.low, taught.gain.high) == pytest.approx(tuple(interval))
    assert alone.gain.mean is None


def test_what_was_not_trained_or_is_of_other_parameters_does_not_count(results: Results) -> None:
    kept(results.folder, SETTINGS[0], 7, 0.1, 0.1, params={"alpha": 0.3})
    kept(results.folder, SETTINGS[0], 8, 0.1, 0.1, outcome="stopped")
    (results.folder / "ablation" / SETTINGS[0].folder / "9").mkdir()
    rows = ablation_rows(results, SETTINGS)
    assert [(row.name, row.seeds) for row in rows] == [("labels alone", 3), ("T=2, half", 3)]


def test_the_table_and_the_files(results: Results) -> None:
    rows = ablation_rows(results, SETTINGS)
    lines = ablation_table(rows).splitlines()
    assert lines[0].startswith("| setting | seeds | validation | test | gain on test | over |")
    assert lines[3].startswith("| T=2, half | 3 | 0.853 [0.802, 0.905] | 0.770 [0.704, 0.836] | +0.050 [")
    assert "| labels alone | -0.010 [-0.010, -0.010] |" in lines[3]
    write_ablation(rows, results, {})
    assert (results.folder / "ablation.md").read_text().splitlines() == lines
    with (results.folder / "ablation.csv").open() as file:
        table = list(csv.DictReader(file))
    assert float(table[1]["gain_mean"]) == pytest.approx(0.05)
    assert table[0]["gain_mean"] == ""


def test_further_figures_stand_beside_their_gains_and_the_teachers(results: Results) -> None:
    for setting in SETTINGS[:2]:
        for seed, test in enumerate(TEST[setting.name]):
            path = results.ablation / setting.folder / str(seed) / "metrics.json"
            metrics = json.loads(path.read_text())
            metrics["test"] |= {"sdr": 10 * test}
            path.write_text(json.dumps(metrics))
    rows = ablation_rows(results, SETTINGS, ("sdr", "pesq"))
    figure, gain = rows[1].figures["sdr"]
    assert figure.mean == pytest.approx(7.7)
    interval = ttest_rel(*([10 * test for test in TEST[name]] for name in ("T=2, half", "labels alone")))
    assert (gain.low, gain.high) == pytest.approx(tuple(interval.confidence_interval()))
    lines = ablation_text(rows, {"sdr": 8.25}).splitlines()
    assert lines[-5] == "| setting | sdr | gain | pesq | gain |"
    assert lines[-3] == "| labels alone | 7.200 [6.703, 7.697] |  |  |  |"
    assert lines[-2].startswith("| T=2, half | 7.700 [7.043, 8.357] | +0.500 [")
    assert lines[-1] == "| the teacher | 8.250 |  |  |  |"
    write_ablation(rows, results, {"sdr": 8.25})
    assert (results.folder / "ablation.md").read_text().splitlines() == lines
    with (results.folder / "ablation.csv").open() as file:
        table = list(csv.DictReader(file))
    assert float(table[1]["sdr_gain_mean"]) == pytest.approx(0.5)
    assert table[1]["pesq_mean"] == ""


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    kept(tmp_path, SETTINGS[0], 0, 0.8, 0.7)
    assert "| labels alone | 1 | 0.800 | 0.700 |  |  | -0.010 |" in ablation_table(
        ablation_rows(Results(tmp_path), SETTINGS)
    )


def test_folders_are_safe_names() -> None:
    assert Setting("wav2tiny, T=2 alpha=0.5 / ../x", {}).folder == "wav2tiny,_T=2_alpha=0.5_.._x"
