"""A student in training, with everything that one epoch leaves to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torchaudio.functional import mask_along_axis_iid

from trainables.criterion import HARD_LOSS, Batch
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


@final
class Learner:
    """The network that is trained, in place, and beside it its optimizer, average, criterion and dealer of clips."""

    def __init__(self, network: nn.Module, data: TrainingSet, candidate: Candidate, seed: int) -> None:
        self.network, self.data, self.candidate, self.seed = network, data, candidate, seed
        self.device = next(network.parameters()).device
        schedule = candidate.schedule
        self.average = _average(network, schedule.ema_decay) if schedule.ema_decay else None
        self.criterion = data.criterion(network, data, candidate, seed).to(self.device)
        weights = [*network.parameters(), *self.criterion.parameters()]
        self.optimizer = torch.optim.AdamW(weights, lr=schedule.peak_lr, weight_decay=schedule.weight_decay, fused=True)
        self.dealer = Dealer(np.full(len(data.target), np.nan, np.float32))

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
        hard = max(means[HARD_LOSS], 1e-12)
        soft = [name for name in means if name not in ("loss", HARD_LOSS)]
        ratios = {f"{name.removesuffix('_loss')}_to_hard": means[name] / hard for name in soft}
        return {"epoch": epoch, "lr": rate, **means, **ratios}

    def state(self) -> dict[str, Any]:
        """Everything as plain tensors and numbers, for `load`."""
        parts = {"network": self.network, "average": self.average, "criterion": self.criterion}
        modules = {name: part.state_dict() for name, part in parts.items() if part is not None}
        dealer = {"hardness": torch.from_numpy(self.dealer.hardness), "dealt": self.dealer.dealt}
        return {**modules, "optimizer": self.optimizer.state_dict(), "dealer": dealer}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on where the learner was that gave this `state`."""
        self.network.load_state_dict(state["network"])
        self.criterion.load_state_dict(state["criterion"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.dealer = Dealer(state["dealer"]["hardness"].cpu().numpy().copy(), state["dealer"]["dealt"])

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
            for place in range(len(self.data.teacher_layers) if self.criterion.hears_layers else 0)
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
            losses = self.criterion(self.network, batch)
        self.optimizer.zero_grad()
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_CLIP)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        if self.candidate.data_mix is not None and self.candidate.data_mix.hard_negatives:
            self.dealer.hardness[rows] = losses.each.detach().float().cpu().numpy()
        return {name: value.detach() for name, value in {"loss": losses.total, **losses.parts}.items()}


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
