"""Losses: pure functions of student output, teacher output and target."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from spaces.candidate import HardLabel

if TYPE_CHECKING:
    from spaces.candidate import Distillation


class DistillationLoss(NamedTuple):
    """The terms before weighting and their weighted sum, scalars, and `each`, the hard loss of every clip [batch]."""

    total: Tensor
    hard: Tensor
    soft: Tensor
    each: Tensor


def soft_target_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 * KL(teacher || student) of the softened classes, mean over the batch (Hinton et al., arXiv 1503.02531).

    Both are logits [batch, classes]; T^2 keeps the gradient's size where the temperature only flattens the targets.
    """
    log_student = functional.log_softmax(student / temperature, dim=1)
    log_teacher = functional.log_softmax(teacher / temperature, dim=1)
    return temperature**2 * functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)


def merged_logits(logits: Tensor, class_of_output: Tensor) -> Tensor:
    """Logits [batch, classes] whose softmax sums that of `logits` [batch, outputs] over the outputs of each class.

    `class_of_output` is int64 [outputs]; every class from 0 to the highest has an output.
    """
    groups = [logits[:, class_of_output == number] for number in range(int(class_of_output.max()) + 1)]
    return torch.stack([group.logsumexp(dim=1) for group in groups], dim=1)


def hard_losses(logits: Tensor, target: Tensor, hard_label: HardLabel) -> Tensor:
    """Loss [batch] of each clip's label; logits [batch, classes], `target` int64 [batch], class 0 being the negatives.

    Focal weights are twice those of the paper, so that `focal_gamma=0, focal_alpha=0.5` is plain cross-entropy.
    """
    losses = functional.cross_entropy(logits, target, reduction="none", label_smoothing=hard_label.label_smoothing)
    if hard_label.focal_gamma:
        certainty = functional.log_softmax(logits, dim=1).gather(1, target[:, None]).squeeze(1).exp()
        losses = losses * (1 - certainty) ** hard_label.focal_gamma
    if hard_label.focal_alpha != 0.5:
        losses = losses * torch.where(target > 0, 2 * hard_label.focal_alpha, 2 * (1 - hard_label.focal_alpha))
    return losses


def distillation_loss(
    student: Tensor,
    teacher: Tensor,
    target: Tensor,
    distillation: Distillation,
    class_of_output: Tensor | None = None,
    hard_label: HardLabel | None = None,
) -> DistillationLoss:
    """alpha * CE + (1 - alpha) * T^2 * KL; logits [batch, outputs], `target` int64 [batch].

    Where outputs are finer than the labels, CE is of the merged classes. `hard_label` may stand in for plain CE.
    """
    decided = student if class_of_output is None else merged_logits(student, class_of_output)
    each = hard_losses(decided, target, hard_label or HardLabel())
    hard, soft = each.mean(), soft_target_divergence(student, teacher, distillation.temperature)
    return DistillationLoss(distillation.alpha * hard + (1 - distillation.alpha) * soft, hard, soft, each)
