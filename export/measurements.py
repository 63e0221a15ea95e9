"""Published ESP32-S3 measurements as rows, and the work that each row timed."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from export.convolutions import plain_depthwise
from export.geometry import out_size, window
from export.kernels import work_of
from export.latency import steady_works
from export.memory_traffic import Placement, miss_cycles
from export.operators import Operator, Quantization, Tensor, read_model
from export.releases import Epoch
from export.work import Build, Work, build_of, macs_of
from spaces.board import Board

if TYPE_CHECKING:
    from collections.abc import Iterable

    from export.memory_traffic import Place

ROWS = Path(__file__).with_name("esp32s3_measurements.csv")
ANSI = "ansi"
_TO_CYCLES = {"cycles": 0.0, "us": 1.0, "ms": 1000.0}


@final
@dataclass(frozen=True)
class Row:
    """One published number, with the build that it is read as.

    `subject` is an operator (`CONV_2D in=10x10x64 out=64 k=1x1`) or a model file, with `#KIND` or `#number` for some of
    its operators. `use` is fit or apart; `known` says whether the source states clock, flash mode and release.
    """

    id: str
    family: str
    level: str
    subject: str
    board: Board
    ansi: bool
    placement: Placement
    cycles: float
    use: str
    known: bool
    origin: str
    note: str

    @property
    def model(self) -> str | None:
        """The model file that it needs, if any."""
        return None if self.level == "kernel" else self.subject.partition("#")[0]


@final
@dataclass(frozen=True)
class Terms:
    """What a row's cycles are made of: a count for each constant, so that cycles = sum of count x constant."""

    counts: dict[str, float]

    def cycles(self, constants: dict[str, float]) -> float:
        """Predicted cycles; a kernel without a constant of its own goes by `default`."""
        return sum(count * constants.get(name, constants["default"]) for name, count in self.counts.items())


def measurement_rows() -> tuple[Row, ...]:
    """Every row that the project carries."""
    with ROWS.open(encoding="utf-8", newline="") as file:
        return tuple(_row(line) for line in csv.DictReader(file))


def _row(line: dict[str, str]) -> Row:
    release = line["esp_nn"]
    board = Board(
        name=line["id"],
        module="",
        cpu_mhz=int(line["cpu_mhz"]),
        sram_bytes=1 << 19,
        psram=line["psram"],  # type: ignore[arg-type]
        psram_bytes=8 << 20,
        flash_mode=line["flash_mode"],  # type: ignore[arg-type]
        flash_bytes=16 << 20,
        dcache_bytes=int(line["dcache_bytes"]),
        cache_line_bytes=int(line["cache_line_bytes"]),
        esp_nn="none" if release in ("", ANSI) else release,
        tflm=line["tflm"],
    )
    value, unit = float(line["value"]), line["unit"]
    places: list[Place] = [line["arena"], line["weights"]]  # type: ignore[list-item]
    return Row(
        id=line["id"],
        family=line["family"],
        level=line["level"],
        subject=line["subject"],
        board=board,
        ansi=release == ANSI,
        placement=Placement(*places),
        cycles=value if unit == "cycles" else value * _TO_CYCLES.get(unit, math.nan) * board.cpu_mhz,
        use=line["use"],
        known=line["known"] == "yes",
        origin=line["origin"],
        note=line["note"],
    )


def terms_of(row: Row, models: Path | None) -> Terms:
    """Counts behind one row; a row of a model reads its file under `models`."""
    return _kernel_terms(row) if row.level == "kernel" else _model_terms(row, models or Path())


def _kernel_terms(row: Row) -> Terms:
    operator = operator_of(row.subject)
    build = Build(Epoch.V123, convolutions_fall_back=True) if row.ansi else build_of(row.board)
    work = _plain(operator) if row.ansi else work_of(operator, build)
    counts = {"cold_call": 1.0, work.kernel: work.counted}
    if work.heap_checks:
        counts["heap_check"] = float(work.heap_checks)
    counts["memory"] = operator.output.size_bytes * miss_cycles(row.board, row.placement.arena)
    return Terms(counts)


def _plain(operator: Operator) -> Work:
    """esp-nn's own C kernels, which stand in where TFLM's reference code is as plain."""
    if operator.kind == "DEPTHWISE_CONV_2D":
        return Work("depthwise_ansi", plain_depthwise(window(operator)), macs_of(operator))
    return work_of(operator, Build(Epoch.V123 if operator.kind == "CONV_2D" else Epoch.NONE, True))


def _model_terms(row: Row, models: Path) -> Terms:
    file, _, part = row.subject.partition("#")
    model = read_model((models / file).read_bytes(), file)
    counts: dict[str, float] = {}
    for operator, work, stall in steady_works(model, row.board, row.placement):
        if part and part not in (operator.kind, str(operator.index)):
            continue
        checks = float(work.heap_checks)
        for name, count in (("overhead", 1.0), (work.kernel, work.counted), ("heap_check", checks), ("memory", stall)):
            if count:
                counts[name] = counts.get(name, 0.0) + count
    return Terms(counts)


def operator_of(subject: str) -> Operator:
    """An int8 operator from its short form: kind, `in=HxWxC`, `out=` channels, `k=`, `s=`, `p=SAME`, `offset=0`."""
    kind, *pairs = subject.split()
    fields = dict(pair.split("=") for pair in pairs)
    shape = _numbers(fields["in"])
    zero = 0 if fields.get("offset") == "0" else 5
    if kind == "FULLY_CONNECTED":
        weights = _tensor(1, (int(fields["out"]), shape[0]), 0, stored=True)
        return _operator(kind, (_tensor(0, (1, shape[0]), zero), weights), (1, int(fields["out"])))
    if "k" not in fields:
        both = (_tensor(0, (1, *shape), zero), _tensor(1, (1, *shape), zero))
        return _operator(kind, both if kind in ("ADD", "MUL") else both[:1], (1, *shape))
    return _windowed(kind, fields, shape, zero)


def _windowed(kind: str, fields: dict[str, str], shape: tuple[int, ...], zero: int) -> Operator:
    height, width, channels = shape
    (tall, wide), (down, across) = _numbers(fields["k"]), _numbers(fields.get("s", "1x1"))
    padding, out = fields.get("p", "VALID"), int(fields.get("out", channels))
    options: dict[str, int | float | bool | str] = {"padding": padding, "stride_h": down, "stride_w": across}
    inputs: tuple[Tensor, ...] = (_tensor(0, (1, *shape), zero),)
    if kind == "CONV_2D":
        inputs = (*inputs, _tensor(1, (out, tall, wide, channels), 0, stored=True))
    elif kind == "DEPTHWISE_CONV_2D":
        inputs = (*inputs, _tensor(1, (1, tall, wide, out), 0, stored=True))
        options["depth_multiplier"] = out // channels
    else:
        options |= {"filter_height": tall, "filter_width": wide}
    made = (1, out_size(height, tall, down, 1, padding), out_size(width, wide, across, 1, padding), out)
    return _operator(kind, inputs, made, options)


def _operator(
    kind: str,
    inputs: Iterable[Tensor],
    out: tuple[int, ...],
    options: dict[str, int | float | bool | str] | None = None,
) -> Operator:
    return Operator(0, kind, 1, tuple(inputs), (_tensor(9, out, 5),), options or {})


def _tensor(index: int, shape: tuple[int, ...], zero: int, stored: bool = False) -> Tensor:
    size = math.prod(shape)
    data = bytes(size) if stored else None
    return Tensor(index, f"t{index}", shape, "int8", size, False, False, Quantization((1.0,), (zero,), 0), data)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("x"))
