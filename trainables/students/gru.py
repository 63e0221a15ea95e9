"""GRU over the frames (sarpel/wakeword-training-platform has it bidirectional, which cannot stream)."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from torch import Tensor, nn
from torch.nn.functional import linear

from trainables.students.recurrent import BothWays, Recurrent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from spaces.candidate import Scalar
    from spaces.front_end import FrontEnd
    from trainables.students.recurrent import Gate


def build(arguments: Mapping[str, Scalar], front_end: FrontEnd, outputs: int) -> nn.Module:
    """`depth` layers of `hidden` units; `both_ways`, which no space offers, is the source's bidirectional network."""
    hidden, depth = int(arguments["hidden"]), int(arguments["depth"])
    if arguments.get("both_ways"):
        return BothWays(nn.GRU(front_end.mels, hidden, depth, batch_first=True, bidirectional=True), outputs)
    return Gru(nn.GRU(front_end.mels, hidden, depth, batch_first=True), outputs)


@final
class Gru(Recurrent):
    """One state per layer, its output."""

    states_per_layer = 1

    def cell(self, frame: Tensor, states: tuple[Tensor, ...], gates: list[Gate]) -> tuple[Tensor, ...]:
        """Reset and update gate, and the candidate, which the reset gate cuts off from the state."""
        return (gru_step(frame, states[0], gates),)


def gru_step(frame: Tensor, state: Tensor, gates: Iterable[Gate]) -> Tensor:
    """The state [batch, units] after a frame [batch, values]."""
    (reset, reset_state), (update, update_state), (new, new_state) = (
        (linear(frame, w, b), linear(state, u, c)) for w, u, b, c in gates
    )
    candidate = (new + (reset + reset_state).sigmoid() * new_state).tanh()
    return candidate + (update + update_state).sigmoid() * (state - candidate)
