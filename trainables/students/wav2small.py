"""Wav2Small at about 90,000 parameters: Wav2Tiny's trunk, its pools, and a hidden layer of 100."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from trainables.students.wav2tiny import pooled_linear, trunk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spaces.candidate import Scalar
    from spaces.front_end import FrontEnd

HIDDEN = 100


def build(arguments: Mapping[str, Scalar], front_end: FrontEnd, outputs: int) -> nn.Module:
    """`width` channels throughout and a `pool` of `wav2tiny.POOLS`.

    The 90K net is not published; this one is ours. Width 13, attention, 26 mels and 7 outputs: 84,774 parameters, and
    89,856 with the 5,082 of the published front end, which the source's 15,879 and the paper's 72K count as well.
    """
    width = int(arguments["width"])
    hidden = pooled_linear(str(arguments["pool"]), width, front_end.mels, HIDDEN)
    return nn.Sequential(trunk(width), hidden, nn.ReLU(), nn.Linear(HIDDEN, outputs))
