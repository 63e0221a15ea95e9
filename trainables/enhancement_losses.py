"""Losses of networks that mask spectra: what the mask leaves, the teacher's masks, and similarities of maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from spaces.candidate import GramKind

# Of the Gram matrices of student and teacher that are in memory at once.
GRAM_BYTES = 64 * 2**20


def spectrum_losses(masks: Tensor, magnitudes: Tensor, target: Tensor) -> Tensor:
    """Phase-sensitive spectrum approximation, a loss [clips] for each (Erdogan et al., ICASSP 2015).

    Masks, magnitudes |X| of what is heard, and `target` |S| cos(angle between S and X), all [clips, frames, bins]. Over
    the clip's own power, so that quiet clips count as much as loud ones.
    """
    missed = (masks * magnitudes - target).square().mean(dim=(1, 2))
    return missed / magnitudes.square().mean(dim=(1, 2)).clamp(min=1e-8)


def gram_distance(student: Tensor, teacher: Tensor, kind: GramKind, most_bytes: int = GRAM_BYTES) -> Tensor:
    """Mean squared difference of Gram matrices of maps [clips, channels, frames, bins], which differ in channels only.

    A Gram matrix [clips, clips] holds the products of every two clips' activations, its rows scaled to length 1 (Tung
    and Mori, arXiv 1907.09682): one for each frame and bin, for each of either, or one alone (arXiv 2309.08144). They
    are made a chunk at a time, at most `most_bytes` of them, and made again for the gradient.
    """
    ours, theirs = (_by_place(maps.float(), kind) for maps in (student, teacher))
    chunk = max(1, most_bytes // (2 * 4 * student.shape[0] ** 2))
    chunks = list(zip(ours.split(chunk), theirs.split(chunk), strict=True))
    if len(chunks) == 1:
        return _distances(ours, theirs).mean()
    # One distance per place, and one mean over all: the same sum however it is cut.
    each = [checkpoint(_distances, *pair, use_reentrant=False, preserve_rng_state=False) for pair in chunks]
    return torch.cat(each).mean()


def _by_place(maps: Tensor, kind: GramKind) -> Tensor:
    """[places, clips, values at the place]."""
    if kind == "time_frequency":
        return maps.permute(2, 3, 0, 1).flatten(0, 1)
    if kind == "time":
        return maps.permute(2, 0, 1, 3).flatten(2)
    if kind == "frequency":
        return maps.permute(3, 0, 1, 2).flatten(2)
    return maps.flatten(1)[None]


def _distances(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean squared difference of the Gram matrices at each place [places]."""
    return (_gram(ours) - _gram(theirs)).square().mean(dim=(1, 2))


def _gram(values: Tensor) -> Tensor:
    # In float32 also under autocast: bfloat16 leaves too little of the differences of near products.
    with torch.autocast(values.device.type, enabled=False):
        return functional.normalize(values @ values.transpose(1, 2), dim=2)
