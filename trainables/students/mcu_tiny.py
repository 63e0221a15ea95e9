"""TinyConv of one width throughout, the source's `mcu_tiny` (sarpel/wakeword-training-platform)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.students.tiny_conv import from_channels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from spaces.candidate import Scalar
    from spaces.front_end import FrontEnd


def build(arguments: Mapping[str, Scalar], front_end: FrontEnd, outputs: int) -> nn.Module:
    """`depth` blocks of `width` channels; 4 of 64 with 2 outputs have 111,810 parameters, 15,618 if `depthwise`."""
    return from_channels([int(arguments["width"])] * int(arguments["depth"]), bool(arguments["depthwise"]), outputs)
