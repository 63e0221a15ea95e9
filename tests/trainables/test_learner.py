"""What a learner does beside plain steps: averages, views, masks, alignment, hard negatives, patience, resuming."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spaces.candidate import Augmentation, Candidate, DataMix, Distillation, HardLabel, Schedule, Student
from spaces.front_end import FrontEnd
from trainables.criterion import HARD_LOSS, Batch, Criterion, Losses
from trainables.distil import Progress, logits_of, teach
from trainables.learner import Learner
from trainables.training_set import Synthetic, TrainingSet, View

PLAIN = Candidate(FrontEnd(), Student("", {}), Distillation(2.0, 0.5), Schedule("cosine", 1e-2, 32), DataMix(2.0))
EVERYTHING = replace(
    PLAIN,
    distillation=replace(PLAIN.distillation, alignment_weight=0.2),
    schedule=replace(PLAIN.schedule, ema_decay=0.9),
    data_mix=DataMix(2.0, 0.5),
    hard_label=HardLabel(0.1, 2.5, 0.85),
    augmentation=Augmentation(0.5, 0.3),
)


def training_set(clips: int = 120, positives: int = 24) -> TrainingSet:
    rng = np.random.default_rng(0)
    target = (np.arange(clips) < positives).astype(np.int64)
    features = rng.normal(size=(clips, 6, 8)).astype(np.float32)
    features[target == 1, :3] += 1.5
    teacher = np.stack([1.0 - 2.0 * target, 2.0 * target - 1.0], axis=1).astype(np.float32)
    layers = (rng.normal(size=(clips, 3, 5)).astype(np.float16), rng.normal(size=(clips, 3, 7)).astype(np.float16))
    noisy = View(features + rng.normal(size=features.shape).astype(np.float32), np.divide(teacher, 2), layers)
    return TrainingSet(features, target, teacher, np.arange(clips), teacher_layers=layers, views=(noisy,))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(192, 2)),
    )


def accuracy(data: TrainingSet) -> Callable[[nn.Module], float]:
    return lambda student: float((logits_of(student, data.features).argmax(1) == data.target).mean())


class Recorder(nn.Module):
    """A network that remembers what it was fed."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()
        self.fed: list[Tensor] = []

    def forward(self, features: Tensor) -> Tensor:
        self.fed.append(features.detach().clone())
        outputs: Tensor = self.inner(features)
        return outputs


def fed(data: TrainingSet, candidate: Candidate) -> Tensor:
    recorder = Recorder()
    Learner(recorder, data, candidate, seed=0).epoch(0, 1)
    return torch.cat(recorder.fed).squeeze(1)


def test_all_options_together_learn() -> None:
    data, student = training_set(), network()
    progress = teach(student, data, EVERYTHING, epochs=10, seed=0, validate=accuracy(data))
    assert progress.best_score > 0.9
    first, last = progress.history[0], progress.history[-1]
    for name in ("loss", "soft_loss", "alignment_loss"):
        assert last[name] < first[name]
    assert last["alignment_to_hard"] == pytest.approx(last["alignment_loss"] / last["hard_loss"])


def test_every_term_adds_up_to_the_loss() -> None:
    row = Learner(network(), training_set(), EVERYTHING, seed=0).epoch(0, 1)
    weighted = 0.5 * row["hard_loss"] + 0.5 * row["soft_loss"] + 0.2 * row["alignment_loss"]
    assert row["loss"] == pytest.approx(weighted, rel=1e-5)


