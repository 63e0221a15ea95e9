"""A student in training, with everything that one epoch leaves to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torchaudio.functional import mask_along_axis_iid

from trainables.alignment import Alignment
from trainables.losses import distillation_loss
from trainables.schedules import learning_rate
from trainables.training_set import Dealer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.candidate import Candidate
    from trainables.training_set import TrainingSet

Tensors = tuple[Tensor, ...] | list[Tensor]

GRADIENT_CLIP = 1.0
MASKS = 2


class NotANumberError(ValueError):
    """The loss stopped being a number: this trial ends, no other."""


class Batch(NamedTuple):
    """Clips of one step, on the device: features [batch, 1, frames, mels] and what belongs to each."""

    features: Tensor
    target: Tensor
    teacher: Tensor
    layers: list[Tensor]


@final
class Learner:
    """The network that is trained, in place, and beside it its optimizer, average, projectors and dealer of clips."""

    def __init__(self, network: nn.Module, data: TrainingSet, candidate: Candidate, seed: int) -> None:
        self.network, self.data, self.candidate, self.seed = network, data, candidate, seed
        self.device = next(network.parameters()).device
        schedule = candidate.schedule
        self.average = _average(network, schedule.ema_decay) if schedule.ema_decay else None
        self.alignment = self._alignment() if candidate.distillation.alignment_weight else None
        weights = [*network.parameters(), *(self.alignment.parameters() if self.alignment else ())]
        self.optimizer = torch.optim.AdamW(weights, lr=schedule.peak_lr, weight_decay=schedule.weight_decay, fused=True)
        self.dealer = Dealer(np.full(len(data.target), np.nan, np.float32))
        self._classes = None if data.class_of_output is None else torch.from_numpy(data.class_of_output).to(self.device)

    @property
    def judged(self) -> nn.Module:
        """The network that validation judges and the run leaves: the average where there is one."""
        return self.network if self.average is None else self.average.module

    def epoch(self, epoch: int, epochs: int) -> dict[str, float]:
        """Train for one epoch; its figures by name. Raises `NotANumberError` when a loss is not finite."""
        torch.manual_seed(self.seed * 1_000_003 + epoch)
        self.network.train()
        batches = self._batches(epoch)
        sums: dict[str, Tensor] = {}
        rate = 0.0
        for step, (rows, views) in enumerate(batches):
            rate = learning_rate(self.candidate.schedule, (epoch + step / len(batches)) / epochs)
            for name, value in self._step(rate, rows, views).items():
                sums[name] = sums.get(name, 0.0) + value
        means = {name: float(total) / len(batches) for name, total in sums.items()}
        if not math.isfinite(means["loss"]):
            raise NotANumberError(
                f"loss: {means['loss']} in epoch {epoch} at peak_lr={self.candidate.schedule.peak_lr:g}; lower it"
            )
        hard = max(means["hard_loss"], 1e-12)
        ratios = {f"{name.removesuffix('_loss')}_to_hard": means[name] / hard for name in means if name in _SOFT}
        return {"epoch": epoch, "lr": rate, **means, **ratios}

    def state(self) -> dict[str, Any]:
        """Everything as plain tensors and numbers, for `load`."""
        parts = {"network": self.network, "average": self.average, "alignment": self.alignment}
        modules = {name: part.state_dict() for name, part in parts.items() if part is not None}
        dealer = {"hardness": torch.from_numpy(self.dealer.hardness), "dealt": self.dealer.dealt}
        return {**modules, "optimizer": self.optimizer.state_dict(), "dealer": dealer}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on where the learner was that gave this `state`."""
        self.network.load_state_dict(state["network"])
        for part, name in ((self.average, "average"), (self.alignment, "alignment")):
            if part is not None:
                part.load_state_dict(state[name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.dealer = Dealer(state["dealer"]["hardness"].cpu().numpy().copy(), state["dealer"]["dealt"])

    def _alignment(self) -> Alignment:
        if not self.data.teacher_layers:
            raise ValueError("alignment_weight: the teacher gives no layers to align with; use 0")
        example = torch.from_numpy(np.array(self.data.features[:2])).unsqueeze(1).to(self.device)
        widths = [layer.shape[2] for layer in self.data.teacher_layers]
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return Alignment(self.network, example, widths).to(self.device)

    def _batches(self, epoch: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Rows of each step, and the view in which each of them is heard."""
        rows = self.dealer.epoch_rows(self.data, self.candidate.data_mix, self.seed, epoch)
        draw = np.random.default_rng([self.seed, 3, epoch])
        share = self.candidate.augmentation.view_share if self.data.views else 0.0
        heard = draw.random(len(rows)) < share
        views = np.where(heard, draw.integers(1, len(self.data.views) + 1, len(rows)) if share else 0, 0)
        # Equal shares rather than a short last batch: batch normalisation fails on one clip and is noisy on a few.
        steps = max(1, math.ceil(len(rows) / self.candidate.schedule.batch))
        return list(zip(np.array_split(rows, steps), np.array_split(views, steps), strict=True))

    def _batch(self, rows: NDArray[np.int64], views: NDArray[np.int64]) -> Batch:
        every = self.data.all_views
        features, teacher = (_gathered([getattr(view, name) for view in every], rows, views) for name in _PER_VIEW)
        layers = [
            _gathered([view.teacher_layers[place] for view in every], rows, views).to(self.device)
            for place in range(len(self.data.teacher_layers) if self.alignment else 0)
        ]
        target = torch.from_numpy(self.data.target[rows]).to(self.device)
        return Batch(self._masked(features.unsqueeze(1).to(self.device)), target, teacher.to(self.device), layers)

    def _masked(self, features: Tensor) -> Tensor:
        share = self.candidate.augmentation.mask_share
        for axis in (2, 3) * MASKS if share else ():
            # Features lie about 0: what is blanked is neither loud nor silent.
            features = mask_along_axis_iid(features, round(share * features.shape[axis]), 0.0, axis)
        return features

    def _step(self, rate: float, rows: NDArray[np.int64], views: NDArray[np.int64]) -> dict[str, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = self._batch(rows, views)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            losses, each = self._losses(batch)
        self.optimizer.zero_grad()
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_CLIP)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        if self.candidate.data_mix is not None and self.candidate.data_mix.hard_negatives:
            self.dealer.hardness[rows] = each.detach().float().cpu().numpy()
        return {name: value.detach() for name, value in losses.items()}

    def _losses(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """The losses by the names under which they are logged, and the hard loss of every clip."""
        distillation, maps = self.candidate.distillation, list[Tensor]()
        if self.alignment is None:
            outputs = self.network(batch.features)
        else:
            outputs, maps = self.alignment.listen(self.network, batch.features)
        loss = distillation_loss(
            outputs.float(), batch.teacher, batch.target, distillation, self._classes, self.candidate.hard_label
        )
        losses = {"loss": loss.total, "hard_loss": loss.hard, "soft_loss": loss.soft}
        if self.alignment is not None:
            losses["alignment_loss"] = self.alignment(maps, batch.layers)
            losses["loss"] = loss.total + distillation.alignment_weight * losses["alignment_loss"]
        return losses, loss.each


_SOFT = ("soft_loss", "alignment_loss")
_PER_VIEW = ("features", "teacher")


def _gathered(arrays: list[NDArray[Any]], rows: NDArray[np.int64], views: NDArray[np.int64]) -> Tensor:
    """Each row out of the array of its view."""
    if not views.any():
        return torch.from_numpy(np.ascontiguousarray(arrays[0][rows]))
    found = np.empty((len(rows), *arrays[0].shape[1:]), arrays[0].dtype)
    for view in np.unique(views):
        found[views == view] = arrays[view][rows[views == view]]
    return torch.from_numpy(found)


def _average(network: nn.Module, decay: float) -> AveragedModel:
    """Its first steps count for more than `decay` would let them: a short run would never leave its first weights."""

    def towards(averaged: Tensors, current: Tensors, steps: Tensor | int) -> None:
        kept = min(decay, (1 + int(steps)) / (10 + int(steps)))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, 1 - kept)
        else:
            torch._foreach_copy_(averaged, current)

    return AveragedModel(network, multi_avg_fn=towards, use_buffers=True)
