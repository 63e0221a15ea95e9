"""Losses against the formulas written out, and against torch's own autograd."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from spaces.candidate import Distillation, HardLabel
from trainables.losses import distillation_loss, hard_losses, merged_logits, soft_target_divergence

logits = st.lists(st.floats(-8, 8), min_size=3, max_size=3)


def by_hand(student: list[float], teacher: list[float], temperature: float) -> float:
    def softmax(values: list[float]) -> list[float]:
        powers = [math.exp(value / temperature) for value in values]
        return [power / sum(powers) for power in powers]

    return temperature**2 * sum(t * math.log(t / s) for s, t in zip(softmax(student), softmax(teacher), strict=True))


@given(logits, logits, st.floats(1, 8))
def test_divergence_is_hintons_formula(student: list[float], teacher: list[float], temperature: float) -> None:
    found = soft_target_divergence(torch.tensor([student]), torch.tensor([teacher]), temperature)
    assert float(found) == pytest.approx(by_hand(student, teacher, temperature), rel=1e-3, abs=1e-4)


def test_divergence_is_the_mean_over_the_batch() -> None:
    student, teacher = torch.randn(6, 2), torch.randn(6, 2)
    one_by_one = [float(soft_target_divergence(student[i : i + 1], teacher[i : i + 1], 3.0)) for i in range(6)]
    assert float(soft_target_divergence(student, teacher, 3.0)) == pytest.approx(sum(one_by_one) / 6, rel=1e-5)


def test_alpha_weighs_the_hard_label() -> None:
    student, teacher, target = torch.randn(8, 2), torch.randn(8, 2), torch.randint(0, 2, (8,))
    hard, soft = functional.cross_entropy(student, target), soft_target_divergence(student, teacher, 2.0)
    assert distillation_loss(student, teacher, target, Distillation(2.0, 1.0)).total == hard
    assert distillation_loss(student, teacher, target, Distillation(2.0, 0.0)).total == soft
    mixed = distillation_loss(student, teacher, target, Distillation(2.0, 0.3))
    assert float(mixed.total) == pytest.approx(0.3 * float(hard) + 0.7 * float(soft), rel=1e-5)


def test_temperature_changes_the_gradient() -> None:
    teacher, gradients = torch.tensor([[4.0, -1.0, 0.5]]), []
    for temperature in (1.0, 4.0):
        student = torch.tensor([[0.2, 0.1, -0.4]], requires_grad=True)
        soft_target_divergence(student, teacher, temperature).backward()
        assert student.grad is not None
        gradients.append(functional.normalize(student.grad))
    assert not torch.allclose(gradients[0], gradients[1], atol=1e-2)


def test_agreement_costs_nothing() -> None:
    same = torch.randn(4, 2)
    assert float(soft_target_divergence(same, same, 5.0)) == pytest.approx(0.0, abs=1e-5)


@given(st.lists(st.floats(-8, 8), min_size=5, max_size=5))
def test_merged_classes_have_the_sum_of_their_probabilities(values: list[float]) -> None:
    fine = torch.tensor([values]).softmax(dim=1)[0]
    merged = merged_logits(torch.tensor([values]), torch.tensor([0, 1, 0, 1, 0])).softmax(dim=1)[0]
    assert float(merged[1]) == pytest.approx(float(fine[1] + fine[3]), abs=1e-5)


def test_hard_labels_are_of_merged_classes() -> None:
    student, teacher, target = torch.randn(8, 5), torch.randn(8, 5), torch.randint(0, 2, (8,))
    found = distillation_loss(student, teacher, target, Distillation(2.0, 0.5), torch.tensor([0, 1, 0, 1, 0]))
    fine = student.softmax(dim=1)
    cry = fine[:, 1] + fine[:, 3]
    expected = -torch.where(target == 1, cry, 1 - cry).log().mean()
    assert float(found.hard) == pytest.approx(float(expected), rel=1e-4)
    assert found.soft == soft_target_divergence(student, teacher, 2.0)


def test_without_options_the_hard_loss_is_cross_entropy() -> None:
    logits, target = torch.randn(16, 3), torch.randint(0, 3, (16,))
    expected = functional.cross_entropy(logits, target, reduction="none")
    assert torch.equal(hard_losses(logits, target, HardLabel()), expected)


def test_label_smoothing_mixes_in_all_classes() -> None:
    logits, target = torch.randn(16, 3), torch.randint(0, 3, (16,))
    log_shares = logits.log_softmax(dim=1)
    own = log_shares[torch.arange(16), target]
    expected = -(0.9 * own + 0.1 * log_shares.mean(dim=1))
    assert torch.allclose(hard_losses(logits, target, HardLabel(label_smoothing=0.1)), expected, atol=1e-6)


@given(st.floats(-6, 6), st.sampled_from((0, 1)), st.floats(0.5, 5), st.floats(0.1, 0.9))
def test_focal_loss_is_the_papers_times_two(margin: float, label: int, gamma: float, alpha: float) -> None:
    found = hard_losses(torch.tensor([[0.0, margin]]), torch.tensor([label]), HardLabel(0.0, gamma, alpha))
    positive = 1 / (1 + math.exp(-margin))
    certainty, weight = (positive, alpha) if label else (1 - positive, 1 - alpha)
    assert float(found) == pytest.approx(
        -2 * weight * (1 - certainty) ** gamma * math.log(certainty), rel=1e-3, abs=1e-6
    )
