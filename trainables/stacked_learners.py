"""Learners of one architecture whose weights, optimizers and averages lie side by side for some steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor

from trainables.learner import GRADIENT_CLIP, precision, share_of_new
from trainables.side_by_side import heard_by_all

if TYPE_CHECKING:
    from trainables.criterion import Batch, Losses
    from trainables.draws import Draws
    from trainables.learner import Learner

MOMENTS = ("exp_avg", "exp_avg_sq")


@final
class StackedLearners:
    """Takes over what learners have come to, takes steps for all at once, and gives back what they have come to.

    All of one member is one row of each matrix, so that an optimizer's step is a dozen operators however many members
    and layers there are. A member's numbers never meet another's: one that diverges, diverges alone.
    """

    def __init__(self, learners: Sequence[Learner]) -> None:
        self._learners = learners
        networks = [learner.network for learner in learners]
        self._shapes = {name: weight.shape for name, weight in networks[0].named_parameters()}
        self._weights = _rows(network.parameters() for network in networks).requires_grad_()
        self._buffers = {
            name: torch.stack([dict(network.named_buffers())[name] for network in networks])
            for name, _ in networks[0].named_buffers()
        }
        self._moments = [_rows(_moments(learner, name) for learner in learners) for name in MOMENTS]
        self._steps = _exact([_steps(learner) for learner in learners])
        self._averaged = [int(learner.average.n_averaged) if learner.average else 0 for learner in learners]
        self._average = self._everything()
        for row, learner in zip(self._average, learners, strict=True):
            if learner.average is not None:
                row.copy_(_row(_averaged(learner)))

    def step(self, batches: Sequence[Batch], rates: Sequence[float], draws: Sequence[Draws]) -> list[Losses]:
        """One step of each learner on its own batch at its own learning rate."""
        learners = self._learners
        # One that hears layers hears all that the others do.
        ears = max((learner.criterion for learner in learners), key=lambda criterion: criterion.hears_layers)
        weights, features = self._named_weights() | self._buffers, [batch.features for batch in batches]
        with precision(learners[0].device):
            heard = heard_by_all(learners[0].network, ears.listen, weights, features, draws)
            members = zip(learners, heard, batches, strict=True)
            losses = [learner.criterion.losses(own, batch) for learner, own, batch in members]
        for learner, rate in zip(learners, rates, strict=True):
            learner.set_rate(rate)
            learner.optimizer.zero_grad()
        self._weights.grad = None
        torch.stack([loss.total for loss in losses]).sum().backward()
        self._descend(rates)
        self._follow()
        return losses

    @torch.no_grad()
    def give_back(self) -> None:
        """Leave every learner where the steps have led it."""
        names = list(self._buffers)
        for number, learner in enumerate(self._learners):
            _put(self._weights[number], learner.network.parameters())
            buffers = dict(learner.network.named_buffers())
            for name in names:
                buffers[name].copy_(self._buffers[name][number])
            for weight in learner.network.parameters():
                state = learner.optimizer.state[weight]
                state["step"] = torch.tensor(float(self._steps[number]), device=weight.device)
                state |= {name: torch.empty_like(weight) for name in MOMENTS}
            for name, rows in zip(MOMENTS, self._moments, strict=True):
                _put(rows[number], _moments(learner, name))
            if learner.average is not None:
                self._give_back_average(number, learner)

    def _give_back_average(self, number: int, learner: Learner) -> None:
        assert learner.average is not None
        _put(self._average[number], _averaged(learner))
        counters = dict(learner.average.module.named_buffers())
        for name, stacked in self._buffers.items():
            if not stacked.is_floating_point():
                counters[name].copy_(stacked[number])
        learner.average.n_averaged.fill_(self._averaged[number])

    def _named_weights(self) -> dict[str, Tensor]:
        parts = self._weights.split([shape.numel() for shape in self._shapes.values()], dim=1)
        return {name: part.reshape(-1, *shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}

    @torch.no_grad()
    def _descend(self, rates: Sequence[float]) -> None:
        """The same as `clip_grad_norm_` and AdamW (Loshchilov and Hutter, arXiv 1711.05101), row by row.

        Weights of the criteria, which nothing clips and few have, are left to their own optimizers.
        """
        gradient = self._weights.grad
        assert gradient is not None
        norms = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        gradient = gradient * (GRADIENT_CLIP / (norms + 1e-6)).clamp(max=1)
        settings = self._learners[0].optimizer.defaults
        (first, second), (beta, beta_of_squares) = self._moments, settings["betas"]
        self._steps += 1
        rate, decay = _exact(rates), _exact([learner.candidate.schedule.weight_decay for learner in self._learners])
        first.lerp_(gradient, 1 - beta)
        second.mul_(beta_of_squares).addcmul_(gradient, gradient, value=1 - beta_of_squares)
        spread = second.sqrt() / self._column((1 - beta_of_squares**self._steps).sqrt()) + settings["eps"]
        self._weights.mul_(self._column(1 - rate * decay))
        self._weights.sub_(first / spread * self._column(rate / (1 - beta**self._steps)))
        for learner in self._learners:
            if any(weight.grad is not None for weight in learner.criterion.parameters()):
                learner.optimizer.step()

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the averages of those that have one; the rows of the others follow and mean nothing."""
        decays = [learner.candidate.schedule.ema_decay for learner in self._learners]
        if any(decays):
            shares = [share_of_new(decay, steps) for decay, steps in zip(decays, self._averaged, strict=True)]
            self._average.lerp_(self._everything(), self._column(_exact(shares)))
        self._averaged = [steps + 1 for steps in self._averaged]

    @torch.no_grad()
    def _everything(self) -> Tensor:
        """Weights and running statistics, as the average has them [members, numbers]."""
        statistics = [stacked.flatten(1) for stacked in self._buffers.values() if stacked.is_floating_point()]
        return torch.cat([self._weights, *statistics], dim=1)

    def _column(self, values: Tensor) -> Tensor:
        return values.to(self._weights)[:, None]


def _exact(numbers: Sequence[float]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def _rows(members: Iterator[Iterator[Tensor]]) -> Tensor:
    return torch.stack([_row(tensors) for tensors in members])


def _row(tensors: Iterator[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def _put(row: Tensor, tensors: Iterator[Tensor]) -> None:
    """The reverse of `_row`."""
    at = 0
    for tensor in tensors:
        tensor.copy_(row[at : at + tensor.numel()].view(tensor.shape))
        at += tensor.numel()


def _averaged(learner: Learner) -> Iterator[Tensor]:
    assert learner.average is not None
    average = learner.average.module
    yield from average.parameters()
    yield from (buffer for buffer in average.buffers() if buffer.is_floating_point())


def _moments(learner: Learner, name: str) -> Iterator[Tensor]:
    """As the optimizer has them; zeros before its first step."""
    for weight in learner.network.parameters():
        yield learner.optimizer.state[weight].get(name, torch.zeros_like(weight))


def _steps(learner: Learner) -> int:
    weight = next(learner.network.parameters())
    return int(learner.optimizer.state[weight].get("step", 0))
