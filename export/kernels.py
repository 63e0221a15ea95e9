"""Kernels that one operator really runs on: dispatch rules per esp-nn epoch, counted cycles and bytes touched."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from export.geometry import POOLS, Window, window
from export.releases import Epoch, convolutions_fall_back, epoch_of, late_kernels_hooked
from export.scratch import PANEL_FILTER_BYTES, depth_multiplier, flattened, staged_3x3

if TYPE_CHECKING:
    from collections.abc import Callable

    from export.operators import Operator, Tensor
    from spaces.board import Board


@final
@dataclass(frozen=True)
class Work:
    """One call of one kernel.

    `counted` is its cycles from instruction counts or a plain rule, before the kernel's fitted factor and without cache
    misses. It streams its stored weights `weight_passes` times, and a copy of `copy_bytes` that it keeps in the arena
    `copy_passes` times.
    """

    kernel: str
    counted: float
    macs: int = 0
    weight_passes: float = 1.0
    copy_bytes: int = 0
    copy_passes: float = 0.0


@final
@dataclass(frozen=True)
class Build:
    """What decides dispatch: the esp-nn epoch, and two facts of the pair of releases.

    By mistake every CONV_2D may fall back; and TFLM may hook esp-nn for MEAN, HARD_SWISH, LOGISTIC and broadcast MUL.
    """

    epoch: Epoch
    convolutions_fall_back: bool = False
    late_kernels: bool = False


def build_of(board: Board) -> Build:
    """What a board's releases decide."""
    return Build(epoch_of(board.esp_nn), convolutions_fall_back(board), late_kernels_hooked(board))


def work_of(operator: Operator, build: Build) -> Work:
    """Kernel, counted cycles and multiply-accumulates of one operator."""
    rule = _RULES.get(operator.kind)
    if rule is None:
        return Work("unknown", 50.0 * max((t.elements for t in operator.outputs), default=0))
    return rule(operator, build)


def macs_of(operator: Operator) -> int:
    """Multiply-accumulates of convolutions and products, 0 elsewhere."""
    if operator.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return _window_macs(operator, window(operator))
    if operator.kind == "FULLY_CONNECTED":
        return _rows(operator) * operator.output.elements
    if operator.kind == "BATCH_MATMUL":
        left = operator.input(0)
        depth = left.shape[-2 if operator.options.get("adj_x") else -1] if left is not None and left.shape else 1
        return depth * operator.output.elements
    return 0


def _window_macs(operator: Operator, w: Window) -> int:
    if operator.kind == "DEPTHWISE_CONV_2D":
        return w.positions * w.out_channels * w.taps
    weights = operator.inputs[1]
    depth = weights.shape[3] if weights is not None else w.in_channels
    return w.positions * w.out_channels * w.taps * depth


def _accelerated(operator: Operator, build: Build) -> bool:
    tensors = (operator.input(0), operator.input(1) if operator.kind in _WEIGHTED else None, operator.output)
    return build.epoch != Epoch.NONE and all(t is None or t.dtype == "int8" for t in tensors)


def _float(operator: Operator) -> bool:
    data = operator.input(0)
    return data is not None and data.dtype.startswith("float")


def _offset(operator: Operator) -> bool:
    """Whether the input's zero point makes kernels sum their filters."""
    data = operator.input(0)
    return data is None or data.quantization is None or data.quantization.zero_points[0] != 0


def _convolution(operator: Operator, build: Build) -> Work:  # noqa: PLR0911 - one return for each kernel
    w = window(operator)
    macs = _window_macs(operator, w)
    weights = operator.inputs[1]
    grouped = weights is not None and weights.shape[3] != w.in_channels
    if _float(operator):
        return Work("conv_float", 43.0 * macs, macs)
    if not _accelerated(operator, build) or w.dilated:
        return Work("conv_reference", 90.0 * macs, macs)
    if build.convolutions_fall_back or (grouped and build.epoch >= Epoch.V123):
        return Work("conv_ansi", _plain_convolution(w, macs), macs)
    if w.pointwise:
        return _pointwise(w, build.epoch, macs)
    if build.epoch == Epoch.V14 and staged_3x3(w) and w.out_height * w.out_width >= 16:
        return _staged(w, macs)
    if build.epoch >= Epoch.V121 and flattened(w):
        return _im2col(w, macs)
    return _general(operator, w, build.epoch, macs)


def _plain_convolution(w: Window, macs: int) -> float:
    outputs = w.positions * w.out_channels
    return 9.05 * macs + outputs * (135 + 14 * w.taps)


