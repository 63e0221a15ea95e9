"""DS-CNN: one strided convolution, then depthwise-separable blocks of one width (Hello Edge, arXiv 1711.07128)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from trainables.students.layers import GlobalPool, conv_block, separable_block

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spaces.candidate import Scalar
    from spaces.front_end import FrontEnd

DROPOUT = 0.1


def build(arguments: Mapping[str, Scalar], front_end: FrontEnd, outputs: int) -> nn.Module:
    """`width` channels throughout, `depth` separable blocks, the first of stride `second_stride`.

    The source's 10x4 filter sees 40 ms frames at a 20 ms hop; here 9x4 sees 90-180 ms, with stride 2 on both axes.
    """
    width, depth, stride = (int(arguments[key]) for key in ("width", "depth", "second_stride"))
    strides = [stride] + [1] * (depth - 1)
    blocks = [separable_block(width, width, (step, step)) for step in strides]
    stem = conv_block(1, width, (9, 4), (2, 2))
    return nn.Sequential(stem, *blocks, GlobalPool(), nn.Dropout(DROPOUT), nn.Linear(width, outputs))
