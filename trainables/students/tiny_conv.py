"""TinyConv: 3x3 convolutions, the first three of stride 2 (sarpel/wakeword-training-platform)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

from trainables.students.layers import GlobalPool, conv_block, separable_block

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spaces.candidate import Scalar
    from spaces.front_end import FrontEnd

STRIDED_BLOCKS = 3
DROPOUT = 0.1


def build(arguments: Mapping[str, Scalar], front_end: FrontEnd, outputs: int) -> nn.Module:
    """`width` doubles per block up to four times; `depth` blocks; `depthwise` makes all but the first separable."""
    width, depth = int(arguments["width"]), int(arguments["depth"])
    channels = [width * min(2**block, 4) for block in range(depth)]
    return from_channels(channels, bool(arguments["depthwise"]), outputs)


def from_channels(channels: Sequence[int], depthwise: bool, outputs: int) -> nn.Module:
    """The same from explicit channels: [16, 32, 64, 64] with 2 outputs has 60,530 parameters, 8,514 if depthwise."""
    blocks: list[nn.Module] = [conv_block(1, channels[0], (3, 3), (2, 2))]
    for position, (inputs, filters) in enumerate(pairwise(channels), start=1):
        stride = (2, 2) if position < STRIDED_BLOCKS else (1, 1)
        block = separable_block(inputs, filters, stride) if depthwise else conv_block(inputs, filters, (3, 3), stride)
        blocks.append(block)
    return nn.Sequential(*blocks, GlobalPool(), nn.Dropout(DROPOUT), nn.Linear(channels[-1], outputs))