def _pointwise(w: Window, epoch: Epoch, macs: int) -> Work:
    blocks = math.ceil(w.in_channels / 8)
    instructions = 14 if epoch >= Epoch.V123 else 11
    positions = w.positions
    groups, left = divmod(positions, 8)
    if epoch == Epoch.V14 and left >= 2:
        groups, left = groups + 1, 0
    if w.in_channels % 8 and epoch >= Epoch.V123:
        return Work("conv_1x1_unaligned", positions * w.out_channels * (14 * blocks + 100), macs, positions)
    group = 34 * blocks + w.out_channels * ((instructions + 2.8) * blocks + 188) + 25
    single = w.out_channels * ((11 if epoch >= Epoch.V123 else 8) * blocks + 95)
    copied = 4.5 * w.in_channels * (positions + w.out_channels) if w.in_channels % 8 else 0
    resident = epoch == Epoch.V14 and w.in_channels * w.out_channels > PANEL_FILTER_BYTES
    return Work("conv_1x1", groups * group + left * single + copied, macs, 1 if resident else groups + left)


def _staged(w: Window, macs: int) -> Work:
    blocks = math.ceil(9 * w.in_channels / 8)
    groups = math.ceil(w.positions / 8)
    build_windows = w.positions * (9 * w.in_channels * 1.0 + 90)
    group = 34 * blocks + w.out_channels * (16.8 * blocks + 188) + 25
    return Work("conv_3x3_staged", build_windows + groups * group, macs, math.ceil(w.positions / 16))


def _im2col(w: Window, macs: int) -> Work:
    blocks = math.ceil(w.taps * w.in_channels / 16)
    per_position = 30 * w.height + 20 + w.out_channels * (30 + 2 * blocks + 48)
    setup = w.out_channels * (4.0 * w.taps * w.in_channels + 60)
    copy = 16 * blocks * w.out_channels
    return Work("conv_im2col", w.positions * per_position + setup, macs, 1, copy, w.positions)


