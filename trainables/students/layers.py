"""Layers that students share, shaped so that they convert to what ESP-NN accelerates."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional


@final
class SameConv2d(nn.Conv2d):
    """A convolution without bias, padded as TFLite's SAME: the converter then emits no PAD operator.

    torch pads a stride-2 convolution on both sides where TFLite pads one, so an even input would cost an extra copy of
    the largest activation.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int], groups: int = 1
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """[batch, inputs, height, width] to [batch, outputs, ceil(height / stride), ceil(width / stride)]."""
        top, bottom = same_padding(input.shape[2], self.kernel_size[0], self.stride[0])
        left, right = same_padding(input.shape[3], self.kernel_size[1], self.stride[1])
        if (top, left) == (bottom, right):
            return functional.conv2d(input, self.weight, None, self.stride, (top, left), groups=self.groups)
        return super().forward(functional.pad(input, (left, right, top, bottom)))


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after one axis under TFLite's SAME rule."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def conv_block(
    inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int], groups: int = 1
) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    return nn.Sequential(SameConv2d(inputs, outputs, kernel, stride, groups), nn.BatchNorm2d(outputs), nn.ReLU())


def separable_block(inputs: int, outputs: int, stride: tuple[int, int]) -> nn.Sequential:
    """Depthwise 3x3, then pointwise, each with batch normalisation and ReLU."""
    return nn.Sequential(
        conv_block(inputs, inputs, (3, 3), stride, inputs), conv_block(inputs, outputs, (1, 1), (1, 1))
    )


@final
class GlobalPool(nn.Module):
    """Mean over the whole map as an average pool: ESP-NN accelerates that, while MEAN runs on reference kernels."""

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, channels, height, width] to [batch, channels]."""
        return torch.flatten(functional.avg_pool2d(maps, (maps.shape[2], maps.shape[3])), 1)


@final
class Halve(nn.Module):
    """Maximum of 3x3 with stride 2 and padding 1; behind a ReLU zeros pad as well as minus infinity would."""

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, channels, height, width], none negative, to half the height and width, rounded up."""
        return functional.max_pool2d(functional.pad(maps, (1, 1, 1, 1)), 3, 2)
