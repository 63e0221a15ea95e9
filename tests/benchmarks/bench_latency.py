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
SHAPED = """rows that shaped the model beyond the fit, so that leaving their family out is not fully blind:
  kernel rules and priors of conv_ansi, depthwise_ansi, the references and the element-wise kernels come from esp-nn's
  README rows; those of mean, hard_swish and broadcast mul from its git log (MobileNetV3-Small); float kernels from
  BioDCASE; the cache's miss rate from M_csi_CNN; the builds' spread and the heap check's width were set so that 90 % of
  the left-out models are covered; sizes of the arena's tail were chosen on the logged totals below"""
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
    """Print the benchmark, or with --fit write the constants anew; 2 where a fit lacks the folder of models."""
    models = _models(os.environ.get(FOLDER))
    if models is None:
        missing = f"{FOLDER} names no folder that holds models/, the measured .tflite files"
        if "--fit" in argv:
            print(f"error: {missing}: no fit without them", file=sys.stderr)
            return 2
        print(f"{missing}: kernel rows only\n")
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
    if models is not None:
        _report_arenas(models)
    return 0


def _models(folder: str | None) -> Path | None:
    models = Path(folder or "") / "models"
    return models if folder and models.is_dir() else None


def _report(rows: tuple[Row, ...], pairs: list[tuple[Row, Terms]], models: Path | None) -> None:
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
    print(f"\n{SHAPED}")
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
            if not here:
                continue
            median = np.median([abs(error.relative) for error in here])
            covered = np.mean([error.covered for error in here])
            print(f"  {level:7}{name:16}{len(here):>4} rows  median {median:>6.1%}  covered {covered:>6.1%}")
    for name, errors in (("fitted", own), ("family left out", blind)):
        fast = [error for error in errors if error.row.level == "kernel" and not error.row.ansi]
        median, covered = np.median([abs(e.relative) for e in fast]), np.mean([e.covered for e in fast])
        print(
            f"  kernel rows of esp-nn's optimised kernels alone, {name}: {len(fast)} rows, median {median:.1%}, "
            f"covered {covered:.1%}"
        )
    stated = [error for error in blind if error.row.level == "model" and error.row.known]
    if stated:
        print(
            "  models whose clock, flash mode and release are stated: "
            + ", ".join(f"{e.row.id} {e.relative:+.0%}" for e in stated)
        )
        print(f"  MACs only, rate fitted without the family: median {np.median(np.abs(list(baseline.values()))):.0%}")
        _say_goals(blind)


def _say_goals(blind: list[Error]) -> None:
    print("goals, every row under constants fitted without its family:")
    for name, value, met in _goals(blind):
        print(f"  {name:28}{value:>7.1%} against {GOALS[name]:.0%}: {'met' if met else 'MISSED'}")
    models = [error for error in blind if error.row.level == "model"]
    families = len({error.row.family for error in models})
    print(f"  ({len(models)} model rows of {families} families are too few for a percentage: read the list)")


def _goals(errors: list[Error]) -> list[tuple[str, float, bool]]:
    level = {name: [e for e in errors if e.row.level == name] for name in ("kernel", "model")}
    kernel, model = (float(np.median([abs(e.relative) for e in level[name]])) for name in ("kernel", "model"))
    covered = float(np.mean([e.covered for e in errors]))
    worst = max(abs(e.relative) for e in level["model"] if e.row.known)
    found = zip(GOALS, (kernel, model, covered, worst), strict=True)
    return [
        (name, value, value >= GOALS[name] if name == "coverage" else value <= GOALS[name]) for name, value in found
    ]


def _baseline(pairs: list[tuple[Row, Terms]], models: Path | None) -> dict[str, float]:
    if models is None:
        return {}
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
