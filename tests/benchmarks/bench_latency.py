# ruff: noqa: T201
"""`make bench-latency` and `make fit-latency`: predicted against published ESP32-S3 measurements, row by row."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from export.fitting import Error, errors_of, fit, left_out_errors, macs_only, priors, usable, written
from export.footprint import arena_estimate
from export.latency import CONSTANTS, constants
from export.measurements import Row, Terms, measurement_rows, operator_of
from export.operators import read_model
from export.work import macs_of
from spaces.board import Board

FOLDER = "POTSTILL_S3_MEASUREMENTS"
GOALS = {"kernel rows, median": 0.08, "model rows, median": 0.12, "coverage": 0.90, "known model rows, worst": 0.30}
# Arenas that boards logged: (model, esp-nn release, head request or None, total or None, source).
LOGGED_ARENAS = (
    ("mww/models_v2_okay_nabu.tflite", "1.2.1", 19_440, None, "esphome/issues#7242"),
    ("mww/models_v2_okay_nabu.tflite", "1.1.2", None, 26_080, "manifest of micro-wake-word-models"),
    ("mww/models_v2_vad.tflite", "1.1.2", None, 16_772, "home-assistant-voice-pe#400"),
    ("rebuilt/yamnet_mel.tflite", "1.2.1", 1_060_896, 1_157_736, "chayuto/ws-ESP32-S3-CAM"),
    ("tinybench/dscnn_int8.tflite", "1.2.3", None, 82_604, "AbhiMalappa/tinybench"),
    ("rebuilt/tinybench_tcresnet8.tflite", "1.2.3", None, 50_620, "AbhiMalappa/tinybench"),
    ("tinybench/dscnn_int8.tflite", "none", None, 77_084, "AbhiMalappa/tinybench, without esp-nn"),
    ("biodcase/test_ModelTinyMl_6f2f7f2a.tflite", "none", 287_392, 288_904, "BioDCASE-Tiny-2026"),
    ("blinky/frame_onset_v3.tflite", "none", None, 3_404, "Jdubz/blinky_time"),
)


def main(argv: list[str]) -> int:
    """Print the benchmark, or with --fit write the constants anew; 2 where the folder of models is missing."""
    folder = os.environ.get(FOLDER)
    if not folder or not (Path(folder) / "models").is_dir():
        print(f"{FOLDER} must name the folder that holds models/ (and measurements.csv)", file=sys.stderr)
        return 2
    models = Path(folder) / "models"
    rows, known = measurement_rows(), priors()
    pairs = usable(rows, models)
    if "--fit" in argv:
        text = written(fit(pairs, known), known, pairs)
        temporary = CONSTANTS.with_suffix(".tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(CONSTANTS)
        constants.cache_clear()
        print(f"{CONSTANTS.name}: fitted to {len(pairs)} rows")
    _report(rows, pairs, models)
    _report_arenas(models)
    return 0


def _report(rows: tuple[Row, ...], pairs: list[tuple[Row, Terms]], models: Path) -> None:
    known = priors()
    own = {error.row.id: error for error in errors_of(pairs, constants())}
    blind = {error.row.id: error for error in left_out_errors(pairs, known)}
    baseline = _baseline(pairs, models)
    print(f"{'row':30}{'measured':>14}{'fitted':>9}{'left out':>10}{'90 %':>6}{'MACs only':>11}  family, subject")
    for row, _ in pairs:
        error, left = own[row.id], blind[row.id]
        macs = f"{baseline[row.id]:+.0%}" if row.id in baseline else "-"
        print(
            f"{row.id:30}{row.cycles:>14,.0f}{error.relative:>+9.0%}{left.relative:>+10.0%}"
            f"{'in' if left.covered else 'OUT':>6}{macs:>11}  {row.family}: {row.subject}"
        )
    _summary(list(own.values()), list(blind.values()), baseline)
    print("\nset apart, shaped nothing:")
    for row in rows:
        if row.use != "fit":
            print(f"  {row.id:30} {row.note}")


def _summary(own: list[Error], blind: list[Error], baseline: dict[str, float]) -> None:
    print(
        "\nmedian absolute error and interval coverage, by level (goals: "
        + ", ".join(f"{k} {v:.0%}" for k, v in GOALS.items())
        + ")"
    )
    for level in ("kernel", "ops", "op", "model"):
        for name, errors in (("fitted", own), ("family left out", blind)):
            here = [error for error in errors if error.row.level == level]
            median = np.median([abs(error.relative) for error in here])
            covered = np.mean([error.covered for error in here])
            print(f"  {level:7}{name:16}{len(here):>4} rows  median {median:>6.1%}  covered {covered:>6.1%}")
    accelerated = [abs(e.relative) for e in own if e.row.level == "kernel" and not e.row.ansi]
    print(f"  kernel rows of esp-nn's optimised kernels alone, fitted: median {np.median(accelerated):.1%}")
    stated = [error for error in blind if error.row.level == "model" and error.row.known]
    print(
        "  models whose clock, flash mode and release are stated: "
        + ", ".join(f"{e.row.id} {e.relative:+.0%}" for e in stated)
    )
    print(f"  MACs only, rate fitted without the family: median {np.median(np.abs(list(baseline.values()))):.0%}")


def _baseline(pairs: list[tuple[Row, Terms]], models: Path) -> dict[str, float]:
    counted = [
        (row, float(_macs(row, models))) for row, _ in pairs if row.level in ("kernel", "model") and not row.ansi
    ]
    counted = [(row, macs) for row, macs in counted if macs and row.board.esp_nn != "none"]
    return {row.id: error for (row, _), error in zip(counted, macs_only(counted), strict=True)}


def _macs(row: Row, models: Path) -> int:
    if row.model is None:
        return macs_of(operator_of(row.subject))
    return sum(macs_of(op) for op in read_model((models / row.model).read_bytes()).main.operators)


def _report_arenas(models: Path) -> None:
    print("\narena against what boards logged (bytes)")
    for file, release, head, total, source in LOGGED_ARENAS:
        estimate = arena_estimate(read_model((models / file).read_bytes(), file), _board(release))
        heads = f"head {estimate.head_bytes:,} of {head:,} ({estimate.head_bytes - head:+d})" if head else ""
        totals = (
            f"total {estimate.total_bytes:,} of {total:,} ({estimate.total_bytes / total - 1:+.2%})" if total else ""
        )
        print(f"  {file:42} esp-nn {release:6} {heads:38} {totals:42} {source}")


def _board(release: str) -> Board:
    return Board("logged", "", 240, 1 << 19, "octal", 8 << 20, "qio", 16 << 20, 1 << 15, 32, release, "1.3.7")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