def test_an_interrupted_run_with_all_options_ends_as_the_unbroken_one(tmp_path: Path) -> None:
    data, unbroken, broken, resumed = training_set(), network(), network(), network()
    whole = teach(unbroken, data, EVERYTHING, epochs=6, seed=3, validate=accuracy(data))

    class KilledError(Exception):
        pass

    def kill(progress: Progress) -> None:
        if progress.epoch == 3:
            raise KilledError

    arguments: dict[str, Any] = {"epochs": 6, "seed": 3, "validate": accuracy(data), "checkpoint": tmp_path / "c.pt"}
    with pytest.raises(KilledError):
        teach(broken, data, EVERYTHING, on_epoch=kill, **arguments)
    rest = teach(resumed, data, EVERYTHING, **arguments)
    assert [row["loss"] for row in rest.history] == [row["loss"] for row in whole.history]
    for ours, theirs in zip(resumed.state_dict().values(), unbroken.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_average_is_what_is_judged_and_follows_the_weights() -> None:
    data, student = training_set(), network()
    candidate = replace(PLAIN, schedule=replace(PLAIN.schedule, ema_decay=0.5, batch=1000))
    learner = Learner(student, data, candidate, seed=0)
    expected = torch.empty(0)
    for epoch in range(6):
        learner.epoch(epoch, 6)
        weights = student[0].weight.detach().clone()  # type: ignore[index]
        # One step per epoch; of the first weights nothing is kept, then 2/11, 3/12, ... up to a half.
        kept = min(0.5, (1 + epoch) / (10 + epoch))
        expected = weights if epoch == 0 else kept * expected + (1 - kept) * weights
    judged = learner.judged
    assert judged is not student
    assert torch.allclose(judged[0].weight, expected, atol=1e-6)  # type: ignore[index]
    assert torch.equal(judged[1].num_batches_tracked, student[1].num_batches_tracked)  # type: ignore[index]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_clips_is_heard_in_a_view(share: float) -> None:
    data = training_set()
    clips = fed(data, replace(PLAIN, augmentation=Augmentation(view_share=share)))
    noisy = torch.from_numpy(data.views[0].features)
    heard = [(clip == noisy).all(dim=(1, 2)).any().item() for clip in clips]
    assert len(clips) == 72
    assert abs(sum(heard) - 72 * share) <= 12


def test_a_clip_in_a_view_is_taught_what_the_teacher_hears_there() -> None:
    data = training_set()
    data.views[0].teacher[:] = np.nan
    learner = Learner(network(), data, replace(PLAIN, augmentation=Augmentation(view_share=1.0)), seed=0)
    with pytest.raises(ValueError, match="loss: nan in epoch 0"):
        learner.epoch(0, 1)


def test_masks_blank_stretches_of_frames_and_mels() -> None:
    data = training_set()
    data.features[:] = 1.0
    clips = fed(data, replace(PLAIN, augmentation=Augmentation(mask_share=0.5)))
    frames, mels = (clips == 0).all(dim=2), (clips == 0).all(dim=1)
    # Two stretches of less than half of six frames, and of eight mels.
    assert frames.sum(dim=1).max() <= 6
    assert 0 < frames.float().mean() < 0.6
    assert 0 < mels.float().mean() < 0.6
    blank = frames[:, :, None] | mels[:, None, :]
    assert torch.equal(clips == 0, blank)


def test_hard_negatives_come_more_often() -> None:
    data = training_set()
    # Three negatives that look like positives.
    data.features[[50, 60, 70], :3] += 1.5
    counts = {}
    for share in (0.0, 0.5):
        learner = Learner(network(), data, replace(PLAIN, data_mix=DataMix(0.5, share)), seed=0)
        drawn = np.zeros(120, int)
        for epoch in range(16):
            dealer = copy.deepcopy(learner.dealer)
            np.add.at(drawn, dealer.epoch_rows(data, learner.candidate.data_mix, 0, epoch), 1)
            learner.epoch(epoch, 16)
        counts[share] = drawn[[50, 60, 70]].sum() / drawn[24:].sum()
    assert counts[0.5] > 2 * counts[0.0]


def test_patience_ends_a_run_that_does_not_improve() -> None:
    scores = iter([0.1, 0.5, 0.4, 0.5, 0.3, 0.9])
    patient = replace(PLAIN, schedule=replace(PLAIN.schedule, patience=3))
    progress = teach(network(), training_set(), patient, epochs=6, seed=0, validate=lambda student: next(scores))
    assert (progress.epoch, progress.best_epoch) == (5, 1)


def test_a_run_out_of_patience_is_not_taken_up_again(tmp_path: Path) -> None:
    patient = replace(PLAIN, schedule=replace(PLAIN.schedule, patience=1))
    arguments: dict[str, Any] = {"epochs": 6, "seed": 0, "validate": lambda _: 0.5, "checkpoint": tmp_path / "c.pt"}
    first = teach(network(), training_set(), patient, **arguments)
    again = teach(network(), training_set(), patient, **arguments)
    assert first.epoch == again.epoch == 2
    assert first.history == again.history


def test_alignment_without_layers_is_refused() -> None:
    data = training_set()
    bare = TrainingSet(data.features, data.target, data.teacher, data.rows)
    with pytest.raises(ValueError, match="alignment_weight: the teacher gives no layers to align with; use 0"):
        Learner(network(), bare, EVERYTHING, seed=0)


@final
class Numbers(Criterion):
    """Squared distance to the target, and to what the teacher says where it has said something."""

    hears_layers = True
    seen: list[Batch]

    def __init__(self, *_: object) -> None:
        super().__init__()
        self.seen = []

    def losses(self, heard: Tensor, batch: Batch) -> Losses:
        self.seen.append(batch)
        outputs = heard
        each = (outputs[:, 0] - batch.target.float()).square()
        assert batch.taught is not None
        soft = (outputs - batch.teacher).square()[batch.taught].sum() / len(each)
        return Losses(each.mean() + soft, {HARD_LOSS: each.mean(), "soft_loss": soft}, each)


def synthetic_set() -> TrainingSet:
    """Synthetic clips are of 9s, with targets of 5."""
    made = Synthetic(np.full((40, 6, 8), 9.0, np.float32), np.full(40, 5, np.int64), 0.25)
    return replace(training_set(), rows=np.arange(60), synthetic=made, criterion=Numbers)


def test_synthetic_clips_bring_their_labels_and_no_teacher() -> None:
    data = synthetic_set()
    learner = Learner(network(), data, replace(PLAIN, data_mix=None, augmentation=Augmentation(0.5)), seed=0)
    learner.epoch(0, 1)
    assert isinstance(learner.criterion, Numbers)
    batches = learner.criterion.seen
    features, target, teacher = (
        torch.cat([getattr(batch, part) for batch in batches]) for part in ("features", "target", "teacher")
    )
    taught = torch.cat([batch.taught for batch in batches if batch.taught is not None])
    assert (~taught).sum() == 20
    assert len(taught) == 80
    assert torch.equal(taught, ~(features == 9).all(dim=(1, 2, 3)))
    assert (target[~taught] == 5).all()
    assert (target[taught] < 2).all()
    assert not teacher[~taught].any()
    assert teacher[taught].any(dim=1).all()
    for place in range(2):
        layer = torch.cat([list(batch.layers)[place] for batch in batches])
        assert not layer[~taught].any()
        assert layer[taught].any(dim=(1, 2)).all()


def test_a_resumed_run_with_synthetic_clips_is_bit_for_bit_the_unbroken_one(tmp_path: Path) -> None:
    data, candidate = synthetic_set(), replace(PLAIN, data_mix=None)

    class EndError(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.epoch == 2:
            raise EndError

    student, checkpoint = network(), tmp_path / "checkpoint.pt"
    with pytest.raises(EndError):
        teach(student, data, candidate, epochs=4, seed=0, validate=accuracy(data), checkpoint=checkpoint, on_epoch=stop)
    resumed, unbroken = network(), network()
    for student, path in ((resumed, checkpoint), (unbroken, None)):
        validate = accuracy(data)
        teach(student, data, candidate, epochs=4, seed=0, validate=validate, checkpoint=path)
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
