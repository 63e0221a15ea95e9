"""Cycles and milliseconds of one Invoke and of the features before it, each with an interval."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, final

from export.arena import called_graphs
from export.kernels import work_of
from export.memory_traffic import Placement, bytes_through_cache, traffic_of
from export.work import Work, build_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.operators import Model, Operator
    from spaces.board import Board
    from spaces.front_end import FrontEnd

CONSTANTS = Path(__file__).with_name("esp_nn_constants.toml")
# Two-sided 90 % of a normal distribution.
INTERVAL_DEVIATIONS = 1.645
# ESP-DSP's complex FFT of 512 points in float32 with assembly, as its documentation measures it on the ESP32-S3.
FFT_512_CYCLES = 44_594
# The LX7 has no instruction for it: sqrtf is a call and 31 instructions, sqrt0.s to divn.s, many of which wait for one
# another; ESP-IDF's own test allows it 140 cycles on the ESP32, which has the same unit. Counted, not measured.
SQUARE_ROOT_CYCLES = 100.0
# ESP-DSP has no FFT of other lengths: of one in plain C, twice the cycles per point and stage. Assumed, not measured.
MIXED_RADIX = 2.0
# Counted: read, absolute value, four comparisons or a leading-zero count for the segment, shift, sign, store.
COMPRESSED_SAMPLE_CYCLES = 20.0

# TFLM's audio front end, of which nobody has published a figure for this chip. Counted: instructions of its C code a
# frame on x86-64 (gcc -O2 without vectors, callgrind, ten seconds of speech), times what a 32-bit core makes of them:
# 1.3 where 16-bit integers are loaded, sign-extended and stored, 2 to 3 where they are of 64 bits.
MICRO_CYCLES = {
    "window": 1.3 * 6_800,
    "scaling": 1.3 * 2_900,
    "fft": 1.3 * 58_900,  # 76,600; ESP-DSP's own in plain C, of float32, takes 77,160 on the ESP32-S3 (esp-adf#1325)
    "energies": 1.3 * 2_100,
    "filterbank": 3.0 * 4_000,
    "square_roots": 2.0 * 5_400,
    "noise_reduction": 2.5 * 1_200,
    "gain_control": 1.5 * 1_800,
    "logarithm": 1.5 * 1_100,
}


@final
@dataclass(frozen=True)
class Constant:
    """One fitted number: cycles per count, and the spread of a prediction with it (sd of the natural logarithm)."""

    value: float
    log_sd: float


@final
@dataclass(frozen=True)
class Constants:
    """Fitted numbers by name: a kernel, or one of overhead, heap_check, cold_call, memory and build."""

    table: dict[str, Constant]

    def cycles(self, name: str) -> float:
        """Cycles per count."""
        return self.table.get(name, self.table["default"]).value

    def log_sd(self, name: str) -> float:
        """Spread of what it predicts."""
        return self.table.get(name, self.table["default"]).log_sd

    @property
    def build_log_sd(self) -> float:
        """Spread between whole builds, which no kernel explains."""
        return self.table["build"].value


@final
@dataclass(frozen=True)
class OperatorLatency:
    """One operator of one Invoke: cycles of its kernel, and cycles that it waits for memory."""

    operator: Operator
    work: Work
    kernel_cycles: float
    stall_cycles: float
    log_sd: float

    @property
    def cycles(self) -> float:
        """Kernel and stalls."""
        return self.kernel_cycles + self.stall_cycles


@final
@dataclass(frozen=True)
class Interval:
    """Milliseconds with a 90 % interval."""

    ms: float
    low_ms: float
    high_ms: float

    def plus(self, exact_ms: float, low: float = 1.0, high: float = 1.0) -> Interval:
        """With a further part that may be `low` to `high` times its value."""
        return Interval(self.ms + exact_ms, self.low_ms + low * exact_ms, self.high_ms + high * exact_ms)

    def times(self, count: int) -> Interval:
        """Of `count` runs, whose errors go together."""
        return Interval(self.ms * count, self.low_ms * count, self.high_ms * count)


@final
@dataclass(frozen=True)
class FeatureCost:
    """Cycles of one frame of features: the FFT is measured, the rest counted."""

    fft_cycles: float
    counted_cycles: float

    @property
    def cycles(self) -> float:
        """Both."""
        return self.fft_cycles + self.counted_cycles


@cache
def constants() -> Constants:
    """The fitted constants that the project carries."""
    table = tomllib.loads(CONSTANTS.read_text(encoding="utf-8"))
    return Constants({name: Constant(float(row["value"]), float(row["log_sd"])) for name, row in table.items()})


def operator_latencies(
    model: Model, board: Board, placement: Placement, fitted: Constants | None = None
) -> tuple[OperatorLatency, ...]:
    """Every operator that one Invoke runs, in order, a loop's body once; `fitted` are a board's own constants."""
    return tuple(_latency(*step, fitted or constants()) for step in steady_works(model, board, placement))


def steady_works(model: Model, board: Board, placement: Placement) -> list[tuple[Operator, Work, float]]:
    """Operators of one Invoke with their work and the cycles they wait for memory, before any fitted constant."""
    build = build_of(board)
    operators = tuple(_invoked(model, 0))
    cached = bytes_through_cache(operators, placement)
    works = [(operator, work_of(operator, build)) for operator in operators]
    return [
        (operator, work, traffic_of(operator, work, board, placement, cached).cycles(board, placement))
        for operator, work in works
    ]


def _invoked(model: Model, graph: int, depth: int = 0) -> list[Operator]:
    if depth > len(model.graphs):
        raise ValueError("its graphs call each other in a circle")
    found: list[Operator] = []
    for operator in model.graphs[graph].operators:
        found.append(operator)
        if operator.kind in ("IF", "WHILE"):
            for called in called_graphs(operator):
                found += _invoked(model, called, depth + 1)
    return found


def _latency(operator: Operator, work: Work, waited: float, fitted: Constants) -> OperatorLatency:
    checks = fitted.cycles("heap_check") * work.heap_checks
    kernel = fitted.cycles("overhead") + fitted.cycles(work.kernel) * work.counted + checks
    stall = fitted.cycles("memory") * waited
    parts = ((work.kernel, kernel - checks), ("heap_check", checks), ("memory", stall))
    spread = math.hypot(*(fitted.log_sd(name) * cycles for name, cycles in parts)) / (kernel + stall)
    return OperatorLatency(operator, work, kernel, stall, spread)


def invoke_interval(rows: Sequence[OperatorLatency], board: Board, fitted: Constants | None = None) -> Interval:
    """Milliseconds of one Invoke; errors of calls to the same kernel go together, those of different kernels do not."""
    fitted = fitted or constants()
    total = sum(row.cycles for row in rows)
    parts: dict[str, float] = {}
    for row in rows:
        checks = fitted.cycles("heap_check") * row.work.heap_checks
        for name, cycles in (
            (row.work.kernel, row.kernel_cycles - checks),
            ("heap_check", checks),
            ("memory", row.stall_cycles),
        ):
            parts[name] = parts.get(name, 0.0) + cycles
    variance = sum((fitted.log_sd(name) * cycles / total) ** 2 for name, cycles in parts.items())
    return interval(total, math.sqrt(variance + fitted.build_log_sd**2), board.cpu_mhz)


def interval(cycles: float, log_sd: float, cpu_mhz: int) -> Interval:
    """Milliseconds at a clock, with the 90 % interval of a log-normal spread."""
    ms = cycles / cpu_mhz / 1000
    reach = math.exp(INTERVAL_DEVIATIONS * log_sd)
    return Interval(ms, ms / reach, ms * reach)


def feature_cost(front_end: FrontEnd) -> FeatureCost:
    """One frame on the device: log-mels in float32, TFLM's integers, the compressed samples of a waveform, or spectra.

    Of spectra there are two transforms for each frame, one back: counted per sample are 8 cycles to window and 12 to
    window again and add up; per bin 14 for its power, 210 for its logarithm and quantisation, 20 for its mask.

    Counted per sample: 8 cycles to convert and window; per bin: 14 for its power, its square root where magnitudes are
    summed, and 2 x 7 for the two triangles it falls into; per mel: 210 for logarithm and quantisation.
    """
    if front_end.kind == "waveform":
        return FeatureCost(0.0, COMPRESSED_SAMPLE_CYCLES * front_end.hop_samples)
    if front_end.kind == "micro":
        return FeatureCost(0.0, sum(MICRO_CYCLES.values()))
    scale = front_end.n_fft * math.log2(front_end.n_fft) / (512 * 9)
    if front_end.kind == "log_power":
        counted = 20.0 * front_end.window_samples + 244.0 * front_end.values_per_frame
        return FeatureCost(2 * MIXED_RADIX * FFT_512_CYCLES * scale, counted)
    bins = front_end.n_fft // 2 + 1
    per_bin = 28.0 + (SQUARE_ROOT_CYCLES if front_end.spectrum_power == 1 else 0.0)
    return FeatureCost(FFT_512_CYCLES * scale, 8.0 * front_end.window_samples + per_bin * bins + 210.0 * front_end.mels)


def decision_interval(invoke: Interval, front_end: FrontEnd, board: Board, invokes: int = 1) -> Interval:
    """Milliseconds of the frames that are new since the last decision plus `invokes`."""
    cost = feature_cost(front_end)
    per_frame = 1 / board.cpu_mhz / 1000
    frames = front_end.new_frames_per_decision
    with_fft = invoke.times(invokes).plus(frames * cost.fft_cycles * per_frame, 0.9, 1.1)
    return with_fft.plus(frames * cost.counted_cycles * per_frame, 0.5, 2.0)
