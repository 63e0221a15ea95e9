"""MobileNetV3-small: inverted residuals with squeeze-excite and hard-swish (arXiv 1905.02244)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, final

from torch import Tensor, nn
from torch.nn import functional

from trainables.students.layers import GlobalPool, SameConv2d

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spaces.candidate import Scalar
    from spaces.front_end import FrontEnd

DROPOUT = 0.2
STEM_CHANNELS = 16
HIDDEN = 1024


class Row(NamedTuple):
    """A row of the paper's Table 2."""

    kernel: int
    expanded: int
    outputs: int
    squeezes: bool
    activation: type[nn.Module]
    stride: int


ROWS = (
    Row(3, 16, 16, True, nn.ReLU, 2),
    Row(3, 72, 24, False, nn.ReLU, 2),
    Row(3, 88, 24, False, nn.ReLU, 1),
    Row(5, 96, 40, True, nn.Hardswish, 2),
    Row(5, 240, 40, True, nn.Hardswish, 1),
    Row(5, 240, 40, True, nn.Hardswish, 1),
    Row(5, 120, 48, True, nn.Hardswish, 1),
    Row(5, 144, 48, True, nn.Hardswish, 1),
    Row(5, 288, 96, True, nn.Hardswish, 2),
    Row(5, 576, 96, True, nn.Hardswish, 1),
    Row(5, 576, 96, True, nn.Hardswish, 1),
)


def build(arguments: Mapping[str, Scalar], front_end: FrontEnd, outputs: int) -> nn.Module:
    """Every channel count of the published net times `multiplier`; the first convolution strides by `input_stride`.

    At multiplier 1 and 1,000 outputs 2,542,568 parameters: torchvision's 2,542,856 less two input channels.
    """
    multiplier, stride = float(arguments["multiplier"]), int(arguments["input_stride"])
    inputs = scaled(STEM_CHANNELS, multiplier)
    blocks: list[nn.Module] = [_convolution(1, inputs, 3, stride, 1, nn.Hardswish)]
    for row in ROWS:
        blocks.append(InvertedResidual(inputs, row, multiplier))
        inputs = scaled(row.outputs, multiplier)
    last, hidden = 6 * inputs, scaled(HIDDEN, multiplier)
    head = (GlobalPool(), nn.Linear(last, hidden), nn.Hardswish(), nn.Dropout(DROPOUT), nn.Linear(hidden, outputs))
    return nn.Sequential(*blocks, _convolution(inputs, last, 1, 1, 1, nn.Hardswish), *head)


def scaled(channels: int, multiplier: float) -> int:
    """`channels * multiplier` as the nearest multiple of 8, at least 8, never more than a tenth below."""
    wanted = channels * multiplier
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * wanted else nearest


@final
class InvertedResidual(nn.Module):
    """Expand, filter each channel, squeeze-excite, project; added to the input where the shape is kept."""

    def __init__(self, inputs: int, row: Row, multiplier: float) -> None:
        super().__init__()
        expanded, outputs = scaled(row.expanded, multiplier), scaled(row.outputs, multiplier)
        self.adds = row.stride == 1 and inputs == outputs
        expand = [_convolution(inputs, expanded, 1, 1, 1, row.activation)] if expanded != inputs else []
        filters = _convolution(expanded, expanded, row.kernel, row.stride, expanded, row.activation)
        squeeze = [SqueezeExcite(expanded)] if row.squeezes else []
        project = _convolution(expanded, outputs, 1, 1, 1, nn.Identity)
        self.layers = nn.Sequential(*expand, filters, *squeeze, project)

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, inputs, height, width] to [batch, outputs, height / stride, width / stride], rounded up."""
        projected: Tensor = self.layers(maps)
        return maps + projected if self.adds else projected


@final
class SqueezeExcite(nn.Module):
    """Each channel times a gate from the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = scaled(channels // 4, 1.0)
        self.gate = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1), nn.ReLU(), nn.Conv2d(squeezed, channels, 1), nn.Hardsigmoid()
        )

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, channels, height, width], as it was."""
        gated: Tensor = maps * self.gate(functional.avg_pool2d(maps, (maps.shape[2], maps.shape[3])))
        return gated


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int, groups: int, activation: type[nn.Module]
) -> nn.Sequential:
    layer = SameConv2d(inputs, outputs, (kernel, kernel), (stride, stride), groups)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), activation())
