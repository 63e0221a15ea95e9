"""Phases of a run: when they begin, what they hand on, and that a broken run goes on as if unbroken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spaces.candidate import Candidate, DataMix, Distillation, Pruning, Quantization, Schedule, Student
from spaces.front_end import FrontEnd
from trainables.distil import Progress, Run, logits_of, teach_in_phases
from trainables.phases import Phase, phases_of, plain
from trainables.quantization_aware import QuantizationAware
from trainables.students import build_student
from trainables.training_set import TrainingSet

FRONT_END = FrontEnd(hop_samples=320, mels=20, clip_seconds=0.3)
STUDENT = Student("ds_cnn", {"width": 8, "depth": 1, "second_stride": 2})
PLAIN = Candidate(FRONT_END, STUDENT, Distillation(2.0, 0.5), Schedule("cosine", 1e-2, 32), DataMix(2.0))
ALL = replace(
    PLAIN,
    distillation=replace(PLAIN.distillation, alignment_weight=0.2),
    quantization=Quantization(qat_start=0.6),
    pruning=Pruning(prune_from=1.5),
    schedule=replace(PLAIN.schedule, ema_decay=0.9),
)


def training_set(clips: int = 96, positives: int = 24) -> TrainingSet:
    rng = np.random.default_rng(0)
    target = (np.arange(clips) < positives).astype(np.int64)
    features = rng.normal(size=(clips, FRONT_END.frames, FRONT_END.mels)).astype(np.float32)
    features[target == 1, :5] += 1.0
    teacher = np.stack([1.0 - 2.0 * target, 2.0 * target - 1.0], axis=1).astype(np.float32)
    layers = (rng.normal(size=(clips, 3, 5)).astype(np.float16),)
    return TrainingSet(features, target, teacher, np.arange(clips), teacher_layers=layers)


def build(student: Student) -> nn.Module:
    torch.manual_seed(0)
    return build_student(student, FRONT_END, 2)


def accuracy(data: TrainingSet) -> Callable[[nn.Module], float]:
    return lambda student: float((logits_of(student, data.features).argmax(1) == data.target).mean())


def first_epochs(candidate: Candidate, epochs: int) -> list[int]:
    return [phase.first_epoch for phase in phases_of(candidate, epochs, build, training_set().features[:8])[1]]


def test_when_phases_begin() -> None:
    assert first_epochs(PLAIN, 20) == []
    assert first_epochs(replace(PLAIN, quantization=Quantization(0.8)), 20) == [16]
    assert first_epochs(replace(PLAIN, pruning=Pruning(2.0)), 20) == [10]
    assert first_epochs(ALL, 20) == [6, 12]
    assert first_epochs(replace(PLAIN, quantization=Quantization(0.0)), 20) == [0]
    # However short the run, its last epoch is the last phase's.
    assert first_epochs(replace(PLAIN, quantization=Quantization(0.8)), 1) == [0]


def test_a_phase_gets_the_best_of_the_one_before_and_competes_with_it_no_more() -> None:
    data, seen = training_set(), list[nn.Module]()
    scores = iter([0.4, 0.9, 0.5, 0.1, 0.3, 0.2])

    def validate(network: nn.Module) -> float:
        states.append({name: value.clone() for name, value in network.state_dict().items()})
        return next(scores)

    def begin(network: nn.Module) -> nn.Module:
        seen.append(network)
        begun.append({name: value.clone() for name, value in network.state_dict().items()})
        return network

    states: list[dict[str, torch.Tensor]] = []
    begun: list[dict[str, torch.Tensor]] = []
    run = Run(data, PLAIN, 6, 0, validate)
    trained, progress = teach_in_phases(build(STUDENT), [Phase(3, begin)], run)
    assert all(torch.equal(begun[0][name], states[1][name]) for name in states[1])
    assert (progress.best_epoch, progress.best_score) == (4, 0.3)
    assert all(torch.equal(value, states[4][name]) for name, value in trained.state_dict().items())


def test_patience_counts_in_the_last_phase() -> None:
    impatient = replace(PLAIN, schedule=replace(PLAIN.schedule, patience=1))
    run = Run(training_set(), impatient, 12, 0, validate=lambda network: 0.5)
    _, progress = teach_in_phases(build(STUDENT), [Phase(6, lambda network: network)], run)
    assert progress.epoch == 8


@pytest.mark.parametrize("killed_after", [1, 2, 4, 5])
def test_a_run_broken_in_any_phase_ends_as_the_unbroken_one(killed_after: int, tmp_path: Path) -> None:
    data = training_set()

    class KilledError(Exception):
        pass

    def kill(progress: Progress) -> None:
        if progress.epoch == killed_after:
            raise KilledError

    def taught(checkpoint: Path | None, on_epoch: Callable[[Progress], None]) -> tuple[nn.Module, Progress]:
        start, phases = phases_of(ALL, 6, build, data.features[:16])
        return teach_in_phases(start, phases, Run(data, ALL, 6, 3, accuracy(data), checkpoint, "", on_epoch))

    whole, expected = unbroken(data)
    with pytest.raises(KilledError):
        taught(tmp_path / "checkpoint.pt", kill)
    rest, progress = taught(tmp_path / "checkpoint.pt", lambda progress: None)
    assert [row["loss"] for row in progress.history] == [row["loss"] for row in expected.history]
    assert progress.best_epoch == expected.best_epoch
    ours, theirs = rest.state_dict(), whole.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


_UNBROKEN: list[tuple[nn.Module, Progress]] = []


def unbroken(data: TrainingSet) -> tuple[nn.Module, Progress]:
    if not _UNBROKEN:
        start, phases = phases_of(ALL, 6, build, data.features[:16])
        _UNBROKEN.append(teach_in_phases(start, phases, Run(data, ALL, 6, 3, accuracy(data))))
    return _UNBROKEN[0]


def test_a_run_with_all_phases_leaves_the_candidates_student_and_its_ranges() -> None:
    trained, progress = unbroken(training_set())
    assert isinstance(trained, QuantizationAware)
    student, ranges = plain(trained)
    shapes = {name: value.shape for name, value in build(STUDENT).state_dict().items()}
    assert {name: value.shape for name, value in student.state_dict().items()} == shapes
    assert ranges is not None
    assert all(low < high for low, high in ranges.bounds.values())
    assert progress.best_epoch >= 4
    # Rounded students are not aligned: their maps are no module's outputs.
    assert ["alignment_loss" in row for row in progress.history] == [True] * 4 + [False] * 2
    assert plain(student) == (student, None)
