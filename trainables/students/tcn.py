"""Temporal convolutional network: dilated causal convolutions over time in residual blocks (arXiv 1803.01271)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, final

from torch import Tensor, nn
from torch.nn import functional

from trainables.students.layers import GlobalPool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spaces.candidate import Scalar
    from spaces.front_end import FrontEnd

KERNEL = 3
DROPOUT = 0.1


def build(arguments: Mapping[str, Scalar], front_end: FrontEnd, outputs: int) -> nn.Module:
    """`depth` residual blocks, the first of `width` channels, each twice as wide and twice as dilated as the last.

    sarpel/wakeword-training-platform counts 435,970 parameters for [64, 128, 256], kernel 3, 64 mels and 2 outputs:
    the paper's block (two convolutions with bias, a 1x1 shortcut where channels change) without its weight
    normalisation, and one linear layer.
    """
    width, depth = int(arguments["width"]), int(arguments["depth"])
    channels = [front_end.mels, *(width << block for block in range(depth))]
    blocks = [TemporalBlock(*ends, dilation=1 << position) for position, ends in enumerate(pairwise(channels))]
    return nn.Sequential(
        MelsToChannels(1 << depth - 1), *blocks, GlobalPool(), nn.Dropout(DROPOUT), nn.Linear(channels[-1], outputs)
    )


@final
class MelsToChannels(nn.Module):
    """The mels as channels, with empty frames before the first until there are a multiple of `multiple`."""

    def __init__(self, multiple: int) -> None:
        super().__init__()
        self.multiple = multiple

    def forward(self, clips: Tensor) -> Tensor:
        """[batch, 1, frames, mels] to [batch, mels, frames, 1]."""
        return functional.pad(clips.permute(0, 3, 2, 1), (0, 0, -clips.shape[2] % self.multiple, 0))


@final
class TemporalBlock(nn.Module):
    """Two causal convolutions of kernel 3 and one dilation, beside a shortcut.

    The frames are folded into rows of `dilation`: a plain convolution down the columns is then the dilated one along
    the frames, on kernels that ESP-NN has; dilated ones run on reference kernels, about ten times as long.
    """

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.layers = nn.Sequential(
            *(nn.ZeroPad2d((0, 0, KERNEL - 1, 0)), nn.Conv2d(inputs, outputs, (KERNEL, 1)), nn.ReLU()),
            nn.Dropout(DROPOUT),
            *(nn.ZeroPad2d((0, 0, KERNEL - 1, 0)), nn.Conv2d(outputs, outputs, (KERNEL, 1)), nn.ReLU()),
            nn.Dropout(DROPOUT),
        )
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Frames in rows of any length [batch, inputs, rows, length], to [batch, outputs, rows, dilation]."""
        folded = maps.reshape(*maps.shape[:2], -1, self.dilation)
        return functional.relu(self.layers(folded) + self.shortcut(folded))
