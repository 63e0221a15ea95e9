"""Recurrent networks whose sequence runs on torch's kernels and whose step converts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, final

import torch
from torch import Tensor, nn

from trainables.students.streaming import StreamingStudent

if TYPE_CHECKING:
    from collections.abc import Iterator

Gate = tuple[Tensor, Tensor, Tensor, Tensor]


class Recurrent(StreamingStudent, ABC):
    """Layers of recurrent cells over the frames, then a linear layer of the last one's output at the last frame."""

    states_per_layer: ClassVar[int]

    def __init__(self, layers: nn.LSTM | nn.GRU, outputs: int) -> None:
        super().__init__()
        self.layers = layers
        self.head = nn.Linear(layers.hidden_size, outputs)

    def forward(self, clips: Tensor) -> Tensor:
        """[batch, 1, frames, mels] to logits [batch, outputs]."""
        hidden, _ = self.layers(clips.squeeze(1))
        logits: Tensor = self.head(hidden[:, -1])
        return logits

    def initial_states(self, batch: int) -> tuple[Tensor, ...]:
        """Zeros [batch, hidden], `states_per_layer` for each layer."""
        count = self.layers.num_layers * self.states_per_layer
        return tuple(torch.zeros(batch, self.layers.hidden_size) for _ in range(count))

    def step(self, frame: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """A frame [batch, mels] and the states of all layers to logits [batch, outputs] and the states after it."""
        after: list[Tensor] = []
        for layer in range(self.layers.num_layers):
            first = layer * self.states_per_layer
            own = states[first : first + self.states_per_layer]
            after += self.cell(frame, own, list(gates_of(self.layers, layer)))
            frame = after[first]
        return self.head(frame), *after

    @abstractmethod
    def cell(self, frame: Tensor, states: tuple[Tensor, ...], gates: list[Gate]) -> tuple[Tensor, ...]:
        """The states after a frame, the cell's output first; gates in torch's order."""


@final
class BothWays(nn.Module):
    """The source's networks, for comparison: layers that hear a whole clip in both directions cannot stream."""

    def __init__(self, layers: nn.LSTM | nn.GRU, outputs: int) -> None:
        super().__init__()
        self.layers = layers
        self.head = nn.Linear(2 * layers.hidden_size, outputs)

    def forward(self, clips: Tensor) -> Tensor:
        """[batch, 1, frames, mels] to logits [batch, outputs], from where each direction ends."""
        hidden, _ = self.layers(clips.squeeze(1))
        ahead, back = hidden.chunk(2, dim=2)
        logits: Tensor = self.head(torch.cat([ahead[:, -1], back[:, 0]], dim=1))
        return logits


def gates_of(layers: nn.LSTM | nn.GRU, layer: int) -> Iterator[Gate]:
    """Weights of the input and of the state, then their biases, gate by gate.

    Cut up here because a slice in the step would run at every frame, and all gates would share one INT8 range.
    """
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    stacked = [getattr(layers, f"{name}_l{layer}") for name in names]
    return zip(*(weights.split(layers.hidden_size) for weights in stacked), strict=True)
