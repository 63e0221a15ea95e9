"""What the masks of a network are held against: the clean speech, a teacher's masks, a teacher's maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.criterion import HARD_LOSS, Batch, Criterion, Losses
from trainables.enhancement_losses import gram_distance, spectrum_losses
from trainables.spectra import magnitudes
from trainables.students.cruse import Cruse

if TYPE_CHECKING:
    from spaces.candidate import Candidate, MapChoice
    from trainables.training_set import TrainingSet

SOFT_LOSS = "soft_loss"


@final
class MaskCriterion(Criterion):
    """alpha * spectrum approximation + (1 - alpha) * distance to what the teacher makes of the batch."""

    def __init__(
        self, network: nn.Module, data: TrainingSet, candidate: Candidate, seed: int, teacher: Cruse | None = None
    ) -> None:
        """`teacher` is frozen, and asked for its maps alone: its masks come with the batch.

        A `ValueError` where it shares no layer with the network.
        """
        super().__init__()
        if candidate.masks is None:
            raise ValueError("masks: the candidate says nothing of what its masks learn")
        self.front_end, self.masks, self.alpha = candidate.front_end, candidate.masks, candidate.distillation.alpha
        self.names: list[str] = []
        # In a tuple, so that its weights are none of the criterion's.
        self.teacher = (teacher,)
        if teacher is not None and self.masks.mode in ("one_step", "two_step") and self.alpha < 1:
            self.names = shared_maps(_cruse(network), teacher, self.masks.maps)

    @property
    def hears_layers(self) -> bool:  # type: ignore[override]
        """Whether it hears the network's maps."""
        return bool(self.names)

    def listen(self, network: nn.Module, features: Tensor) -> dict[str, Tensor]:
        """Masks of a batch of log-power spectra, and maps."""
        return _cruse(network).maps(features) if self.names else {"mask": network(features)}

    def losses(self, heard: dict[str, Tensor], batch: Batch) -> Losses:
        """Of a batch whose `teacher` are masks and whose target magnitudes."""
        maps, masks = heard, heard["mask"].float()
        each = spectrum_losses(masks, magnitudes(batch.features[:, 0].float(), self.front_end), batch.target)
        hard, soft = each.mean(), self._soft(maps, masks, batch)
        total = self.alpha * hard + (1 - self.alpha) * soft
        return Losses(total, {HARD_LOSS: hard, SOFT_LOSS: soft}, each)

    def _soft(self, maps: dict[str, Tensor], masks: Tensor, batch: Batch) -> Tensor:
        if self.masks.mode == "output":
            return functional.mse_loss(masks, batch.teacher.float())
        if not self.names:
            return masks.new_zeros(())
        wanted = self._wanted(batch.features)
        distances = [gram_distance(maps[name], wanted[name], self.masks.gram) for name in self.names]
        return torch.stack(distances).mean()

    @torch.no_grad()
    def _wanted(self, features: Tensor) -> dict[str, Tensor]:
        # Run here rather than kept: of the published teacher, a clip of 3 s leaves 7 MB of maps in float16.
        (teacher,) = self.teacher
        assert teacher is not None
        return teacher.to(features.device).maps(features)


def shared_maps(student: Cruse, teacher: Cruse, choice: MapChoice) -> list[str]:
    """Names of the layers whose maps have as many bins in both; `choice` is the first part of their names, or all.

    Where none of the chosen part has, as in a bottleneck behind fewer layers, all others are taken; none at all is a
    `ValueError`.
    """
    ours, theirs = student.bins_of_maps(), teacher.bins_of_maps()
    shared = [name for name, bins in ours.items() if theirs.get(name) == bins]
    if not shared:
        raise ValueError(f"maps: the student has {ours} bins and its teacher {theirs}: none are as many; use another")
    return [name for name in shared if choice == "all" or name.startswith(choice)] or shared


def _cruse(network: nn.Module) -> Cruse:
    assert isinstance(network, Cruse)
    return network
