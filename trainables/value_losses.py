"""Values as distributions over bins, and losses of what a student says of them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from spaces.valence_arousal import BINS
from trainables.losses import soft_target_divergence

# Of values in [-1, 1], with a bin beyond either end: a value at the end would else be pulled inwards.
LOWEST, HIGHEST = -1.25, 1.25
# Of a label's Gaussian, in bins: the value that arXiv 2403.03950 found to do well.
SPREAD = 0.75


def bin_centres(bins: int = BINS) -> Tensor:
    """[bins], evenly from `LOWEST` to `HIGHEST`."""
    return torch.linspace(LOWEST, HIGHEST, bins)


def label_distribution(values: Tensor) -> Tensor:
    """Labels [...] in [-1, 1] as probabilities of each bin [..., bins]: a Gaussian around the value, cut off outside.

    Its width is `SPREAD` bins (the histogram loss HL-Gauss of arXiv 2403.03950).
    """
    centres = bin_centres().to(values.device)
    width = float(centres[1] - centres[0])
    edges = torch.cat([centres - width / 2, centres[-1:] + width / 2])
    below = torch.special.ndtr((edges - values.unsqueeze(-1)) / (SPREAD * width))
    mass = below.diff(dim=-1)
    shares: Tensor = mass / mass.sum(-1, keepdim=True)
    return shares


def expected_values(logits: Tensor) -> Tensor:
    """Means [...] of the distributions that logits [..., bins] stand for."""
    return torch.softmax(logits, -1) @ bin_centres(logits.shape[-1]).to(logits)


def hard_value_losses(logits: Tensor, values: Tensor) -> Tensor:
    """KL(label || student) of each clip [batch], mean over its values; logits [batch, values, bins].

    The entropy of the label's distribution is taken away, so that it is 0 where the student says just that.
    """
    wanted = label_distribution(values)
    divergence = functional.kl_div(torch.log_softmax(logits, -1), wanted, reduction="none")
    return divergence.sum(-1).mean(-1)


def soft_value_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 * KL(teacher || student) of the softened distributions, mean over batch and values; logits as above.

    Two numbers softened as (s/T - t/T)^2 * T^2 are (s - t)^2 at any T, and so are two Gaussians of one width: only a
    distribution has a shape for the temperature to flatten.
    """
    return soft_target_divergence(student.flatten(0, 1), teacher.flatten(0, 1), temperature)
