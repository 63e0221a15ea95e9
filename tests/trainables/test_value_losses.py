"""Values as distributions over bins: against their definitions, and what a temperature does to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from torch.nn import functional

from spaces.valence_arousal import BINS
from trainables.value_losses import (
    HIGHEST,
    LOWEST,
    SPREAD,
    bin_centres,
    expected_values,
    hard_value_losses,
    label_distribution,
    soft_value_loss,
)


def gradient(loss: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    (found,) = torch.autograd.grad(loss, student)
    return found.flatten()


@given(value=st.floats(-1, 1))
@settings(max_examples=40, deadline=None)
def test_a_label_is_a_gaussian_cut_into_bins(value: float) -> None:
    width = (HIGHEST - LOWEST) / (BINS - 1)
    edges = np.linspace(LOWEST - width / 2, HIGHEST + width / 2, BINS + 1)
    mass = np.diff(norm.cdf(edges, value, SPREAD * width))
    found = label_distribution(torch.tensor([value], dtype=torch.float64))[0].numpy()
    np.testing.assert_allclose(found, mass / mass.sum(), atol=1e-6)
    # So near does the mean of the bins come to the value itself.
    assert abs(found @ bin_centres().double().numpy() - value) < 0.02


def test_saying_just_the_labels_distribution_costs_nothing() -> None:
    values = torch.tensor([[0.3, -0.9], [0.0, 1.0]])
    logits = label_distribution(values).clamp_min(1e-30).log()
    torch.testing.assert_close(hard_value_losses(logits, values), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(expected_values(logits), values, atol=0.02, rtol=0)
    assert (hard_value_losses(logits.flip(0), values) > 0.1).all()


def test_the_soft_loss_is_the_mean_divergence_of_all_values() -> None:
    student, teacher = torch.randn(4, 2, BINS), torch.randn(4, 2, BINS)
    pairs = zip(student.reshape(-1, BINS) / 3, teacher.reshape(-1, BINS) / 3, strict=True)
    each = [
        functional.kl_div(ours.log_softmax(0), theirs.softmax(0), reduction="sum").item() * 9 for ours, theirs in pairs
    ]
    assert soft_value_loss(student, teacher, 3.0).item() == pytest.approx(np.mean(each), rel=1e-5)


def test_a_temperature_turns_the_gradient() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(8, 2, BINS, requires_grad=True), 3 * torch.randn(8, 2, BINS)
    cool, warm = (gradient(soft_value_loss(student, teacher, t), student) for t in (1.0, 4.0))
    assert functional.cosine_similarity(cool, warm, dim=0) < 0.95


def test_of_two_numbers_or_two_gaussians_a_temperature_changes_nothing() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(8, 2, requires_grad=True), torch.randn(8, 2)

    def naive(temperature: float) -> torch.Tensor:
        return functional.mse_loss(student / temperature, teacher / temperature) * temperature**2

    def gaussian(temperature: float) -> torch.Tensor:
        ours, theirs = (torch.distributions.Normal(mean, temperature) for mean in (student, teacher))
        return torch.distributions.kl_divergence(theirs, ours).mean() * temperature**2

    for loss in (naive, gaussian):
        torch.testing.assert_close(gradient(loss(1.0), student), gradient(loss(6.0), student))
