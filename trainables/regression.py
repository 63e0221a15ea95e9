"""Distilling values: labels and the teacher's distributions, its tokens, and where it looks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.criterion import HARD_LOSS, Batch, Criterion, Losses
from trainables.grids import TEACHER_GRID, pooled_attention, shares_of_cells
from trainables.students.mobile_vit import Heard, MobileViT
from trainables.value_losses import hard_value_losses, soft_value_loss

if TYPE_CHECKING:
    from spaces.candidate import Candidate
    from trainables.training_set import TrainingSet


@final
class ValueDistillation(Criterion):
    """Labels and the teacher's distributions, its tokens through projectors, and where it looks."""

    shares: Tensor

    def __init__(self, network: nn.Module, data: TrainingSet, candidate: Candidate, seed: int) -> None:
        """The training set's layers are the teacher's tokens, then its maps, both on the `TEACHER_GRID`.

        They are [clips, cells, width] and [clips, cells, cells]; a `ValueError` where the candidate asks for them and
        there are none.
        """
        super().__init__()
        assert isinstance(network, MobileViT)
        self.distillation = candidate.distillation
        self.hears_layers = bool(self.distillation.alignment_weight or self.distillation.attention_weight)
        if self.hears_layers and not data.teacher_layers:
            raise ValueError("alignment_weight, attention_weight: the teacher shows no layers; use 0")
        self.layers = len(data.teacher_layers) // 2 if self.hears_layers else 0
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            widths = [layer.shape[2] for layer in data.teacher_layers[: self.layers]]
            self.projectors = nn.ModuleList(nn.Linear(network.position.shape[2], width) for width in widths)
        self.places = [-(-(place + 1) * len(network.blocks) // self.layers) - 1 for place in range(self.layers)]
        shares = shares_of_cells(network.grid, TEACHER_GRID) if self.layers else torch.empty(0)
        self.register_buffer("shares", shares, persistent=False)

    def listen(self, network: nn.Module, features: Tensor) -> Heard:
        """All that the network does."""
        assert isinstance(network, MobileViT)
        return network.heard(features)

    def losses(self, heard: Heard, batch: Batch) -> Losses:
        """response_weight * (alpha * hard + (1 - alpha) * soft) + alignment_weight * ... + attention_weight * ..."""
        weights = self.distillation
        assert heard.logits is not None
        each = hard_value_losses(heard.logits.float(), batch.target)
        taught, batch, share = of_taught(heard, batch)
        parts = {HARD_LOSS: each.mean(), "soft_loss": share * self._soft(taught, batch)}
        response = weights.alpha * parts[HARD_LOSS] + (1 - weights.alpha) * parts["soft_loss"]
        total = weights.response_weight * response
        if weights.alignment_weight:
            parts["alignment_loss"] = share * self._alignment(taught, batch)
            total = total + weights.alignment_weight * parts["alignment_loss"]
        if weights.attention_weight:
            parts["attention_loss"] = share * self._attention(taught, batch)
            total = total + weights.attention_weight * parts["attention_loss"]
        return Losses(total, parts, each)

    def _soft(self, heard: Heard, batch: Batch) -> Tensor:
        assert heard.logits is not None
        return soft_value_loss(heard.logits.float(), batch.teacher, self.distillation.temperature)

    def _alignment(self, heard: Heard, batch: Batch) -> Tensor:
        """Mean squared distance to the layer-normalised tokens: 1 by chance."""
        distances = []
        for projector, place, tokens in zip(self.projectors, self.places, batch.layers[: self.layers], strict=True):
            wanted = functional.layer_norm(self.shares @ tokens.float(), tokens.shape[-1:])
            distances.append(functional.mse_loss(projector(heard.tokens[place]).float(), wanted))
        return torch.stack(distances).mean()

    def _attention(self, heard: Heard, batch: Batch) -> Tensor:
        """KL(teacher || student) of where each cell looks, mean over cells (MiniLM, arXiv 2002.10957).

        The squared difference of two such maps is nearly nothing: each share is one over the cells or so.
        """
        distances = []
        for place, maps in zip(self.places, batch.layers[self.layers :], strict=True):
            wanted = pooled_attention(maps.float(), self.shares)
            ours = heard.maps[place].float().clamp_min(1e-9).log()
            distances.append(functional.kl_div(ours, wanted, reduction="sum") / math.prod(wanted.shape[:2]))
        return torch.stack(distances).mean()


def of_taught(heard: Heard, batch: Batch) -> tuple[Heard, Batch, float]:
    """What the student makes of the clips that the teacher has heard, these clips, and their share of the batch.

    Of a synthetic clip only the label counts. In a batch of such clips alone one of them stands in, at a share of 0.
    """
    if batch.taught is None:
        return heard, batch, 1.0
    rows = torch.nonzero(batch.taught).squeeze(1)
    share, rows = len(rows) / len(batch.taught), rows if len(rows) else rows.new_zeros(1)
    assert heard.logits is not None
    ours = Heard(heard.values[rows], heard.logits[rows], [x[rows] for x in heard.tokens], [x[rows] for x in heard.maps])
    theirs = (batch.features[rows], batch.target[rows], batch.teacher[rows], [layer[rows] for layer in batch.layers])
    return ours, Batch(*theirs), share
