"""Feature alignment: a student's maps, through projectors, against the states of its teacher's layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

_ACTIVATIONS = (nn.ReLU, nn.Hardswish, nn.LSTM, nn.GRU)


@final
class Alignment(nn.Module):
    """One tap for each of the teacher's layers, evenly spaced in depth, the last one at the student's deepest map.

    A tap is the output of an activation or a recurrent layer. The projectors, linear maps of each step, are trained
    with the student and dropped (FitNets, arXiv 1412.6550).
    """

    def __init__(self, network: nn.Module, example: Tensor, widths: Sequence[int]) -> None:
        """`example` is a batch of features [batch, 1, frames, mels], `widths` those of the teacher's layers.

        A student without any tap is a `ValueError`.
        """
        super().__init__()
        self.taps = _spread(_activations(network, example), len(widths))
        channels = [_steps_of(found).shape[1] for found in self.listen(network, example)[1]]
        pairs = zip(channels, widths, strict=True)
        self.projectors = nn.ModuleList(nn.Conv1d(ours, theirs, 1) for ours, theirs in pairs)

    def forward(self, maps: Iterable[Tensor], layers: Iterable[Tensor]) -> Tensor:
        """Mean over taps of the squared distance to the layer-normalised states [batch, steps, width]: 1 by chance.

        Where the student has fewer steps than the teacher, the teacher's are averaged; where more, the student's.
        """
        distances = []
        for projector, found, states in zip(self.projectors, maps, layers, strict=True):
            ours, theirs = _steps_of(found), states.to(found.dtype).transpose(1, 2)
            steps = min(ours.shape[2], theirs.shape[2])
            projected = projector(functional.adaptive_avg_pool1d(ours, steps))
            wanted = functional.adaptive_avg_pool1d(theirs, steps).transpose(1, 2)
            wanted = functional.layer_norm(wanted, wanted.shape[-1:])
            distances.append(functional.mse_loss(projected.transpose(1, 2), wanted))
        return torch.stack(distances).mean()

    def listen(self, network: nn.Module, features: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The network's outputs for features [batch, 1, frames, mels], and its maps at the taps."""
        outputs, heard = _listen(network, features, self.taps)
        return outputs, [heard[tap] for tap in self.taps]


def _listen(network: nn.Module, features: Tensor, names: Iterable[str]) -> tuple[Tensor, dict[str, Tensor]]:
    heard: dict[str, Tensor] = {}

    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            heard[name] = output[0].transpose(1, 2) if isinstance(output, tuple) else output

        return keep

    modules = dict(network.named_modules())
    handles = [modules[name].register_forward_hook(hook(name)) for name in names]
    try:
        outputs: Tensor = network(features)
    finally:
        for handle in handles:
            handle.remove()
    return outputs, heard


@torch.no_grad()
def _activations(network: nn.Module, example: Tensor) -> list[str]:
    """Names of the activations whose outputs have time steps, in the order in which they run."""
    was_training = network.training
    network.eval()
    names = [name for name, module in network.named_modules() if isinstance(module, _ACTIVATIONS)]
    _, heard = _listen(network, example, names)
    network.train(was_training)
    found = [name for name, maps in heard.items() if maps.dim() > 2 and maps.shape[2] > 1]
    if not found:
        raise ValueError("alignment_weight: the student has no activation over time to align; use 0")
    return found


def _spread(names: Sequence[str], count: int) -> list[str]:
    """`count` of the names at even distances, the last among them; shallow students repeat some."""
    return [names[max(0, -(-(place + 1) * len(names) // count) - 1)] for place in range(count)]


def _steps_of(maps: Tensor) -> Tensor:
    """Maps [batch, channels, steps, ...] with everything behind the steps averaged: [batch, channels, steps]."""
    return maps.flatten(3).mean(3) if maps.dim() > 3 else maps
