"""What a network's outputs for a batch are held against."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor, nn

from trainables.alignment import Alignment
from trainables.losses import distillation_loss

if TYPE_CHECKING:
    from spaces.candidate import Candidate
    from trainables.training_set import TrainingSet

HARD_LOSS = "hard_loss"


class Batch(NamedTuple):
    """Clips of one step, on the device: features [batch, 1, frames, mels] and what belongs to each.

    `layers` are states [batch, steps, width] of the teacher's layers, where the criterion hears them. `taught` [batch]
    is false for synthetic clips, of which no teacher has said anything: what stands there for it is 0 and must not be
    learnt. None where there are none.
    """

    features: Tensor
    target: Tensor
    teacher: Tensor
    layers: list[Tensor]
    taught: Tensor | None = None


class Losses(NamedTuple):
    """What a step descends and what it logs.

    `total` and `parts` are scalars, the parts before weighting and by the names under which they are logged,
    `HARD_LOSS` among them; `each` is the hard loss of every clip [batch].
    """

    total: Tensor
    parts: Mapping[str, Tensor]
    each: Tensor


class Criterion(nn.Module, ABC):
    """Losses of a network on a batch. Weights of its own, such as projectors, are trained with it and then dropped."""

    hears_layers = False

    def forward(self, network: nn.Module, batch: Batch) -> Losses:
        """Run the network on the batch and hold what it says, and does on the way, against labels and teacher."""
        return self.losses(self.listen(network, batch.features), batch)

    def listen(self, network: nn.Module, features: Tensor) -> Any:
        """What the network says of features, and does on the way: tensors, clips first, in tuples, lists or dicts.

        Of networks of one architecture it differs in nothing but what is left out: one that hears layers hears all
        that the others hear.
        """
        return network(features)

    @abstractmethod
    def losses(self, heard: Any, batch: Batch) -> Losses:
        """Hold what was heard of the batch's features against the rest of it."""


# From the network, the training set, the candidate and the seed.
MakesCriterion = Callable[["nn.Module", "TrainingSet", "Candidate", int], Criterion]


@final
class Classification(Criterion):
    """Hard labels and softened logits, and the student's maps against the teacher's layers where the candidate asks."""

    def __init__(self, network: nn.Module, data: TrainingSet, candidate: Candidate, seed: int) -> None:
        """A `ValueError` where the candidate is aligned and the teacher shows no layers."""
        super().__init__()
        assert data.synthetic is None, "no recipe of classes has synthetic clips"
        self.candidate = candidate
        classes = None if data.class_of_output is None else torch.from_numpy(data.class_of_output)
        self.register_buffer("class_of_output", classes, persistent=False)
        self.hears_layers = bool(candidate.distillation.alignment_weight)
        self.alignment = _alignment(network, data, seed) if self.hears_layers else None

    def listen(self, network: nn.Module, features: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Outputs, and the maps at the taps of the alignment."""
        return (network(features), []) if self.alignment is None else self.alignment.listen(network, features)

    def losses(self, heard: tuple[Tensor, list[Tensor]], batch: Batch) -> Losses:
        """alpha * CE + (1 - alpha) * T^2 * KL + alignment_weight * alignment."""
        distillation, (outputs, maps) = self.candidate.distillation, heard
        classes: Tensor | None = self.class_of_output  # type: ignore[assignment]
        hard_label = self.candidate.hard_label
        loss = distillation_loss(outputs.float(), batch.teacher, batch.target, distillation, classes, hard_label)
        total, parts = loss.total, {HARD_LOSS: loss.hard, "soft_loss": loss.soft}
        if self.alignment is not None:
            parts["alignment_loss"] = self.alignment(maps, batch.layers)
            total = total + distillation.alignment_weight * parts["alignment_loss"]
        return Losses(total, parts, loss.each)


def _alignment(network: nn.Module, data: TrainingSet, seed: int) -> Alignment:
    if not data.teacher_layers:
        raise ValueError("alignment_weight: the teacher gives no layers to align with; use 0")
    device = next(network.parameters()).device
    example = torch.from_numpy(np.array(data.features[:2])).unsqueeze(1).to(device)
    widths = [layer.shape[2] for layer in data.teacher_layers]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Alignment(network, example, widths)