def _general(operator: Operator, w: Window, epoch: Epoch, macs: int) -> Work:
    row = w.width * w.in_channels
    registers = math.ceil(row / 16)
    per_output = 63 + w.height * (22 + 6 * (registers // 2) + 3 * (registers % 2))
    counted = w.positions * w.out_channels * per_output + _filter_setup(operator, w, epoch)
    counted += 4.5 * w.batch * w.padded_input_bytes if w.padded or epoch in (Epoch.V121, Epoch.V123) else 0.0
    kernel = "conv_general_checked" if epoch == Epoch.V123 else "conv_general"
    if row % 16 == 0:
        return Work(kernel, counted, macs, w.positions)
    return Work(
        kernel, counted, macs, 2 if _offset(operator) else 1, 16 * registers * w.height * w.out_channels, w.positions
    )


def _filter_setup(operator: Operator, w: Window, epoch: Epoch) -> float:
    """Sums and aligned copies of the filter, made afresh at every call."""
    values, rows = w.taps * w.in_channels * w.out_channels, w.height * w.out_channels
    copy = 1.5 * values + 60 * rows if (w.width * w.in_channels) % 16 else 0.0
    if not _offset(operator):
        return copy
    if epoch == Epoch.V14:
        return copy + 0.4 * values
    large = values > 16384 and epoch != Epoch.V11
    return copy + (4.0 if large else 3.5) * values


def _depthwise(operator: Operator, build: Build) -> Work:  # noqa: PLR0911 - one return for each kernel
    w = window(operator)
    macs, multiplier = w.positions * w.out_channels * w.taps, depth_multiplier(operator, w)
    outputs = w.positions * w.out_channels
    if _float(operator):
        return Work("depthwise_float", 65.0 * macs, macs)
    if not _accelerated(operator, build) or w.dilated:
        return Work("depthwise_reference", 90.0 * macs, macs)
    three = (w.height, w.width) == (3, 3)
    if multiplier == 1 and w.in_channels % 8 == 0:
        if three and w.in_channels % 16 == 0:
            return Work("depthwise_3x3", 551 / 16 * outputs + 4.5 * w.batch * w.padded_input_bytes, macs)
        if three and w.in_channels >= 12 and build.epoch >= Epoch.V121:
            return _widened(w, macs)
        if three or build.epoch >= Epoch.V121:
            return _wide(w, macs, outputs)
        return Work("depthwise_c", 11.7 * macs + 185.0 * outputs, macs)
    if multiplier == 1 and w.in_channels > 3 and build.epoch >= Epoch.V121:
        return _wide(w, macs, outputs * math.ceil(w.in_channels / 8) * 8 / w.in_channels, copies=2)
    if multiplier % 4 == 0:
        return _multiplied(w, macs, outputs, 8 if multiplier % 8 == 0 else 4)
    return Work("depthwise_c", 11.7 * macs + 185.0 * outputs, macs)


def _wide(w: Window, macs: int, outputs: float, copies: int = 1) -> Work:
    per_eight = 35 + 200 + 38 + 22 * w.height + 3 * w.taps
    converted = w.batch * w.in_height * w.in_width * w.in_channels + w.taps * w.out_channels
    return Work("depthwise_s16", outputs / 8 * per_eight + 1.5 * copies * converted, macs)


def _widened(w: Window, macs: int) -> Work:
    wide = math.ceil(w.in_channels / 16) * 16
    copied = w.padded_input_bytes * wide / w.in_channels + w.out_height * w.out_width * wide
    return Work("depthwise_3x3", 551 / 16 * w.positions * wide + 2.0 * w.batch * copied, macs)


def _multiplied(w: Window, macs: int, outputs: int, lanes: int) -> Work:
    per_group = 35 + 25 * lanes + 38 + 22 * w.height + (8 + 13 * lanes / 8) * w.taps
    converted = w.batch * w.in_height * w.in_width * w.in_channels + w.taps * w.out_channels
    return Work("depthwise_multiplied", outputs / lanes * per_group + 1.5 * converted, macs)


def _fully_connected(operator: Operator, build: Build) -> Work:
    row, outputs = _rows(operator), operator.output.elements
    macs = row * outputs
    if _float(operator):
        return Work("fully_connected_float", 16.0 * macs + 50.0 * outputs, macs)
    if not _accelerated(operator, build):
        return Work("fully_connected_reference", 9.05 * macs + 110.0 * outputs, macs)
    weights = operator.inputs[1]
    batches = max(1, outputs // weights.shape[0]) if weights is not None and weights.shape else 1
    wide = outputs * (10 * (row // 8) + 10 * (row % 8) + 62)
    dot = outputs * (6.0 * math.ceil(row / 16) + 110)
    if build.epoch == Epoch.V11:
        return Work("fully_connected_s16", wide, macs, batches)
    if build.epoch < Epoch.V14:
        summed = 4.0 * row * outputs if _offset(operator) else 0.0
        return Work("fully_connected_dot", dot + summed, macs, (2 if summed else 1) * batches)
    long = row >= (192 + 16 * (row % 16) if _offset(operator) else 64 + 8 * (row % 16))
    if not long:
        return Work("fully_connected_s16", wide, macs, batches)
    summed = 0.4 * row * outputs if _offset(operator) else 0.0
    return Work("fully_connected_dot", dot + summed, macs, (2 if summed else 1) * batches)


def _rows(operator: Operator) -> int:
    weights = operator.input(1)
    return weights.shape[-1] if weights is not None and weights.shape else 1


def _pool(operator: Operator, build: Build) -> Work:
    w = window(operator)
    taps, outputs = w.taps, w.positions * w.out_channels
    kind = "max_pool" if operator.kind == "MAX_POOL_2D" else "average_pool"
    if _float(operator):
        return Work(f"{kind}_float", outputs * (8.0 * taps + 30))
    if operator.kind == "L2_POOL_2D" or not _accelerated(operator, build):
        return Work(f"{kind}_reference", outputs * (13.0 * taps + 30))
    if kind == "max_pool":
        return Work(kind, w.positions * math.ceil(w.out_channels / 16) * (50 + 21 * taps))
    return Work(kind, 4.2 * outputs * taps)


def _elementwise(
    kernel: str, accelerated: float, reference: float, broadcast: float, floating: float
) -> Callable[[Operator, Build], Work]:
    def rule(operator: Operator, build: Build) -> Work:
        elements = operator.output.elements
        if _float(operator):
            return Work(f"{kernel}_float", floating * elements)
        same = all(t is None or t.shape == operator.output.shape for t in operator.inputs)
        if same and _accelerated(operator, build):
            return Work(kernel, accelerated * elements)
        if kernel == "mul" and not same and build.late_kernels and _accelerated(operator, build):
            return Work("mul_broadcast_esp_nn", 36.7 * elements)
        return Work(f"{kernel}_{'reference' if same else 'broadcast'}", (reference if same else broadcast) * elements)

    return rule


def _softmax(operator: Operator, build: Build) -> Work:
    elements = operator.output.elements
    if _float(operator):
        return Work("softmax_float", 300.0 * elements + 500)
    name = "softmax" if _accelerated(operator, build) else "softmax_reference"
    return Work(name, (45.0 if name == "softmax" else 60.0) * elements + 2000)


def _reduction(operator: Operator, build: Build) -> Work:
    data = operator.input(0)
    elements = data.elements if data is not None else operator.output.elements
    if _float(operator):
        return Work("mean_float", 60.0 * elements)
    if build.late_kernels and operator.kind == "MEAN" and _spatial(operator) and _accelerated(operator, build):
        return Work("mean_esp_nn", 13.0 * elements)
    return Work("mean", 168.0 * elements)


def _spatial(operator: Operator) -> bool:
    """Whether it averages height and width of a 4-D tensor, all that esp-nn's kernel does."""
    data, axes = operator.input(0), operator.input(1)
    return data is not None and len(data.shape) == 4 and axes is not None and axes.elements == 2


def _copy(per_byte: float, per_call: float = 100.0) -> Callable[[Operator, Build], Work]:
    def rule(operator: Operator, build: Build) -> Work:
        return Work("copy", per_call + per_byte * sum(t.size_bytes for t in operator.outputs))

    return rule


def _each(kernel: str, per_output: float) -> Callable[[Operator, Build], Work]:
    def rule(operator: Operator, build: Build) -> Work:
        return Work(kernel, per_output * max((t.elements for t in operator.outputs), default=0))

    return rule


def _tabled(kernel: str, reference: float, table: float) -> Callable[[Operator, Build], Work]:
    def rule(operator: Operator, build: Build) -> Work:
        if build.late_kernels and _accelerated(operator, build):
            return Work(f"{kernel}_table", table * operator.output.elements)
        return Work(kernel, reference * operator.output.elements)

    return rule


def _product(operator: Operator, build: Build) -> Work:
    macs = macs_of(operator)
    if _float(operator):
        return Work("batch_matmul_float", 16.0 * macs, macs)
    return Work("batch_matmul", 14.0 * macs + 80.0 * operator.output.elements, macs)


def _free(operator: Operator, build: Build) -> Work:
    return Work("bookkeeping", 0.0)


_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")

_RULES: dict[str, Callable[[Operator, Build], Work]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _product,
    **dict.fromkeys(POOLS, _pool),
    "ADD": _elementwise("add", 41.0, 185.0, 220.0, 20.0),
    "SUB": _elementwise("sub", 185.0, 185.0, 220.0, 20.0),
    "MUL": _elementwise("mul", 17.0, 76.0, 100.0, 20.0),
    "SQUARED_DIFFERENCE": _each("squared_difference", 250.0),
    "SOFTMAX": _softmax,
    "MEAN": _reduction,
    "SUM": _reduction,
    "REDUCE_MAX": _reduction,
    "LOGISTIC": _tabled("logistic", 450.0, 8.0),
    "TANH": _each("tanh", 450.0),
    "HARD_SWISH": _tabled("hard_swish", 129.0, 7.8),
    "RELU": _each("clamp", 25.0),
    "RELU6": _each("clamp", 25.0),
    "LEAKY_RELU": _each("requantize", 90.0),
    "PRELU": _each("requantize", 90.0),
    "QUANTIZE": _each("requantize", 60.0),
    "DEQUANTIZE": _each("dequantize", 20.0),
    "CAST": _each("dequantize", 20.0),
    "NEG": _each("dequantize", 20.0),
    "RSQRT": _each("rsqrt", 300.0),
    "EXP": _each("rsqrt", 300.0),
    "PAD": _each("pad", 35.0),
    "PADV2": _each("pad", 35.0),
    "MIRROR_PAD": _each("pad", 60.0),
    "TRANSPOSE": _each("transpose", 45.0),
    "STRIDED_SLICE": _each("slice", 35.0),
    "SLICE": _each("slice", 35.0),
    "GATHER": _copy(1.0, 500.0),
    "CONCATENATION": _copy(1.0, 400.0),
    "SPLIT": _copy(1.5, 400.0),
    "SPLIT_V": _copy(1.5, 400.0),
    "PACK": _copy(4.0, 300.0),
    "UNPACK": _copy(4.0, 300.0),
    "RESHAPE": _copy(0.6),
    "EXPAND_DIMS": _copy(0.6),
    "SQUEEZE": _copy(0.6),
    "READ_VARIABLE": _copy(0.6),
    "ASSIGN_VARIABLE": lambda operator, build: Work("copy", 100 + 0.6 * _source_bytes(operator)),
    "RESIZE_NEAREST_NEIGHBOR": _each("slice", 20.0),
    "RESIZE_BILINEAR": _each("requantize", 120.0),
    "SHAPE": _free,
    "VAR_HANDLE": _free,
    "CALL_ONCE": _free,
}


def _source_bytes(operator: Operator) -> int:
    sources: list[Tensor] = [t for t in operator.inputs if t is not None and t.dtype != "resource"]
    return sum(t.size_bytes for t in sources)
