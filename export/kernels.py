"""Kernels that one operator really runs on, by its kind: counted cycles and multiply-accumulates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from export.convolutions import convolution, depthwise, fully_connected
from export.geometry import POOLS, window
from export.work import Build, Work, accelerated, is_float, macs_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from export.operators import Operator, Tensor


def work_of(operator: Operator, build: Build) -> Work:
    """Kernel, counted cycles and multiply-accumulates of one operator; `ValueError` where its tensors do not fit it."""
    rule = _RULES.get(operator.kind)
    if rule is None:
        return Work("unknown", 50.0 * max((t.elements for t in operator.outputs), default=0))
    try:
        return rule(operator, build)
    except (IndexError, ZeroDivisionError):
        raise ValueError(f"operator {operator.index} {operator.kind}: its tensors do not fit its kind") from None


def _pool(operator: Operator, build: Build) -> Work:
    w = window(operator)
    taps, outputs = w.taps, w.positions * w.out_channels
    kind = "max_pool" if operator.kind == "MAX_POOL_2D" else "average_pool"
    if is_float(operator):
        return Work(f"{kind}_float", outputs * (8.0 * taps + 30))
    if operator.kind == "L2_POOL_2D" or not accelerated(operator, build):
        return Work(f"{kind}_reference", outputs * (13.0 * taps + 30))
    if kind == "max_pool":
        return Work(kind, w.positions * math.ceil(w.out_channels / 16) * (50 + 21 * taps))
    return Work(kind, 4.2 * outputs * taps)


def _elementwise(
    kernel: str, fast: float, reference: float, broadcast: float, floating: float
) -> Callable[[Operator, Build], Work]:
    def rule(operator: Operator, build: Build) -> Work:
        elements = operator.output.elements
        if is_float(operator):
            return Work(f"{kernel}_float", floating * elements)
        same = all(t is None or t.shape == operator.output.shape for t in operator.inputs)
        if same and accelerated(operator, build):
            return Work(kernel, fast * elements)
        if kernel == "mul" and not same and build.late_kernels and accelerated(operator, build):
            return Work("mul_broadcast_esp_nn", 36.7 * elements)
        return Work(f"{kernel}_{'reference' if same else 'broadcast'}", (reference if same else broadcast) * elements)

    return rule


def _softmax(operator: Operator, build: Build) -> Work:
    elements = operator.output.elements
    if is_float(operator):
        return Work("softmax_float", 300.0 * elements + 500)
    name = "softmax" if accelerated(operator, build) else "softmax_reference"
    return Work(name, (45.0 if name == "softmax" else 60.0) * elements + 2000)


def _reduction(operator: Operator, build: Build) -> Work:
    data = operator.input(0)
    elements = data.elements if data is not None else operator.output.elements
    if is_float(operator):
        return Work("mean_float", 60.0 * elements)
    if build.late_kernels and operator.kind == "MEAN" and _spatial(operator) and accelerated(operator, build):
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
        if build.late_kernels and accelerated(operator, build):
            return Work(f"{kernel}_table", table * operator.output.elements)
        return Work(kernel, reference * operator.output.elements)

    return rule


def _product(operator: Operator, build: Build) -> Work:
    macs = macs_of(operator)
    if is_float(operator):
        return Work("batch_matmul_float", 16.0 * macs, macs)
    return Work("batch_matmul", 14.0 * macs + 80.0 * operator.output.elements, macs)


def _multiplying(kernel: str, per_product: float, per_output: float) -> Callable[[Operator, Build], Work]:
    def rule(operator: Operator, build: Build) -> Work:
        macs = macs_of(operator)
        return Work(kernel, per_product * macs + per_output * operator.output.elements, macs)

    return rule


def _free(operator: Operator, build: Build) -> Work:
    return Work("bookkeeping", 0.0)


_RULES: dict[str, Callable[[Operator, Build], Work]] = {
    "CONV_2D": convolution,
    "DEPTHWISE_CONV_2D": depthwise,
    "FULLY_CONNECTED": fully_connected,
    "BATCH_MATMUL": _product,
    "TRANSPOSE_CONV": _multiplying("transpose_conv", 25.0, 80.0),
    "SVDF": _multiplying("svdf", 9.0, 150.0),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _multiplying("lstm", 10.0, 1500.0),
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
