"""MobileViT-style students: the published count, parts against torch's own, INT8 on the host and in TFLM."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from export.operators import read_model
from export.tflite import Int8Model, float_tflite, int8_tflite
from export.verdict import refusals
from spaces.candidate import Scalar, Student
from spaces.front_end import FrontEnd
from tests.export.tflm_codes import micro_codes
from trainables.students import build_student
from trainables.students.mobile_vit import PUBLISHED, Attention, MobileViT, TokenLinear, TokenNorm
from trainables.value_losses import bin_centres

SMALL: Mapping[str, Scalar] = {
    "dim": 16,
    "depth": 2,
    "heads": 2,
    "mlp_ratio": 2,
    "patch_frames": 8,
    "patch_mels": 8,
    "stem": 8,
    "activation": "relu",
    "pool": "mean",
    "affine": False,
    "bins": 11,
}
PARTS = ("weight", "bias")
FRONT_END = FrontEnd(clip_seconds=0.5, hop_samples=320, mels=16)


def built(**changes: Scalar) -> MobileViT:
    torch.manual_seed(0)
    network = build_student(Student("mobile_vit", {**SMALL, **changes}), FRONT_END, 2).eval()
    assert isinstance(network, MobileViT)
    return network


def spread(network: MobileViT) -> MobileViT:
    """With weights as training leaves them: values that differ from clip to clip."""
    with torch.no_grad():
        for weight in network.head.logits.parameters():
            weight.mul_(8)
    return network


def test_the_published_net_has_its_parameters() -> None:
    front_end = FrontEnd(clip_seconds=0.015 + 2.24, mels=224)
    published = build_student(Student("mobile_vit", PUBLISHED), front_end, 2)
    assert isinstance(published, MobileViT)
    assert front_end.frames == 224
    assert published.grid == (14, 14)
    assert sum(weight.numel() for weight in published.parameters()) == 11_987_144


@given(tokens=st.integers(1, 9), dim=st.integers(2, 24), scale=st.floats(0.1, 30))
@settings(max_examples=20, deadline=None)
def test_normalisation_is_torchs(tokens: int, dim: int, scale: float) -> None:
    values = scale * torch.randn(2, tokens, dim)
    expected = torch.nn.functional.layer_norm(values, (dim,), eps=1e-6)
    torch.testing.assert_close(TokenNorm(dim, affine=True)(values), expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(TokenNorm(dim, affine=False)(values), expected, rtol=1e-3, atol=1e-4)


def test_attention_is_torchs() -> None:
    ours = Attention(12, 3).eval()
    theirs = torch.nn.MultiheadAttention(12, 3, batch_first=True).eval()
    weights, biases = ([part.state_dict()[name] for part in (ours.query, ours.key, ours.value)] for name in PARTS)
    with torch.no_grad():
        # Ours leaves the division by the root of a head's width to the weights.
        theirs.in_proj_weight.copy_(torch.cat([2 * weights[0], *weights[1:]])[..., 0, 0])
        theirs.in_proj_bias.copy_(torch.cat([2 * biases[0], *biases[1:]]))
        theirs.out_proj.weight.copy_(ours.out.weight[..., 0, 0])
        theirs.out_proj.bias.copy_(ours.out.state_dict()["bias"])
    tokens = torch.randn(2, 7, 12)
    found, maps = ours(tokens)
    expected, expected_maps = theirs(tokens, tokens, tokens, average_attn_weights=False)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(maps, expected_maps)


def test_a_token_linear_is_a_linear_layer() -> None:
    layer, tokens = TokenLinear(5, 3), torch.randn(2, 7, 5)
    torch.testing.assert_close(layer(tokens), torch.nn.functional.linear(tokens, layer.weight[..., 0, 0], layer.bias))


@pytest.mark.parametrize("pool", ["mean", "class_token"])
def test_values_are_means_of_what_the_logits_say(pool: str) -> None:
    network = built(pool=pool)
    heard = network.heard(torch.randn(3, 1, FRONT_END.frames, FRONT_END.mels))
    assert heard.logits is not None
    torch.testing.assert_close(heard.values, torch.softmax(heard.logits, -1) @ bin_centres())
    assert [tokens.shape for tokens in heard.tokens] == [(3, 6, 16)] * 2
    assert [maps.shape for maps in heard.maps] == [(3, 6, 6)] * 2
    torch.testing.assert_close(heard.maps[0].sum(-1), torch.ones(3, 6))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "heads=3 must divide dim=16"),
        ({"activation": "gelu"}, "activation: 'gelu' is unknown; there are relu, hard_swish"),
        ({"pool": "max"}, "pool: 'max' is unknown; there are mean, class_token"),
        ({"patch_frames": 64}, "patch_frames=64, patch_mels=8: a clip has 24 frames of 16 values, which hold no patch"),
    ],
)
def test_arguments_that_do_not_go_together_are_named(changes: dict[str, Scalar], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        built(**changes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{}, {"pool": "class_token", "activation": "hard_swish", "affine": True, "depth": 1}]
)
def test_int8_is_near_float_and_the_same_in_tflm(changes: dict[str, Scalar]) -> None:
    network = spread(built(**changes))
    rng, shape = np.random.default_rng(0), (FRONT_END.frames, FRONT_END.mels)
    loud = rng.uniform(0.3, 2, (24, 1, 1))
    clips: NDArray[np.float32] = np.asarray(loud * rng.standard_normal((24, *shape)), np.float32)
    model = int8_tflite(
        float_tflite(network, (1, FRONT_END.frames, FRONT_END.mels)), clips.astype(np.float32)[..., None]
    )
    assert not refusals(read_model(model))
    assert not {"MEAN", "DIV"} & {operator.kind for operator in read_model(model).main.operators}
    ours = Int8Model(model)
    with torch.no_grad():
        expected = network(torch.from_numpy(clips)[:, None]).numpy()
    assert np.abs(ours.outputs(clips) - expected).mean() < 0.05 * np.ptp(expected)
    codes = ours.quantized(clips[:8])
    # Of 256: softmax rounds otherwise in TFLM, and what it leaves passes two blocks.
    assert np.abs(micro_codes(model, codes) - ours.codes(clips[:8])).max() <= 4
