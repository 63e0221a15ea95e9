"""The upper layers of a speech encoder with a teacher's head, trained on what the frozen layers below give."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainables.teachers.head import Head

# Activations from which on they are computed twice instead of kept.
MOST_ACTIVATION_BYTES = 2 << 30


@final
class TopLayers(nn.Module):
    """States below the last `count` layers [clips, steps, width] to logits [clips, classes].

    The layers and the head are trained; a norm or adapter that follows the layers stays as it was pretrained.
    `checkpointing` trades computation for memory and changes no gradient.
    """

    def __init__(
        self, model: Any, layers: Sequence[nn.Module], count: int, head: Head, stretches: int, heard: int | None
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(copy.deepcopy(layer) for layer in layers[-count:])
        self.tail = nn.ModuleList(copy.deepcopy(part) for part in _tail(model)).requires_grad_(False)
        self.head = head
        self.checkpointing = False
        self._stretches, self._heard = stretches, heard
        # WavLM's lowest layer alone makes the position bias that all share.
        self._hands_on_bias = hasattr(layers[0], "attention") and hasattr(layers[0].attention, "compute_bias")
        self._bias_maker = [layers[0].attention] if self._hands_on_bias and count < len(layers) else []

    def forward(self, states: Tensor) -> Tensor:
        """Logits before softmax."""
        bias = self._bias(states)
        for layer in self.layers:
            if self.checkpointing and self.training:
                states, bias = checkpoint(self._through, layer, states, bias, use_reentrant=False)
            else:
                states, bias = self._through(layer, states, bias)
        for part in self.tail:
            states = part(states)
        heard = states[:, : self._heard].transpose(1, 2)
        logits: Tensor = self.head(functional.adaptive_avg_pool1d(heard, self._stretches).transpose(1, 2))
        return logits

    def activation_bytes(self, clips: int, steps: int) -> int:
        """About what a pass keeps for its gradient: some 34 float16 a state and 5 an attended pair, if all are kept.

        The count per layer is that of Korthikanti et al., arXiv 2205.05198; float32 takes twice as much.
        """
        first: Any = self.layers[0]
        attention = first.attention if hasattr(first, "attention") else first.self_attn
        width, heads = int(attention.embed_dim), int(attention.num_heads)
        return 2 * len(self.layers) * clips * steps * (34 * width + 5 * heads * steps)

    @torch.no_grad()
    def _bias(self, states: Tensor) -> Tensor | None:
        if not self._bias_maker:
            return None
        clips, steps, _ = states.shape
        maker: Any = self._bias_maker[0]
        values: Tensor = maker.compute_bias(steps, steps)
        return values.repeat(clips, 1, 1).to(states.device)

    def _through(self, layer: nn.Module, states: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if self._hands_on_bias:
            left: tuple[Tensor, Tensor] = layer(states, position_bias=bias)
            return left
        return layer(states, None), bias


def _tail(model: Any) -> list[nn.Module]:
    """What follows the layers: Whisper's norm; in the others a norm where they are normalised so, and an adapter."""
    if not hasattr(model, "encoder"):
        return [model.layer_norm]
    norm = [model.encoder.layer_norm] if model.config.do_stable_layer_norm else []
    adapter = getattr(model, "adapter", None)
    return [*norm, *([adapter] if adapter is not None else [])]
