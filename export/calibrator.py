# ruff: noqa: T201 - a command
"""The command `python -m export calibrate`: a board's log against the prediction, and the factors that lie between."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from export.board_log import read_log
from export.build_options import add_build_options, board_of, read_file
from export.calibration import calibrate, measured, write_calibration
from export.footprint import Profile, profile
from export.latency import constants

if TYPE_CHECKING:
    from export.board_log import BoardLog
    from export.calibration import Calibration, Measured

MAX_LOG_BYTES = 64 << 20


def main(argv: list[str]) -> int:
    """Run the command; 0 when it wrote the factors, 2 for bad input."""
    arguments = _parser().parse_args(argv)
    try:
        lines = _run(arguments)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export calibrate",
        description="Fit a board's factors to what its MicroProfiler printed, for --calibration of later profiles.",
    )
    parser.add_argument("log", type=Path, metavar="LOG", help="what the board printed, with anything in between")
    parser.add_argument("--model", type=Path, required=True, metavar="FILE.tflite")
    parser.add_argument("--output", type=Path, default=Path("calibration.toml"), metavar="FILE.toml")
    parser.add_argument(
        "--ticks-per-us", type=float, default=1.0, help="unit of the log's times (240: cycles at 240 MHz)"
    )
    add_build_options(parser)
    return parser


def _run(arguments: argparse.Namespace) -> list[str]:
    board = board_of(arguments)
    if not arguments.ticks_per_us > 0:
        raise ValueError(f"--ticks-per-us {arguments.ticks_per_us:g} must be above 0")
    log = _log(arguments.log)
    tflite = read_file(arguments.model)
    before = profile(tflite, board, arena=arguments.arena, weights=arguments.weights, source=str(arguments.model))
    try:
        rows = measured(log, before.model, board, before.choice.placement, arguments.ticks_per_us)
        calibration = calibrate(rows, board)
    except ValueError as error:
        raise ValueError(f"{arguments.log}: {error}") from None
    _write(arguments.output, calibration, f"{arguments.log.name} of {arguments.model.name}")
    places = before.choice.placement
    after = profile(tflite, board, arena=places.arena, weights=places.weights, calibration=calibration)
    return [*_rows(rows, calibration), "", *_totals(rows, before, after, log), f"written to {arguments.output}"]


def _log(path: Path) -> BoardLog:
    data = read_file(path)
    if len(data) > MAX_LOG_BYTES:
        raise ValueError(f"{path}: {len(data):,} bytes are more than the {MAX_LOG_BYTES:,} that a log may have")
    return read_log(data.decode("utf-8", errors="replace"))


def _write(path: Path, calibration: Calibration, origin: str) -> None:
    try:
        write_calibration(path, calibration, origin)
    except OSError as error:
        raise ValueError(f"--output {path}: cannot be written: {error.strerror}") from None


def _rows(rows: list[Measured], calibration: Calibration) -> list[str]:
    width = max(len(row.name) for row in rows)
    lines = [f"{'operator':<{width}}  {'measured ms':>12}{'before':>18}{'after':>18}"]
    for row in rows:
        old, new = (row.predicted(fitted, calibration.cpu_mhz) for fitted in (constants(), calibration.constants))
        cells = "".join(f"{value / 1000:>10.3f} {value / row.microseconds - 1:>+7.0%}" for value in (old, new))
        lines.append(f"{row.name:<{width}}  {row.microseconds / 1000:>12.3f}{cells}")
    return lines


def _totals(rows: list[Measured], before: Profile, after: Profile, log: BoardLog) -> list[str]:
    old, new = before.footprint, after.footprint
    total = sum(row.microseconds for row in rows) / 1000
    lines = [
        f"measured    {total:.2f} ms for one Invoke",
        f"before      {old.latency_ms:.2f} ms ({old.latency_low_ms:.2f} to {old.latency_high_ms:.2f}, 90 %)",
        f"now         {new.latency_ms:.2f} ms ({new.latency_low_ms:.2f} to {new.latency_high_ms:.2f}, 90 %)",
        f"placement   {old.placement}: must be what the board ran; name it with --arena and --weights",
    ]
    if "head" in log.arena and "tail" in log.arena:
        used = log.arena["head"] + log.arena["tail"]
        lines.append(
            f"arena       logged {used:,} bytes, predicted {old.arena_bytes:,} ({old.arena_bytes / used - 1:+.1%})"
        )
    return lines
