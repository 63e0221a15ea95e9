"""The criterion of values: its parts by hand, none of them zero, projectors that learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from optuna.trial import FixedTrial
from torch.nn import functional

from spaces import valence_arousal
from spaces.candidate import Candidate
from spaces.valence_arousal import BINS
from trainables.criterion import Batch
from trainables.grids import TEACHER_GRID, pooled_attention, shares_of_cells
from trainables.regression import ValueDistillation
from trainables.students import build_student
from trainables.students.mobile_vit import MobileViT
from trainables.training_set import TrainingSet
from trainables.value_losses import hard_value_losses, soft_value_loss

CELLS, WIDTH = TEACHER_GRID[0] * TEACHER_GRID[1], 12
SMALL = {**valence_arousal.PUBLISHED[0], "dim": 48, "depth": 2, "mels": 32, "stem": 8}


def candidate(**changes: float) -> Candidate:
    found = valence_arousal.space(FixedTrial(SMALL))
    return replace(found, distillation=replace(found.distillation, **changes))  # type: ignore[arg-type]


def data_of(found: Candidate, clips: int = 6) -> TrainingSet:
    rng = np.random.default_rng(0)
    maps = rng.random((clips, CELLS, CELLS)) ** 4
    return TrainingSet(
        features=rng.standard_normal((clips, found.front_end.frames, found.front_end.mels)).astype(np.float32),
        target=rng.uniform(-1, 1, (clips, 2)).astype(np.float32),
        teacher=rng.standard_normal((clips, 2, BINS)).astype(np.float32),
        rows=np.arange(clips),
        teacher_layers=(
            rng.standard_normal((clips, CELLS, WIDTH)).astype(np.float16),
            (maps / maps.sum(-1, keepdims=True)).astype(np.float16),
        ),
        criterion=ValueDistillation,
    )


def batch_of(data: TrainingSet) -> Batch:
    layers = [torch.from_numpy(layer) for layer in data.teacher_layers]
    return Batch(
        torch.from_numpy(data.features)[:, None], torch.from_numpy(data.target), torch.from_numpy(data.teacher), layers
    )


def network_of(found: Candidate) -> MobileViT:
    torch.manual_seed(0)
    network = build_student(found.student, found.front_end, 2).eval()
    assert isinstance(network, MobileViT)
    return network


def test_every_part_by_hand_and_their_sum() -> None:
    found = candidate()
    network, data = network_of(found), data_of(found)
    criterion, batch = ValueDistillation(network, data, found, seed=0), batch_of(data)
    losses, heard = criterion(network, batch), network.heard(batch.features)
    assert heard.logits is not None
    shares = shares_of_cells(network.grid, TEACHER_GRID)
    tokens, maps = (layer.float() for layer in batch.layers)
    wanted = functional.layer_norm(shares @ tokens, (WIDTH,))
    looks = pooled_attention(maps, shares)
    expected = {
        "hard_loss": hard_value_losses(heard.logits, batch.target).mean(),
        "soft_loss": soft_value_loss(heard.logits, batch.teacher, 4.0),
        "alignment_loss": (criterion.projectors[0](heard.tokens[-1]) - wanted).square().mean(),
        "attention_loss": (looks * (looks / heard.maps[-1]).log()).sum(-1).mean(),
    }
    assert losses.parts.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(losses.parts[name], value, rtol=1e-4, atol=1e-5)
        assert value > 0.01
    weighed = 0.5 * (0.5 * expected["hard_loss"] + 0.5 * expected["soft_loss"])
    torch.testing.assert_close(
        losses.total, weighed + 0.3 * expected["alignment_loss"] + 0.2 * expected["attention_loss"]
    )
    assert losses.each.shape == (6,)


@pytest.mark.parametrize("name", ["alignment", "attention"])
def test_each_part_alone_teaches_the_student(name: str) -> None:
    found = candidate()
    network, data = network_of(found), data_of(found)
    criterion = ValueDistillation(network, data, found, seed=0)
    criterion(network, batch_of(data)).parts[f"{name}_loss"].backward()
    gradient = network.blocks[0].mlp[0].weight.grad  # type: ignore[index, union-attr]
    assert gradient is not None
    assert gradient.abs().max() > 1e-6
    assert (criterion.projectors[0].weight.grad is not None) == (name == "alignment")


def test_the_temperature_reaches_the_students_gradient() -> None:
    gradients = []
    for temperature in (1.0, 4.0):
        found = candidate(temperature=temperature, alpha=0.0, alignment_weight=0.0, attention_weight=0.0)
        network, data = network_of(found), data_of(found)
        ValueDistillation(network, data, found, seed=0)(network, batch_of(data)).total.backward()
        (weight, *_) = network.head.logits.parameters()
        assert weight.grad is not None
        gradients.append(weight.grad.flatten())
    cool, warm = gradients
    assert functional.cosine_similarity(cool, warm, dim=0) < 0.99


def test_a_part_without_weight_is_not_computed() -> None:
    found = candidate(alignment_weight=0.0, attention_weight=0.0)
    network, data = network_of(found), data_of(found)
    criterion = ValueDistillation(network, replace(data, teacher_layers=()), found, seed=0)
    assert not criterion.hears_layers
    assert criterion(network, batch_of(data)).parts.keys() == {"hard_loss", "soft_loss"}


def test_a_teacher_without_layers_is_named() -> None:
    found = candidate()
    network, data = network_of(found), replace(data_of(found), teacher_layers=())
    with pytest.raises(ValueError, match="alignment_weight, attention_weight: the teacher shows no layers; use 0"):
        ValueDistillation(network, data, found, seed=0)
