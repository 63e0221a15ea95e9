"""A board's own factors: fitted to its log, kept in a file, and used by later profiles."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any, final

from export.latency import Constant, Constants, constants, steady_works

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from export.board_log import BoardLog
    from export.memory_traffic import Placement
    from export.operators import Model
    from export.work import Work
    from spaces.board import Board

# One board repeats itself within a few percent; what it has shown also holds for other shapes of the same kernel less
# loosely than the README of another build does.
LOG_LOG_SD = 0.04
SEEN_KERNEL_LOG_SD = 0.07
CALIBRATED_BUILD_LOG_SD = 0.05
# A log that is further off than this is of another model, another clock or another unit.
MOST_FACTOR = 8.0


@final
@dataclass(frozen=True)
class Measured:
    """Times of one log beside what they are made of: name, microseconds and counts of each constant."""

    name: str
    microseconds: float
    counts: dict[str, float]

    def predicted(self, fitted: Constants, cpu_mhz: int) -> float:
        """Microseconds under given constants."""
        return sum(count * fitted.cycles(name) for name, count in self.counts.items()) / cpu_mhz


@final
@dataclass(frozen=True)
class Calibration:
    """Factors of one board, with the build that they hold for."""

    board: str
    esp_nn: str
    cpu_mhz: int
    scale: float
    constants: Constants

    def check(self, board: Board) -> None:
        """Refuse another board, release or clock: their factors are not these."""
        for field in ("board", "esp_nn", "cpu_mhz"):
            here = board.name if field == "board" else getattr(board, field)
            if getattr(self, field) != here:
                raise ValueError(f"--calibration: made for {field}={getattr(self, field)}, not {here}")


def measured(
    log: BoardLog, model: Model, board: Board, placement: Placement, ticks_per_us: float = 1.0
) -> list[Measured]:
    """What the log timed, operator by operator where it lists events, else tag by tag.

    A log without times, or with the operators of another model, is a `ValueError`.
    """
    if not log.timed:
        raise ValueError(
            'holds no operator times: no table of "Unique Tag", no lines such as CONV_2D took 12 microseconds'
        )
    works = steady_works(model, board, placement)
    steps = [(operator.kind, _counts(work, stall)) for operator, work, stall in works]
    rows = _by_event(log, steps) if log.events else _by_tag(log, steps)
    return [replace(row, microseconds=row.microseconds / ticks_per_us) for row in rows]


def _counts(work: Work, stall: float) -> dict[str, float]:
    counts = {"overhead": 1.0, work.kernel: work.counted, "memory": stall, "heap_check": float(work.heap_checks)}
    return {name: count for name, count in counts.items() if count}


def _by_event(log: BoardLog, steps: list[tuple[str, dict[str, float]]]) -> list[Measured]:
    kinds = [kind for kind, _ in steps]
    rounds = len(log.events) // len(kinds)
    found = [name for name, _ in log.events]
    if not rounds or found[: rounds * len(kinds)] != kinds * rounds:
        at = next((i for i, name in enumerate(found) if name != kinds[i % len(kinds)]), len(found))
        seen = found[at] if at < len(found) else "nothing"
        raise ValueError(f"is of another model: event {at} is {seen}, not {kinds[at % len(kinds)]}")
    times = [[t for _, t in log.events[i : rounds * len(kinds) : len(kinds)]] for i in range(len(kinds))]
    rows = [Measured(f"{i} {kind}", float(median(times[i])), counts) for i, (kind, counts) in enumerate(steps)]
    return [row for row in rows if row.microseconds > 0]


def _by_tag(log: BoardLog, steps: list[tuple[str, dict[str, float]]]) -> list[Measured]:
    tags = log.tags()
    kinds = {kind for kind, _ in steps}
    strange, missing = sorted(set(tags) - kinds), sorted(kinds - set(tags) - {"VAR_HANDLE", "CALL_ONCE"})
    if strange or missing:
        parts = [f"it times {', '.join(strange)}" if strange else "", f"not {', '.join(missing)}" if missing else ""]
        raise ValueError(f"is of another model: {' but '.join(filter(None, parts))}")
    return [Measured(tag, time, _summed(steps, tag)) for tag, time in tags.items() if time]


def _summed(steps: list[tuple[str, dict[str, float]]], tag: str) -> dict[str, float]:
    total: dict[str, float] = {}
    for kind, counts in steps:
        if kind == tag:
            for name, count in counts.items():
                total[name] = total.get(name, 0.0) + count
    return total


def calibrate(rows: list[Measured], board: Board) -> Calibration:
    """Factors that meet a board's times: one scale for everything, then each kernel as far as its own rows say.

    On logarithms, a kernel's factor moves to the mean of its rows' ratios, weighted by its share of each row, against
    the spread that the constants had before; 25 rounds settle the kernels that share rows.
    """
    before = constants()
    scale = sum(row.microseconds for row in rows) / sum(row.predicted(before, board.cpu_mhz) for row in rows)
    if not 1 / MOST_FACTOR < scale < MOST_FACTOR:
        raise ValueError(f"is {scale:.2g} times the prediction: another model, clock or unit")
    scaled = _scaled(before, scale)
    for _ in range(25):
        scaled = _nearer(scaled, before, scale, rows, board.cpu_mhz)
    seen = {name for row in rows for name in row.counts}
    table = {
        name: Constant(c.value, min(c.log_sd, SEEN_KERNEL_LOG_SD) if name in seen else c.log_sd)
        for name, c in scaled.table.items()
    }
    table["build"] = Constant(CALIBRATED_BUILD_LOG_SD, before.table["build"].log_sd)
    return Calibration(board.name, board.esp_nn, board.cpu_mhz, scale, Constants(table))


def _scaled(fitted: Constants, scale: float) -> Constants:
    table = {n: Constant(c.value * (1 if n == "build" else scale), c.log_sd) for n, c in fitted.table.items()}
    return Constants(table)


def _nearer(now: Constants, before: Constants, scale: float, rows: list[Measured], cpu_mhz: int) -> Constants:
    """One step of every constant towards the rows that it has a share in."""
    pull = dict.fromkeys(now.table, 0.0)
    weight = {name: 1 / c.log_sd**2 for name, c in before.table.items()}
    for row in rows:
        error = math.log(row.microseconds / row.predicted(now, cpu_mhz))
        for kernel, count in row.counts.items():
            name = kernel if kernel in now.table else "default"
            share = count * now.cycles(name) / cpu_mhz / row.predicted(now, cpu_mhz)
            pull[name] += share * error / LOG_LOG_SD**2
            weight[name] += share / LOG_LOG_SD**2
    moved = {}
    for name, constant in now.table.items():
        back = 0.0 if name == "build" else math.log(before.table[name].value * scale / constant.value)
        step = (pull[name] + back / before.table[name].log_sd ** 2) / weight[name]
        moved[name] = Constant(constant.value * math.exp(step), constant.log_sd)
    return Constants(moved)


def write_calibration(path: Path, calibration: Calibration, origin: str) -> None:
    """Write the factors as TOML; the file appears whole or not at all."""
    lines = [
        f"# Factors of a board, fitted by `python -m export calibrate` to {origin}.",
        f'board = "{calibration.board}"',
        f'esp_nn = "{calibration.esp_nn}"',
        f"cpu_mhz = {calibration.cpu_mhz}",
        f"scale = {calibration.scale:.5g}",
        "",
        "[constants]",
        *(
            f"{n} = {{ value = {c.value:.6g}, log_sd = {c.log_sd:.4g} }}"
            for n, c in calibration.constants.table.items()
        ),
    ]
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.replace(path)


def recorded_calibration(fields: Mapping[str, Any]) -> Calibration:
    """The factors as run.json holds them; what is not whole is a `ValueError`."""
    try:
        table = {name: Constant(**constant) for name, constant in fields["constants"]["table"].items()}
        return Calibration(**{**fields, "constants": Constants(table)})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"run.json: its calibration is not whole: {error}") from None


def load_calibration(path: Path) -> Calibration:
    """Read a file of factors; anything else is a `ValueError` that names it."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        table = {n: Constant(float(c["value"]), float(c["log_sd"])) for n, c in data["constants"].items()}
        calibration = Calibration(
            data["board"], data["esp_nn"], int(data["cpu_mhz"]), float(data["scale"]), Constants(table)
        )
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ValueError(f"{path}: is no calibration file; `python -m export calibrate` writes one") from None
    missing = set(constants().table) - set(table)
    if missing or any(not c.value > 0 or not c.log_sd > 0 for c in table.values()):
        raise ValueError(f"{path}: lacks {', '.join(sorted(missing)) or 'positive factors'}; calibrate again")
    return calibration
