"""Shapes of windowed operators: sizes, strides and padding as TFLite computes them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from export.operators import Operator

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
POOLS = ("MAX_POOL_2D", "AVERAGE_POOL_2D", "L2_POOL_2D")


@final
@dataclass(frozen=True)
class Window:
    """A filter that slides over height and width; `pad_*` before the first sample, `pad_*_after` after the last."""

    batch: int
    in_height: int
    in_width: int
    in_channels: int
    out_height: int
    out_width: int
    out_channels: int
    height: int
    width: int
    stride_height: int
    stride_width: int
    dilation_height: int
    dilation_width: int
    pad_height: int
    pad_width: int
    pad_height_after: int
    pad_width_after: int

    @property
    def taps(self) -> int:
        """Positions of the filter."""
        return self.height * self.width

    @property
    def rows_inside(self) -> float:
        """Mean number of filter rows that meet the input, the rest being padding."""
        return _inside(self.in_height, self.out_height, self.height, self.stride_height, self.pad_height)

    @property
    def columns_inside(self) -> float:
        """Mean number of filter columns that meet the input."""
        return _inside(self.in_width, self.out_width, self.width, self.stride_width, self.pad_width)

    @property
    def positions(self) -> int:
        """Output positions of the whole batch."""
        return self.batch * self.out_height * self.out_width

    @property
    def pointwise(self) -> bool:
        """Whether it is a 1x1 filter that visits every position."""
        strides = (self.stride_height, self.stride_width)
        return self.taps == 1 and strides == (1, 1) and not self.padded

    @property
    def padded(self) -> bool:
        """Whether any padding is read."""
        return bool(self.pad_height or self.pad_width or self.pad_height_after or self.pad_width_after)

    @property
    def dilated(self) -> bool:
        """Whether the filter skips samples."""
        return (self.dilation_height, self.dilation_width) != (1, 1)

    @property
    def padded_input_bytes(self) -> int:
        """Bytes of an int8 copy of one input with its padding."""
        height = self.in_height + self.pad_height + self.pad_height_after
        width = self.in_width + self.pad_width + self.pad_width_after
        return height * width * self.in_channels


def window(operator: Operator) -> Window:
    """Geometry of a convolution or pooling operator; anything else, or a rank other than 4, is a `ValueError`."""
    data, output = operator.input(0), operator.output
    if data is None or len(data.shape) != 4 or len(output.shape) != 4:
        raise ValueError(f"operator {operator.index} {operator.kind}: needs tensors of 4 dimensions")
    height, width = _filter(operator)
    stride = (_option(operator, "stride_h"), _option(operator, "stride_w"))
    dilation = (_option(operator, "dilation_hfactor"), _option(operator, "dilation_wfactor"))
    same = operator.options.get("padding", "VALID") == "SAME"
    rows, columns = (
        _padding(data.shape[i], output.shape[i], (size - 1) * dilation[i - 1] + 1, stride[i - 1]) if same else (0, 0)
        for i, size in ((1, height), (2, width))
    )
    return Window(
        data.shape[0], *data.shape[1:], *output.shape[1:], height, width, *stride, *dilation,
        rows[0], columns[0], rows[1], columns[1],
    )  # fmt: skip


def _inside(size: int, out: int, taps: int, stride: int, pad: int) -> float:
    starts = (i * stride - pad for i in range(out))
    met = sum(max(0, min(start + taps, size) - max(start, 0)) for start in starts)
    return met / out if out else 0.0


def _filter(operator: Operator) -> tuple[int, int]:
    if operator.kind in POOLS:
        return _option(operator, "filter_height"), _option(operator, "filter_width")
    weights = operator.input(1)
    if weights is None or len(weights.shape) != 4:
        raise ValueError(f"operator {operator.index} {operator.kind}: needs a filter of 4 dimensions")
    return weights.shape[1], weights.shape[2]


def _option(operator: Operator, name: str) -> int:
    return max(1, int(operator.options.get(name, 1)))


def _padding(size: int, out: int, reach: int, stride: int) -> tuple[int, int]:
    total = max(0, (out - 1) * stride + reach - size)
    return total // 2, total - total // 2


def out_size(size: int, taps: int, stride: int, dilation: int, padding: str) -> int:
    """Output length along one axis, by TFLite's rule."""
    reach = (taps - 1) * dilation + 1
    return math.ceil(size / stride) if padding == "SAME" else math.ceil(max(0, size - reach + 1) / stride)
