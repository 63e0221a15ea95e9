"""INT8 rounding in float arithmetic, with gradients that pass straight through (arXiv 1712.05877)."""

from __future__ import annotations

import torch
from torch import Tensor

LOWEST, HIGHEST = -128, 127
SMALLEST_SPAN = 1e-9


def affine(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Scale (float32) and zero point (int32) that ai-edge-quantizer gives a tensor of this range; 0 is always in it."""
    low, high = low.clamp(max=0.0), high.clamp(min=0.0)
    scale = (high - low).clamp(min=SMALLEST_SPAN) / (HIGHEST - LOWEST)
    return scale, torch.round(LOWEST - low / scale).to(torch.int32)


def rounded(values: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """Values as INT8 of this scale holds them; the gradient is 1 inside the range and 0 outside."""
    return torch.fake_quantize_per_tensor_affine(values, scale, zero_point, LOWEST, HIGHEST)


def rounded_weight(weight: Tensor) -> Tensor:
    """A weight [outputs, ...] as INT8 with a scale for each output holds it: symmetric, codes -127 to 127."""
    with torch.no_grad():
        scale = weight.flatten(1).abs().amax(1).clamp(min=SMALLEST_SPAN) / HIGHEST
        zero_points = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero_points, 0, -HIGHEST, HIGHEST)


def folded_weight(weight: Tensor, gamma: Tensor, variance: Tensor, epsilon: float) -> Tensor:
    """A convolution's weight [outputs, ...] with the batch normalisation behind it, by its running variance."""
    factor = gamma * torch.rsqrt(variance + epsilon)
    return weight * factor.reshape(-1, *[1] * (weight.dim() - 1))


def folded_bias(
    bias: Tensor | None, gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor, epsilon: float
) -> Tensor:
    """The bias [outputs] that goes with `folded_weight`."""
    shift = -mean if bias is None else bias - mean
    return beta + shift * gamma * torch.rsqrt(variance + epsilon)
