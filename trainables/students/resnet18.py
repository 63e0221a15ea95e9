"""ResNet-18: four stages of two basic blocks, each stage twice as wide as the one before (arXiv 1512.03385)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, final

from torch import Tensor, nn
from torch.nn import functional

from trainables.students.layers import GlobalPool, Halve, SameConv2d, conv_block

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spaces.candidate import Scalar
    from spaces.front_end import FrontEnd

STAGES = 4


def build(arguments: Mapping[str, Scalar], front_end: FrontEnd, outputs: int) -> nn.Module:
    """Stages of `width`, twice, four and eight times as many channels; the original has 64.

    At width 64 and 1,000 outputs 11,683,240 parameters: torchvision's 11,689,512 less two input channels.
    """
    width = int(arguments["width"])
    channels = [width, *(width << stage for stage in range(STAGES))]
    stages = [
        nn.Sequential(BasicBlock(before, after, 1 if after == width else 2), BasicBlock(after, after, 1))
        for before, after in pairwise(channels)
    ]
    return nn.Sequential(
        conv_block(1, width, (7, 7), (2, 2)), Halve(), *stages, GlobalPool(), nn.Linear(channels[-1], outputs)
    )


@final
class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a strided 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv_block(inputs, outputs, (3, 3), (stride, stride)),
            SameConv2d(outputs, outputs, (3, 3), (1, 1)),
            nn.BatchNorm2d(outputs),
        )
        strided = SameConv2d(inputs, outputs, (1, 1), (stride, stride))
        keeps = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if keeps else nn.Sequential(strided, nn.BatchNorm2d(outputs))

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, inputs, height, width] to [batch, outputs, height / stride, width / stride], rounded up."""
        return functional.relu(self.layers(maps) + self.shortcut(maps))
