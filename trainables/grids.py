"""Grids of patches over a spectrogram, and what moves from one to another."""

from __future__ import annotations

import torch
from torch import Tensor

# What a teacher shows: 8 steps in time by 4 bands, about as fine as the students that fit. All 1,212 patches of an AST
# would take 3 MB for the map of one clip.
TEACHER_GRID = (8, 4)


def shares_of_cells(ours: tuple[int, int], theirs: tuple[int, int]) -> Tensor:
    """Which share of each of our cells lies in each of theirs: [our cells, their cells], rows summing to 1.

    Both grids divide the same clip evenly: (steps in time, bands in frequency), cells numbered band by band within a
    step.
    """
    in_time, in_frequency = (_overlap(first, second) for first, second in zip(ours, theirs, strict=True))
    return torch.kron(in_time, in_frequency)


def _overlap(ours: int, theirs: int) -> Tensor:
    """[ours, theirs]: the part of each of our stretches of the unit interval that lies in each of theirs."""
    first, second = torch.linspace(0, 1, ours + 1), torch.linspace(0, 1, theirs + 1)
    until = torch.minimum(first[1:, None], second[None, 1:])
    since = torch.maximum(first[:-1, None], second[None, :-1])
    return (until - since).clamp_min(0) * ours


def pooled_attention(maps: Tensor, shares: Tensor) -> Tensor:
    """Maps [batch, their cells, their cells] on our grid; `shares` as `shares_of_cells` gives them.

    What one of our cells attends to is the mean over the cells under it; a cell's attention is split among ours by
    area. Rows sum to 1.
    """
    received = shares / shares.sum(0, keepdim=True).clamp_min(1e-9)
    pooled = shares @ maps @ received.transpose(0, 1)
    return pooled / pooled.sum(-1, keepdim=True).clamp_min(1e-9)
