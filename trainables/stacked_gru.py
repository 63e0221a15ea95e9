"""GRUs of several networks at once: one product of matrices a frame for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Wider ones keep a CPU busy one by one.
WIDEST = 64
# Of one layer, in torch's order: weights of the input and of the state, then their biases, all stacked.
Layer = Sequence[Tensor]


def stacked_gru(frames: Tensor, layers: Sequence[Layer]) -> Tensor:
    """[members, batch, frames, values] to the last layer's states [members, batch, frames, units]."""
    for layer in layers:
        weights, biases = layer[1].transpose(1, 2), layer[3][:, None]
        units = weights.shape[1]
        state, after = frames.new_zeros(*frames.shape[:2], units), []
        for heard in _of_input(frames, layer).unbind(2):
            recalled = torch.baddbmm(biases, state, weights)
            reset, update = (heard[..., : 2 * units] + recalled[..., : 2 * units]).sigmoid().chunk(2, -1)
            candidate = (heard[..., 2 * units :] + reset * recalled[..., 2 * units :]).tanh()
            state = candidate + update * (state - candidate)
            after.append(state)
        frames = torch.stack(after, 2)
    return frames


def _of_input(frames: Tensor, layer: Layer) -> Tensor:
    """What all frames bring to the gates [members, batch, frames, gates * units]."""
    flat = torch.baddbmm(layer[2][:, None], frames.flatten(1, 2), layer[0].transpose(1, 2))
    gates: Tensor = flat.unflatten(1, frames.shape[1:3])
    return gates
