"""What one call of a kernel is charged for, and what a build decides about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from export.geometry import Window, window
from export.releases import Epoch, convolutions_fall_back, epoch_of, late_kernels_hooked

if TYPE_CHECKING:
    from export.operators import Operator
    from spaces.board import Board

_RECURRENT = ("SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM")
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


@final
@dataclass(frozen=True)
class Work:
    """One call of one kernel.

    `counted` is its cycles from instruction counts or a plain rule, before the kernel's fitted factor and without cache
    misses. It streams its stored weights `weight_passes` times, and a copy of `copy_bytes` that it keeps in the arena
    `copy_passes` times; `heap_checks` walks over the whole heap follow it.
    """

    kernel: str
    counted: float
    macs: int = 0
    weight_passes: float = 1.0
    copy_bytes: int = 0
    copy_passes: float = 0.0
    heap_checks: int = 0


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


def macs_of(operator: Operator) -> int:
    """Multiply-accumulates of convolutions and products, 0 elsewhere."""
    if operator.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return window_macs(operator, window(operator))
    if operator.kind == "FULLY_CONNECTED":
        return row_length(operator) * operator.output.elements
    if operator.kind == "BATCH_MATMUL":
        left = operator.input(0)
        depth = left.shape[-2 if operator.options.get("adj_x") else -1] if left is not None and left.shape else 1
        return depth * operator.output.elements
    if operator.kind == "TRANSPOSE_CONV":
        weights, data = operator.input(1), operator.input(2)
        return weights.elements * data.elements // max(1, data.shape[-1]) if weights and data and data.shape else 0
    if operator.kind in _RECURRENT:
        data = operator.input(0)
        steps = data.elements // max(1, data.shape[-1]) if data is not None and data.shape else 1
        return steps * sum(t.elements for t in operator.constant_inputs if len(t.shape) == 2)
    return 0


def window_macs(operator: Operator, w: Window) -> int:
    """Multiply-accumulates of a convolution of known geometry."""
    if operator.kind == "DEPTHWISE_CONV_2D":
        return w.positions * w.out_channels * w.taps
    weights = operator.inputs[1]
    depth = weights.shape[3] if weights is not None else w.in_channels
    return w.positions * w.out_channels * w.taps * depth


def accelerated(operator: Operator, build: Build) -> bool:
    """Whether esp-nn takes its types: int8 data, weights and output."""
    tensors = (operator.input(0), operator.input(1) if operator.kind in _WEIGHTED else None, operator.output)
    return build.epoch != Epoch.NONE and all(t is None or t.dtype == "int8" for t in tensors)


def is_float(operator: Operator) -> bool:
    """Whether its data are floating-point."""
    data = operator.input(0)
    return data is not None and data.dtype.startswith("float")


def sums_filter(operator: Operator) -> bool:
    """Whether the input's zero point makes kernels sum their filters."""
    data = operator.input(0)
    return data is None or data.quantization is None or data.quantization.zero_points[0] != 0


def row_length(operator: Operator) -> int:
    """Weights behind one output of a FULLY_CONNECTED."""
    weights = operator.input(1)
    return weights.shape[-1] if weights is not None and weights.shape else 1
