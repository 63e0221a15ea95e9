"""What masks are held against: labels, the teacher's masks, the teacher's maps; and the two steps of a run."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from spaces.candidate import Candidate, Distillation, MaskDistillation, MaskMode, Scalar, Schedule, Student
from spaces.front_end import FrontEnd
from trainables.criterion import HARD_LOSS, Batch
from trainables.distil import Run, teach_in_phases
from trainables.enhancement_losses import gram_distance, spectrum_losses
from trainables.mask_criterion import SOFT_LOSS, MaskCriterion, shared_maps
from trainables.phases import phases_of
from trainables.spectra import magnitudes
from trainables.students import build_student
from trainables.students.cruse import Cruse
from trainables.training_set import TrainingSet

FRONT_END = FrontEnd(kind="log_power", window_samples=32, hop_samples=16, n_fft=32, clip_seconds=0.008)
TINY: dict[str, Scalar] = {"width": 2, "depth": 3, "top": 4, "groups": 1, "slope": 0.2}
CLIPS, FRAMES, BINS = 6, 7, 17


def cruse(seed: int, **changes: Scalar) -> Cruse:
    torch.manual_seed(seed)
    student = build_student(Student("cruse", {**TINY, **changes}), FRONT_END, BINS)
    assert isinstance(student, Cruse)
    return student


def candidate(mode: MaskMode, alpha: float, first_share: float = 0.0) -> Candidate:
    return Candidate(
        FRONT_END,
        Student("cruse", TINY),
        Distillation(1.0, alpha),
        Schedule("constant", 1e-2, batch=3),
        masks=MaskDistillation(mode, first_share=first_share),
    )


def data(teacher: Cruse | None = None) -> TrainingSet:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(CLIPS, FRAMES, BINS)).astype(np.float32)
    target, masks = rng.random((2, CLIPS, FRAMES, BINS)).astype(np.float32)
    return TrainingSet(features, target, masks, np.arange(CLIPS), criterion=partial(MaskCriterion, teacher=teacher))


def batch() -> Batch:
    whole = data()
    features = torch.from_numpy(whole.features).unsqueeze(1)
    return Batch(features, torch.from_numpy(whole.target), torch.from_numpy(whole.teacher), [])


def criterion(network: nn.Module, teacher: Cruse, settings: Candidate) -> MaskCriterion:
    return MaskCriterion(network, data(), settings, 0, teacher=teacher)


def test_labels_alone_are_the_spectrum_approximation() -> None:
    network, heard = cruse(0), batch()
    losses = criterion(network, cruse(1, top=8), candidate("none", 1.0))(network, heard)
    expected = spectrum_losses(network(heard.features), magnitudes(heard.features[:, 0], FRONT_END), heard.target)
    torch.testing.assert_close(losses.each, expected)
    torch.testing.assert_close(losses.total, expected.mean())
    assert float(losses.parts[SOFT_LOSS]) == 0.0


def test_masks_are_held_against_the_teachers() -> None:
    network, heard = cruse(0), batch()
    losses = criterion(network, cruse(1), candidate("output", 0.25))(network, heard)
    soft = (network(heard.features) - heard.teacher).square().mean()
    torch.testing.assert_close(losses.parts[SOFT_LOSS], soft)
    torch.testing.assert_close(losses.total, 0.25 * losses.parts[HARD_LOSS] + 0.75 * soft)


def test_maps_are_held_against_the_teachers_layer_by_layer() -> None:
    network, teacher, heard = cruse(0), cruse(1, width=3, top=12), batch()
    found = criterion(network, teacher, candidate("one_step", 0.5))
    losses = found(network, heard)
    ours, theirs = network.maps(heard.features), teacher.maps(heard.features)
    expected = [gram_distance(ours[name], theirs[name], "time_frequency") for name in ours if name != "mask"]
    assert len(expected) == 6
    torch.testing.assert_close(losses.parts[SOFT_LOSS], torch.stack(expected).mean())
    losses.total.backward()
    assert all(weights.grad is None for weights in teacher.parameters())
    # The teacher is none of what is trained, and none of what a checkpoint holds.
    assert not list(found.parameters()) and not found.state_dict()


def test_layers_are_paired_by_name_where_they_have_as_many_bins() -> None:
    assert shared_maps(cruse(0), cruse(1, depth=4), "all") == [
        *("encoder_0", "encoder_1", "encoder_2", "decoder_1", "decoder_2")
    ]
    assert shared_maps(cruse(0), cruse(1), "decoder") == ["decoder_1", "decoder_2"]
    assert shared_maps(cruse(0), cruse(1, depth=4), "bottleneck") == shared_maps(cruse(0), cruse(1, depth=4), "all")
    finer = build_student(
        Student("cruse", TINY),
        replace(FRONT_END, window_samples=640, hop_samples=320, n_fft=640, clip_seconds=0.1),
        321,
    )
    assert isinstance(finer, Cruse)
    with pytest.raises(ValueError, match=r"maps: the student has .* bins and its teacher .* none are as many"):
        shared_maps(cruse(0), finer, "all")


def taught(first_share: float, epochs: int = 4) -> tuple[nn.Module, list[dict[str, float]]]:
    settings = candidate("two_step", 0.0, first_share)
    torch.manual_seed(0)
    start, phases = phases_of(settings, epochs, lambda student: cruse(0), data().features)
    scores = iter([9.0, 1.0, 2.0, 3.0])
    run = Run(data(cruse(1)), settings, epochs, 0, lambda network: next(scores))
    network, progress = teach_in_phases(start, phases, run)
    return network, progress.history


def test_maps_teach_first_and_labels_alone_from_then_on() -> None:
    _, history = taught(0.5)
    assert [row[SOFT_LOSS] > 0 for row in history] == [True, True, False, False]
    assert [row["loss"] == pytest.approx(row[SOFT_LOSS]) for row in history[:2]] == [True, True]
    assert [row["loss"] == pytest.approx(row[HARD_LOSS]) for row in history[2:]] == [True, True]
    assert history[1][SOFT_LOSS] < history[0][SOFT_LOSS]


def test_the_second_step_goes_on_from_the_last_epoch_of_the_first() -> None:
    # Judged by its masks, which nothing trains yet, the first epoch is the best.
    settings, scores, states = candidate("two_step", 0.0, 0.5), iter([9.0, 1.0, 2.0]), list[torch.Tensor]()
    start, (second,) = phases_of(settings, 3, lambda student: cruse(0), data().features)
    assert second.candidate(settings) == replace(settings, distillation=Distillation(1.0, 1.0))

    def judged(network: nn.Module) -> float:
        states.append(next(network.parameters()).detach().clone())
        return next(scores)

    def begun(network: nn.Module) -> nn.Module:
        assert torch.equal(next(network.parameters()), states[1]) and not torch.equal(states[0], states[1])
        return network

    run = Run(data(cruse(1)), settings, 3, 0, judged)
    _, progress = teach_in_phases(start, [replace(second, begin=begun)], run)
    assert (progress.best_epoch, len(states)) == (2, 3)


@pytest.mark.parametrize(("share", "epochs", "first"), [(0.25, 20, 5), (0.05, 2, 1), (0.75, 4, 3), (0.9, 2, 1)])
def test_both_steps_have_an_epoch_at_least(share: float, epochs: int, first: int) -> None:
    _, phases = phases_of(candidate("two_step", 0.0, share), epochs, lambda student: cruse(0), data().features)
    assert phases[0].first_epoch == first
