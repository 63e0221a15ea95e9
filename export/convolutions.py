"""Kernels behind CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED: dispatch rules and counted cycles per esp-nn epoch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from export.geometry import Window, window
from export.releases import Epoch
from export.scratch import PANEL_FILTER_BYTES, depth_multiplier, flattened, staged_3x3
from export.work import Build, Work, accelerated, is_float, row_length, sums_filter, window_macs

if TYPE_CHECKING:
    from export.operators import Operator


def convolution(operator: Operator, build: Build) -> Work:  # noqa: PLR0911 - one return for each kernel
    """A CONV_2D."""
    w = window(operator)
    macs = window_macs(operator, w)
    weights = operator.inputs[1]
    grouped = weights is not None and weights.shape[3] != w.in_channels
    if is_float(operator):
        return Work("conv_float", 43.0 * macs, macs)
    if not accelerated(operator, build) or w.dilated:
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
    resident = epoch == Epoch.V14 and w.in_channels * w.out_channels > PANEL_FILTER_BYTES
    panels = _panels(w.in_channels, w.out_channels) if resident else 1
    group = panels * (34 * blocks + 25) + w.out_channels * ((instructions + 2.8) * blocks + 188)
    single = w.out_channels * ((11 if epoch >= Epoch.V123 else 8) * blocks + 95)
    copied = 4.5 * w.in_channels * (positions + w.out_channels) if w.in_channels % 8 else 0
    copied += positions * (40 * panels + w.out_channels) if panels > 1 else 0
    return Work("conv_1x1", groups * group + left * single + copied, macs, 1 if resident else groups + left)


def _panels(in_channels: int, out_channels: int) -> int:
    """Passes over the output channels when their filters are kept in the cache a panel at a time."""
    return math.ceil(out_channels / min(1024, max(8, PANEL_FILTER_BYTES // in_channels & ~7)))


def _staged(w: Window, macs: int) -> Work:
    taps = 9 * w.in_channels
    blocks, panels = math.ceil(taps / 8), _panels(taps, w.out_channels)
    groups = math.ceil(w.positions / 8)
    group = panels * (34 * blocks + 25) + w.out_channels * (16.8 * blocks + 188)
    copied = w.positions * (taps + 90 + (40 * panels + w.out_channels if panels > 1 else 0))
    return Work("conv_3x3_staged", copied + groups * group, macs, math.ceil(w.positions / 16))


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
    checks = 1 if epoch == Epoch.V123 else 0
    if row % 16 == 0:
        return Work("conv_general", counted, macs, w.positions, heap_checks=checks)
    copy_bytes, reads = 16 * registers * w.height * w.out_channels, 2 if sums_filter(operator) else 1
    return Work("conv_general", counted, macs, reads, copy_bytes, w.positions, checks)


def _filter_setup(operator: Operator, w: Window, epoch: Epoch) -> float:
    """Sums and aligned copies of the filter, made afresh at every call."""
    values, rows = w.taps * w.in_channels * w.out_channels, w.height * w.out_channels
    copy = 1.5 * values + 60 * rows if (w.width * w.in_channels) % 16 else 0.0
    if not sums_filter(operator):
        return copy
    if epoch == Epoch.V14:
        return copy + 0.4 * values
    large = values > 16384 and epoch != Epoch.V11
    return copy + (4.0 if large else 3.5) * values


def depthwise(operator: Operator, build: Build) -> Work:  # noqa: PLR0911 - one return for each kernel
    """A DEPTHWISE_CONV_2D."""
    w = window(operator)
    macs, multiplier = w.positions * w.out_channels * w.taps, depth_multiplier(operator, w)
    outputs = w.positions * w.out_channels
    if is_float(operator):
        return Work("depthwise_float", 65.0 * macs, macs)
    if not accelerated(operator, build) or w.dilated:
        return Work("depthwise_reference", 90.0 * macs, macs)
    three = (w.height, w.width) == (3, 3)
    if multiplier == 1 and w.in_channels % 8 == 0:
        if three and w.in_channels % 16 == 0:
            return Work("depthwise_3x3", 551 / 16 * outputs + 4.5 * w.batch * w.padded_input_bytes, macs)
        if three and w.in_channels >= 12 and build.epoch >= Epoch.V121:
            return _widened(w, macs)
        if three or build.epoch >= Epoch.V121:
            return _wide(w, macs, outputs)
        return Work("depthwise_c", plain_depthwise(w), macs)
    if multiplier == 1 and w.in_channels > 3 and build.epoch >= Epoch.V121:
        return _wide(w, macs, outputs * math.ceil(w.in_channels / 8) * 8 / w.in_channels, copies=2)
    if multiplier % 4 == 0:
        return _multiplied(w, macs, outputs, 8 if multiplier % 8 == 0 else 4)
    return Work("depthwise_c", plain_depthwise(w), macs)


def plain_depthwise(w: Window) -> float:
    """Cycles of esp-nn's C code, which skips the taps that fall on padding."""
    outputs = w.positions * w.out_channels
    return outputs * (11.7 * w.rows_inside * w.columns_inside + 185.0)


