"""INT8 rounding in floats against torch's own, against the quantizer's scales, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ai_edge_quantizer import qtyping
from ai_edge_quantizer.algorithms.uniform_quantize import uniform_quantize_tensor
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from trainables.fake_quantization import (
    affine,
    folded_bias,
    folded_weight,
    rounded,
    rounded_weight,
)


@given(low=st.floats(-50, 5, width=32), span=st.floats(0, 100, width=32))
def test_scale_and_zero_point_are_the_quantizers(low: float, span: float) -> None:
    bounds = np.float32(low), np.float32(low) + np.float32(span)
    zero_point, scale = uniform_quantize_tensor.tensor_zp_scale_from_min_max(
        *(np.array([bound]) for bound in bounds), 8, False, qtyping.QuantGranularity.TENSORWISE
    )
    ours = affine(torch.tensor(bounds[0]), torch.tensor(bounds[1]))
    assert ours[0].item() == pytest.approx(scale.item(), rel=1e-6)
    assert ours[1].item() == zero_point.item()


def test_rounding_by_hand() -> None:
    # Steps of 1 from -128 + 100 = -28 to 227.
    scale, zero_point = affine(torch.tensor(-28.0), torch.tensor(227.0))
    assert (scale.item(), zero_point.item()) == (1.0, -100)
    values = torch.tensor([-40.0, -28.0, -0.4, 0.0, 0.6, 3.2, 227.0, 300.0])
    assert rounded(values, scale, zero_point).tolist() == [-28, -28, 0, 0, 1, 3, 227, 227]


def test_zero_stays_zero_in_a_range_without_it() -> None:
    scale, zero_point = affine(torch.tensor(3.0), torch.tensor(5.0))
    assert rounded(torch.zeros(1), scale, zero_point).item() == 0
    assert zero_point.item() == -128


def test_gradients_pass_straight_through_inside_the_range() -> None:
    values = torch.tensor([-2.0, -0.3, 0.4, 2.0], requires_grad=True)
    rounded(values, *affine(torch.tensor(-1.0), torch.tensor(1.0))).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("shape", [(5, 3, 3, 3), (4, 7), (6, 1, 5, 1)])
def test_weights_are_rounded_per_output(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    ours = rounded_weight(weight)
    for filters, found in zip(weight, ours, strict=True):
        step = float(filters.abs().max()) / 127
        codes = np.clip(np.round(filters.numpy() / step), -127, 127)
        np.testing.assert_allclose(found.numpy(), codes * step, atol=1e-6)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("groups", [1, 4])
def test_folding_is_that_of_torch(bias: bool, groups: int) -> None:
    torch.manual_seed(0)
    layer, norm = nn.Conv2d(4, 8, 3, groups=groups, bias=bias), nn.BatchNorm2d(8)
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        assert tensor is not None
        nn.init.uniform_(tensor, 0.5, 2.0)
    fused = fuse_conv_bn_eval(layer.eval(), norm.eval())
    gamma, beta, mean, variance = norm.weight, norm.bias, norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    assert fused.bias is not None
    assert torch.allclose(folded_weight(layer.weight, gamma, variance, norm.eps), fused.weight, atol=1e-6)
    assert torch.allclose(folded_bias(layer.bias, gamma, beta, mean, variance, norm.eps), fused.bias, atol=1e-6)
