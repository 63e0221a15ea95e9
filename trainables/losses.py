"""Losses: pure functions of student output, teacher output and target."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from spaces.candidate import Distillation


class DistillationLoss(NamedTuple):
    """Scalars: the weighted sum that is trained on, and its two terms before weighting."""

    total: Tensor
    hard: Tensor
    soft: Tensor


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


def distillation_loss(
    student: Tensor, teacher: Tensor, target: Tensor, distillation: Distillation, class_of_output: Tensor | None = None
) -> DistillationLoss:
    """alpha * CE + (1 - alpha) * T^2 * KL; logits [batch, outputs], `target` int64 [batch].

    Where outputs are finer than the labels, CE is of the merged classes.
    """
    decided = student if class_of_output is None else merged_logits(student, class_of_output)
    hard = functional.cross_entropy(decided, target)
    soft = soft_target_divergence(student, teacher, distillation.temperature)
    return DistillationLoss(distillation.alpha * hard + (1 - distillation.alpha) * soft, hard, soft)