def _wide(w: Window, macs: int, outputs: float, copies: int = 1) -> Work:
    rows = w.rows_inside
    per_eight = 35 + 200 + 38 + 22 * rows + 3 * rows * w.columns_inside
    converted = w.batch * w.in_height * w.in_width * w.in_channels + w.taps * w.out_channels
    return Work("depthwise_s16", outputs / 8 * per_eight + 1.5 * copies * converted, macs)


def _widened(w: Window, macs: int) -> Work:
    wide = math.ceil(w.in_channels / 16) * 16
    copied = w.padded_input_bytes * wide / w.in_channels + w.out_height * w.out_width * wide
    return Work("depthwise_3x3", 551 / 16 * w.positions * wide + 2.0 * w.batch * copied, macs)


def _multiplied(w: Window, macs: int, outputs: int, lanes: int) -> Work:
    """One input value against 4 or 8 filters; the 3x3 kernel for 8 is unrolled. Counted in the s16 kernels' source."""
    if lanes == 8 and (w.height, w.width) == (3, 3):
        per_group = 371.0
    else:
        per_group = (310 if lanes == 8 else 175) + w.rows_inside * (30 + 6 * w.columns_inside)
    converted = w.batch * w.in_height * w.in_width * w.in_channels + w.taps * w.out_channels
    return Work("depthwise_multiplied", outputs / lanes * per_group + 1.5 * converted, macs)


def fully_connected(operator: Operator, build: Build) -> Work:
    """A FULLY_CONNECTED."""
    row, outputs = row_length(operator), operator.output.elements
    macs = row * outputs
    if is_float(operator):
        return Work("fully_connected_float", 16.0 * macs + 50.0 * outputs, macs)
    if not accelerated(operator, build):
        return Work("fully_connected_reference", 9.05 * macs + 110.0 * outputs, macs)
    weights = operator.inputs[1]
    batches = max(1, outputs // weights.shape[0]) if weights is not None and weights.shape else 1
    wide = outputs * (10 * (row // 8) + 10 * (row % 8) + 62)
    dot = outputs * (6.0 * math.ceil(row / 16) + 110)
    if build.epoch == Epoch.V11:
        return Work("fully_connected_s16", wide, macs, batches)
    if build.epoch < Epoch.V14:
        summed = 4.0 * row * outputs if sums_filter(operator) else 0.0
        return Work("fully_connected_dot", dot + summed, macs, (2 if summed else 1) * batches)
    long = row >= (192 + 16 * (row % 16) if sums_filter(operator) else 64 + 8 * (row % 16))
    if not long:
        return Work("fully_connected_s16", wide, macs, batches)
    summed = 0.4 * row * outputs if sums_filter(operator) else 0.0
    return Work("fully_connected_dot", dot + summed, macs, (2 if summed else 1) * batches)
