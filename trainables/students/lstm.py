"""LSTM over the frames (sarpel/wakeword-training-platform has it bidirectional, which cannot stream)."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from torch import Tensor, nn
from torch.nn.functional import linear

from trainables.students.recurrent import BothWays, Recurrent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spaces.candidate import Scalar
    from spaces.front_end import FrontEnd
    from trainables.students.recurrent import Gate


def build(arguments: Mapping[str, Scalar], front_end: FrontEnd, outputs: int) -> nn.Module:
    """`depth` layers of `hidden` units; `both_ways`, which no space offers, is the source's bidirectional network."""
    hidden, depth = int(arguments["hidden"]), int(arguments["depth"])
    if arguments.get("both_ways"):
        return BothWays(nn.LSTM(front_end.mels, hidden, depth, batch_first=True, bidirectional=True), outputs)
    return Lstm(nn.LSTM(front_end.mels, hidden, depth, batch_first=True), outputs)


@final
class Lstm(Recurrent):
    """Two states per layer: output and memory."""

    states_per_layer = 2

    def cell(self, frame: Tensor, states: tuple[Tensor, ...], gates: list[Gate]) -> tuple[Tensor, ...]:
        """Input, forget, candidate and output gate."""
        output, memory = states
        admit, keep, candidate, emit = (linear(frame, w, b) + linear(output, u, c) for w, u, b, c in gates)
        memory = keep.sigmoid() * memory + admit.sigmoid() * candidate.tanh()
        return emit.sigmoid() * memory.tanh(), memory
