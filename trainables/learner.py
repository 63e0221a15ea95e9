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
    from trainables.criterion import Losses
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
        self.dealer = Dealer(np.full(data.count, np.nan, np.float32))

    @property
    def judged(self) -> nn.Module:
        """The network that validation judges and the run leaves: the average where there is one."""
        return self.network if self.average is None else self.average.module

    def epoch(self, epoch: int, epochs: int) -> dict[str, float]:
        """Train for one epoch; its figures by name. Raises `NotANumberError` when a loss is not finite."""
        torch.manual_seed(self.draws_of(epoch))
        self.network.train()
        lesson = Lesson(self, epoch, epochs)
        for step in range(len(lesson)):
            self._step(lesson, step)
        return lesson.figures()

    def draws_of(self, epoch: int) -> int:
        """Where the random numbers of an epoch begin."""
        return self.seed * 1_000_003 + epoch

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

    def batches(self, epoch: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Rows of each step, and the view in which each of them is heard."""
        rows = self.dealer.epoch_rows(self.data, self.candidate.data_mix, self.seed, epoch)
        draw = np.random.default_rng([self.seed, 3, epoch])
        share = self.candidate.augmentation.view_share if self.data.views else 0.0
        heard = draw.random(len(rows)) < share
        views = np.where(heard, draw.integers(1, len(self.data.views) + 1, len(rows)) if share else 0, 0)
        # Equal shares rather than a short last batch: batch normalisation fails on one clip and is noisy on a few.
        steps = max(1, math.ceil(len(rows) / self.candidate.schedule.batch))
        return list(zip(np.array_split(rows, steps), np.array_split(views, steps), strict=True))

    def batch(self, rows: NDArray[np.int64], views: NDArray[np.int64]) -> Batch:
        """The clips of a step, masked by random numbers of torch's own generator."""
        real = rows < self.data.clips
        batch = self._real(rows[real], views[real])
        if not real.all():
            batch = self._joined(batch, rows, real)
        layers = [layer.to(self.device) for layer in batch.layers]
        features = self._masked(batch.features.to(self.device))
        taught = None if batch.taught is None else batch.taught.to(self.device)
        return Batch(features, batch.target.to(self.device), batch.teacher.to(self.device), layers, taught)

    def _joined(self, batch: Batch, rows: NDArray[np.int64], real: NDArray[np.bool_]) -> Batch:
        """A batch of real clips with the synthetic ones at their places, and zeros where the teacher would speak."""
        made, taught = self.data.synthetic, torch.from_numpy(real)
        assert made is not None
        rows = rows[~real] - self.data.clips

        def placed(tensor: Tensor) -> Tensor:
            whole = tensor.new_zeros((len(taught), *tensor.shape[1:]))
            whole[taught] = tensor
            return whole

        features, target, teacher, *layers = (placed(x) for x in (*batch[:3], *batch.layers))
        features[~taught] = torch.from_numpy(made.features[rows]).unsqueeze(1)
        target[~taught] = torch.from_numpy(made.target[rows])
        return Batch(features, target, teacher, layers, taught)

    def _real(self, rows: NDArray[np.int64], views: NDArray[np.int64]) -> Batch:
        every = self.data.all_views
        features, teacher = (_gathered([getattr(view, name) for view in every], rows, views) for name in _PER_VIEW)
        layers = [
            _gathered([view.teacher_layers[place] for view in every], rows, views)
            for place in range(len(self.data.teacher_layers) if self.criterion.hears_layers else 0)
        ]
        return Batch(features.unsqueeze(1), torch.from_numpy(self.data.target[rows]), teacher, layers)

    def _masked(self, features: Tensor) -> Tensor:
        share = self.candidate.augmentation.mask_share
        for axis in (2, 3) * MASKS if share else ():
            # Features lie about 0: what is blanked is neither loud nor silent.
            features = mask_along_axis_iid(features, round(share * features.shape[axis]), 0.0, axis)
        return features

    def _step(self, lesson: Lesson, step: int) -> None:
        self.set_rate(lesson.rates[step])
        batch = self.batch(*lesson.batches[step])
        with precision(self.device):
            losses = self.criterion(self.network, batch)
        self.optimizer.zero_grad()
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_CLIP)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        lesson.learnt(step, losses)

    def set_rate(self, rate: float) -> None:
        """Take the next step at this learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate


@final
class Lesson:
    """One epoch of a learner: rows and views of its `batches`, the learning `rates` of its steps, and their losses."""

    def __init__(self, learner: Learner, epoch: int, epochs: int) -> None:
        """Deals the learner the epoch's clips."""
        self._learner, self.epoch = learner, epoch
        self.batches = learner.batches(epoch)
        schedule, steps = learner.candidate.schedule, len(self.batches)
        self.rates = [learning_rate(schedule, (epoch + step / steps) / epochs) for step in range(steps)]
        self._sums: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return len(self.batches)

    def learnt(self, step: int, losses: Losses) -> None:
        """Take the losses of a step."""
        for name, value in {"loss": losses.total, **losses.parts}.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach()
        mix = self._learner.candidate.data_mix
        if mix is not None and mix.hard_negatives:
            self._learner.dealer.hardness[self.batches[step][0]] = losses.each.detach().float().cpu().numpy()

    def figures(self) -> dict[str, float]:
        """The epoch's figures by name. Raises `NotANumberError` when a loss is not finite."""
        means = {name: float(total) / len(self) for name, total in self._sums.items()}
        if not math.isfinite(means["loss"]):
            peak_lr = self._learner.candidate.schedule.peak_lr
            raise NotANumberError(f"loss: {means['loss']} in epoch {self.epoch} at peak_lr={peak_lr:g}; lower it")
        hard = max(means[HARD_LOSS], 1e-12)
        soft = [name for name in means if name not in ("loss", HARD_LOSS)]
        ratios = {f"{name.removesuffix('_loss')}_to_hard": means[name] / hard for name in soft}
        return {"epoch": self.epoch, "lr": self.rates[-1], **means, **ratios}


def precision(device: torch.device) -> torch.autocast:
    """In what a step computes: bfloat16 where it pays on a GPU, float32 on a CPU."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


_PER_VIEW = ("features", "teacher")


def _gathered(arrays: list[NDArray[Any]], rows: NDArray[np.int64], views: NDArray[np.int64]) -> Tensor:
    """Each row out of the array of its view."""
    if not views.any():
        return torch.from_numpy(np.ascontiguousarray(arrays[0][rows]))
    found = np.empty((len(rows), *arrays[0].shape[1:]), arrays[0].dtype)
    for view in np.unique(views):
        found[views == view] = arrays[view][rows[views == view]]
    return torch.from_numpy(found)


def share_of_new(decay: float, steps: int) -> float:
    """How far an average of `steps` steps moves towards the next one; it begins with the first.

    First steps count for more than `decay` would let them: a short run would never leave its first weights.
    """
    return 1 - min(decay, (1 + steps) / (10 + steps)) if steps else 1.0


def _average(network: nn.Module, decay: float) -> AveragedModel:
    def towards(averaged: Tensors, current: Tensors, steps: Tensor | int) -> None:
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, share_of_new(decay, int(steps)))
        else:
            torch._foreach_copy_(averaged, current)

    return AveragedModel(network, multi_avg_fn=towards, use_buffers=True)
