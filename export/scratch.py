"""Scratch buffers that kernels ask of the arena, in bytes, for one operator and one esp-nn epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.geometry import Window, window
from export.releases import Epoch

if TYPE_CHECKING:
    from export.operators import Operator

PANEL_FILTER_BYTES = 24 * 1024
ROW_TILE_BYTES = 40 * 1024
WIDE_COPY_BYTES = 48 * 1024
STAGED_POSITIONS = 16
_REDUCTIONS = ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN")


def scratch_bytes(operator: Operator, epoch: Epoch) -> tuple[int, ...]:
    """What the kernels request at Prepare, in request order; epoch `NONE` gives TFLM's reference kernels.

    Source: `esp_nn_get_*_scratch_size` of espressif/esp-nn per release, and the Prepare functions of tflite-micro.
    """
    if _int4_filter(operator):
        filter_tensor = operator.inputs[1]
        return (filter_tensor.elements,) if filter_tensor is not None else ()
    if epoch != Epoch.NONE and _int8(operator) and operator.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        shape = window(operator)
        size = convolution(shape, epoch) if operator.kind == "CONV_2D" else depthwise(operator, shape, epoch)
        return (size,) if size else ()
    return _reference(operator)


def convolution(w: Window, epoch: Epoch) -> int:
    """Bytes for an int8 CONV_2D."""
    margin = 64 if epoch >= Epoch.V123 else 32
    row = w.width * w.in_channels
    if w.pointwise:
        return _pointwise(w, epoch, margin)
    if epoch == Epoch.V14 and staged_3x3(w):
        return _staged_3x3(w)
    if epoch >= Epoch.V121 and flattened(w):
        flat = _up(row * w.height, 16)
        return 4 * w.out_channels + 16 + w.out_channels * flat + 16 + flat + margin
    return _general(w, epoch) + 4 * w.out_channels + margin


def flattened(w: Window) -> bool:
    """Whether epochs from V121 on copy each window into one vector (filter rows under one SIMD register)."""
    row = w.width * w.in_channels
    return row < 16 <= row * w.height


def staged_3x3(w: Window) -> bool:
    """Whether epoch V14 takes its 3x3 path."""
    return (w.height, w.width) == (3, 3) and w.in_channels % 16 == 0 and w.in_channels >= 16 <= w.out_channels


def _pointwise(w: Window, epoch: Epoch, margin: int) -> int:
    positions, wide = w.in_height * w.in_width, _up(w.in_channels, 8)
    transposed = 16 * wide if positions >= 8 else 0
    if epoch < Epoch.V14:
        copied_input = positions * wide if w.in_channels % 8 else 0
        return copied_input + wide * w.out_channels + transposed + margin
    tail = 24 * w.in_channels + 8 * w.out_channels + margin
    panels = w.in_channels * w.out_channels > PANEL_FILTER_BYTES
    return max(transposed + margin, tail, _panel(w.in_channels) if panels else 0)


def _panel(in_channels: int) -> int:
    return 24 * in_channels + 16 * 1024 + 64


def _staged_3x3(w: Window) -> int:
    taps = 9 * w.in_channels
    if w.out_height * w.out_width >= STAGED_POSITIONS:
        return STAGED_POSITIONS * taps + _panel(taps) + 32
    return taps + w.out_channels * taps + 4 * w.out_channels + 32


def _general(w: Window, epoch: Epoch) -> int:
    aligned_rows = _up(w.width * w.in_channels, 16) * w.height * w.out_channels
    if epoch == Epoch.V14:
        copied = w.padded_input_bytes if w.padded else 0
        return copied + max(aligned_rows, w.taps * w.in_channels * w.out_channels)
    leading = (w.in_height + 2 * w.pad_height) * (w.in_width + 2 * w.pad_width) * w.in_channels
    copied = leading if w.pad_height or w.pad_width else 0
    aligned_channels = w.taps * _up(w.in_channels, 16) * w.out_channels
    if epoch == Epoch.V11:
        return copied + aligned_channels
    return copied + aligned_channels + aligned_rows + _trailing_copy(w)


def _trailing_copy(w: Window) -> int:
    right, bottom = _trailing(w)
    return (w.in_height + bottom) * (w.in_width + right) * w.in_channels if right or bottom else 0


def _trailing(w: Window) -> tuple[int, int]:
    """Columns and rows that esp-nn 1.x adds behind the input: one stride more than the filter reaches."""
    right = w.out_width * w.stride_width + w.width - 1 - w.in_width
    bottom = w.out_height * w.stride_height + w.height - 1 - w.in_height
    return max(0, right), max(0, bottom)


def depthwise(operator: Operator, w: Window, epoch: Epoch) -> int:
    """Bytes for an int8 DEPTHWISE_CONV_2D."""
    multiplier = depth_multiplier(operator, w)
    wide_copy = 2 * w.in_channels * (w.taps * multiplier + w.in_height * w.in_width)
    margin = 16 if epoch == Epoch.V11 else 32
    three = (w.height, w.width) == (3, 3)
    if multiplier == 1 and w.in_channels % 8 == 0 and (three or epoch >= Epoch.V121):
        if not three:
            return _depthwise_any(w, wide_copy)
        if w.in_channels % 16 == 0:
            return _depthwise_3x3(w, epoch)
        return _depthwise_widened(w, epoch) if w.in_channels >= 12 and epoch >= Epoch.V121 else wide_copy + margin
    if multiplier == 1 and w.in_channels > 3 and epoch >= Epoch.V121:
        return _depthwise_odd(w)
    return wide_copy + margin if multiplier % 4 == 0 else 32


def depth_multiplier(operator: Operator, w: Window) -> int:
    """Filters per input channel; 0 in the file means that the shapes tell."""
    return int(operator.options.get("depth_multiplier", 0)) or max(1, w.out_channels // max(1, w.in_channels))


def _depthwise_any(w: Window, wide_copy: int) -> int:
    if wide_copy <= WIDE_COPY_BYTES:
        return wide_copy + 32
    return 2 * w.in_channels * (w.taps + w.in_width * w.height) + 32


def _depthwise_3x3(w: Window, epoch: Epoch) -> int:
    filter_bytes = 9 * w.in_channels
    rows, columns = _depthwise_padding(w, epoch)
    if not rows and not columns:
        return filter_bytes + 16
    row_bytes = (w.in_width + columns) * w.in_channels
    whole = (w.in_height + rows) * row_bytes
    if epoch == Epoch.V11 or whole <= ROW_TILE_BYTES:
        return filter_bytes + whole + 16
    if epoch < Epoch.V14:
        return filter_bytes + 3 * row_bytes + 16
    strip = (ROW_TILE_BYTES - filter_bytes - 32) // row_bytes
    return filter_bytes + min(max(strip, 3), w.in_height + rows) * row_bytes + 32


def _depthwise_padding(w: Window, epoch: Epoch) -> tuple[int, int]:
    if epoch == Epoch.V14:
        return w.pad_height + w.pad_height_after, w.pad_width + w.pad_width_after
    if w.pad_height or w.pad_width:
        return 2 * w.pad_height, 2 * w.pad_width
    right, bottom = _trailing(w)
    return bottom, right


def _depthwise_widened(w: Window, epoch: Epoch) -> int:
    wide = _up(w.in_channels, 16)
    right, bottom = _trailing(w)
    copied = (w.in_width + 2 * w.pad_width + right) * (w.in_height + 2 * w.pad_height + bottom) * wide
    quantization = 12 * wide if epoch == Epoch.V14 else 0
    return 9 * wide + copied + w.out_height * w.out_width * wide + quantization + 64


def _depthwise_odd(w: Window) -> int:
    wide = _up(w.in_channels, 8)
    filled = _up(2 * w.taps * wide, 16) + 2 * w.in_height * w.in_width * wide
    filled = _up(filled, 16) + w.out_height * w.out_width * wide
    return _up(filled, 16) + 12 * wide + 16


def _int8(operator: Operator) -> bool:
    data = operator.input(0)
    return data is not None and data.dtype == "int8"


def _int4_filter(operator: Operator) -> bool:
    weights = operator.input(1)
    named = operator.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    return named and weights is not None and weights.dtype == "int4"


def _reference(operator: Operator) -> tuple[int, ...]:
    """Accumulators and index lists of TFLM's own kernels."""
    data, axes = operator.input(0), operator.input(1)
    if operator.kind == "TRANSPOSE_CONV":
        return (4 * operator.output.elements,) if operator.output.dtype != "float32" else ()
    if operator.kind not in _REDUCTIONS or data is None or axes is None:
        return ()
    lists = (4 * len(data.shape), 4 * axes.elements)
    sums = operator.kind in ("MEAN", "SUM") and data.dtype in ("int8", "int16")
    return (4 * operator.output.elements, *lists) if sums else lists


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
