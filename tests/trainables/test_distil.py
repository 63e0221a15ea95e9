"""The training loop: sampling, learning, resuming, guards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spaces.candidate import Candidate, DataMix, Distillation, Schedule, Student
from spaces.front_end import FrontEnd
from trainables.distil import Progress, history_csv, logits_of, teach
from trainables.learner import NotANumberError
from trainables.training_set import TrainingSet


def training_set(clips: int = 120, positives: int = 24) -> TrainingSet:
    rng = np.random.default_rng(0)
    target = np.zeros(clips, np.int64)
    target[:positives] = 1
    features = rng.normal(size=(clips, 6, 4)).astype(np.float32)
    features[target == 1, :3] += 1.5
    teacher = np.stack([1.0 - 2.0 * target, 2.0 * target - 1.0], axis=1).astype(np.float32)
    return TrainingSet(features, target, teacher, np.arange(clips))


def candidate(peak_lr: float = 1e-2, neg_per_pos: float = 2.0, alpha: float = 0.5) -> Candidate:
    return Candidate(
        FrontEnd(), Student("", {}), Distillation(2.0, alpha), Schedule("cosine", peak_lr), DataMix(neg_per_pos)
    )


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(96, 2)
    )


def accuracy(data: TrainingSet) -> Callable[[nn.Module], float]:
    return lambda student: float((logits_of(student, data.features).argmax(1) == data.target).mean())


def test_it_learns() -> None:
    data, student = training_set(), network()
    before = accuracy(data)(student)
    progress = teach(student, data, candidate(), epochs=8, seed=0, validate=accuracy(data))
    assert progress.best_score > max(before, 0.9)
    assert [row["epoch"] for row in progress.history] == list(range(8))
    assert progress.history[-1]["loss"] < progress.history[0]["loss"]


def test_the_network_is_left_at_its_best_epoch() -> None:
    data, student = training_set(), network()
    scores = iter([0.2, 0.9, 0.1])
    seen: list[torch.Tensor] = []

    def validate(current: nn.Module) -> float:
        seen.append(current[5].weight.detach().clone())  # type: ignore[index]
        return next(scores)

    progress = teach(student, data, candidate(), epochs=3, seed=0, validate=validate)
    assert progress.best_epoch == 1
    assert torch.equal(student[5].weight, seen[1])  # type: ignore[index]


def test_an_interrupted_run_ends_as_the_unbroken_one(tmp_path: Path) -> None:
    data, unbroken, broken = training_set(), network(), network()
    whole = teach(unbroken, data, candidate(), epochs=6, seed=3, validate=accuracy(data))

    class KilledError(Exception):
        pass

    def kill(progress: Progress) -> None:
        if progress.epoch == 3:
            raise KilledError

    path = tmp_path / "checkpoint.pt"
    with pytest.raises(KilledError):
        teach(broken, data, candidate(), epochs=6, seed=3, validate=accuracy(data), checkpoint=path, on_epoch=kill)
    resumed = network()
    epochs: list[int] = []
    rest = teach(
        resumed,
        data,
        candidate(),
        epochs=6,
        seed=3,
        validate=accuracy(data),
        checkpoint=path,
        on_epoch=lambda progress: epochs.append(progress.epoch),
    )
    # The one it was killed at is heard of again: what followed from it may have been lost.
    assert epochs == [3, 4, 5, 6]
    assert [row["loss"] for row in rest.history] == [row["loss"] for row in whole.history]
    for ours, theirs in zip(resumed.state_dict().values(), unbroken.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_diverging_loss_is_named() -> None:
    data = training_set()
    data.features[0] = np.inf
    with pytest.raises(NotANumberError, match=r"loss: nan in epoch 0 at peak_lr=0\.01"):
        teach(network(), data, candidate(), epochs=1, seed=0, validate=lambda student: 0.0)


def test_outputs_that_are_not_finite_are_named() -> None:
    with pytest.raises(NotANumberError, match="an output is not finite"):
        logits_of(network(), np.full((2, 6, 4), np.nan, np.float32))


def test_memory_mapped_features_are_read_without_a_warning(tmp_path: Path) -> None:
    data = training_set()
    np.save(tmp_path / "features.npy", data.features)
    mapped = TrainingSet(np.load(tmp_path / "features.npy", mmap_mode="r"), data.target, data.teacher, data.rows)
    teach(network(), mapped, candidate(), epochs=1, seed=0, validate=accuracy(mapped))


def test_alpha_one_ignores_the_teacher() -> None:
    plain, misled = training_set(), training_set()
    misled.teacher[:] *= -5
    ours, theirs = network(), network()
    for student, data in ((ours, plain), (theirs, misled)):
        teach(student, data, candidate(alpha=1.0), epochs=2, seed=0, validate=lambda student: 0.0)
    assert torch.equal(ours[5].weight, theirs[5].weight)  # type: ignore[index]


def test_history_is_one_line_per_epoch() -> None:
    assert history_csv([{"epoch": 0, "loss": 0.5}, {"epoch": 1, "loss": 0.25}]) == "epoch,loss\n0,0.5\n1,0.25\n"
