"""YAMNet's network as the chip would run it: what the teacher itself would cost in INT8."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from trainables.students.layers import GlobalPool, conv_block, separable_block
from trainables.teachers.yamnet_keras import CLASSES, SEPARABLE, STEM_FILTERS


def yamnet_body() -> nn.Module:
    """From log-mels [batch, 1, 96, 64] to 521 logits, with random weights: its footprint depends on shapes alone."""
    channels = [STEM_FILTERS, *(filters for _, filters in SEPARABLE)]
    strides = [stride for stride, _ in SEPARABLE]
    blocks = [
        separable_block(inputs, filters, (stride, stride))
        for (inputs, filters), stride in zip(pairwise(channels), strides, strict=True)
    ]
    return nn.Sequential(conv_block(1, STEM_FILTERS, (3, 3), (2, 2)), *blocks, GlobalPool(), nn.Linear(1024, CLASSES))
