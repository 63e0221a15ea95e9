"""DS-CNN whose width doubles from block to block (chayuto/yamnet-cry-distill-int8)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

from trainables.students.layers import GlobalPool, conv_block, separable_block

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spaces.candidate import Scalar
    from spaces.front_end import FrontEnd

WIDEST = 16
STRIDED_BLOCKS = range(1, 4)


def build(arguments: Mapping[str, Scalar], front_end: FrontEnd, outputs: int) -> nn.Module:
    """A strided 3x3 stem of `width` filters, then `depth` separable blocks, each twice as wide, up to 16 times `width`.

    The first block keeps the stem's resolution, the next three halve it. Width 8 and depth 4 on 96 frames x 64 mels are
    the source's: 80,713 weights with 521 outputs (79,977 of them trainable), 13,762 with 2.
    """
    width, depth = int(arguments["width"]), int(arguments["depth"])
    channels = [width * min(2**block, WIDEST) for block in range(depth + 1)]
    strides = [2 if block in STRIDED_BLOCKS else 1 for block in range(depth)]
    blocks = [
        separable_block(inputs, filters, (stride, stride))
        for (inputs, filters), stride in zip(pairwise(channels), strides, strict=True)
    ]
    stem = conv_block(1, width, (3, 3), (2, 2))
    return nn.Sequential(stem, *blocks, GlobalPool(), nn.Linear(channels[-1], outputs))
