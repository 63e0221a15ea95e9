"""Trials taught together against the same trials alone: their curves, students, ends and checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spaces.candidate import Augmentation, Candidate, DataMix, Distillation, HardLabel, Schedule, Student
from spaces.front_end import FrontEnd
from trainables import ray_trainable
from trainables.assignment import Task
from trainables.distil import Progress, Run, StoppedEarlyError, Teaching, alone, logits_of, teaching_in_phases
from trainables.learner import NotANumberError
from trainables.phases import Phase
from trainables.population import PopulationError, together
from trainables.ray_trainable import REPORT, Post
from trainables.stacked_learners import StackedLearners
from trainables.students import build_student
from trainables.training_set import TrainingSet, View

FRONT_END = FrontEnd(mels=12, hop_samples=640)
STUDENTS = {
    "ds_cnn": Student("ds_cnn", {"width": 6, "depth": 2, "second_stride": 1}),
    "wav2tiny": Student("wav2tiny", {"width": 4, "pool": "mean"}),
    "gru": Student("gru", {"hidden": 8, "depth": 1}),
}
Trained = tuple[nn.Module, Progress]
Runs = Sequence[tuple[Run, tuple[Phase, ...]]]


def training_set(clips: int = 150, positives: int = 24) -> TrainingSet:
    rng = np.random.default_rng(0)
    target = (np.arange(clips) < positives).astype(np.int64)
    features = rng.normal(size=(clips, FRONT_END.frames, FRONT_END.mels)).astype(np.float32)
    features[target == 1, 8:14] += 1.5
    teacher = np.stack([1.0 - 2.0 * target, 2.0 * target - 1.0], axis=1).astype(np.float32)
    layers = (rng.normal(size=(clips, 6, 5)).astype(np.float16), rng.normal(size=(clips, 6, 7)).astype(np.float16))
    noisy = View(features + rng.normal(size=features.shape).astype(np.float32), np.divide(teacher, 2), layers)
    return TrainingSet(features, target, teacher, np.arange(clips), teacher_layers=layers, views=(noisy,))


DATA = training_set()


def plain(kind: str = "ds_cnn") -> Candidate:
    schedule = Schedule("cosine", 3e-3, 32)
    return Candidate(FRONT_END, STUDENTS[kind], Distillation(2.0, 0.5), schedule, DataMix(2.0))


def various(kind: str) -> list[Candidate]:
    """Members that share an architecture and nothing else; steps per epoch and clips per step differ too.

    The last one's projectors are float32.
    """
    base = plain(kind)
    return [
        base,
        replace(base, distillation=Distillation(6.0, 0.1), schedule=Schedule("one_cycle", 1e-2, 32, 0.05, 0.9)),
        replace(base, data_mix=DataMix(4.5, 0.5), augmentation=Augmentation(0.5, 0.2)),
        replace(base, hard_label=HardLabel(0.1, 2.5, 0.85), schedule=replace(base.schedule, batch=20)),
        replace(base, distillation=Distillation(1.0, 1.0, alignment_weight=0.2)),
    ]


def accuracy(student: nn.Module) -> float:
    """With a term that moves with every weight."""
    outputs = logits_of(student, DATA.features)
    return float((outputs.argmax(1) == DATA.target).mean() + 1e-3 * np.tanh(outputs).mean())


def run_of(candidate: Candidate, seed: int, epochs: int = 3, **changes: object) -> Run:
    return replace(Run(DATA, candidate, epochs, seed, accuracy), **changes)  # type: ignore[arg-type]


class Doubled(nn.Module):
    """Float64, in which rounding cannot pass for a difference or hide one."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.double()


def teaching(run: Run, phases: tuple[Phase, ...] = (), exactly: bool = True) -> Teaching[Trained]:
    torch.manual_seed(run.seed)
    network = build_student(run.candidate.student, FRONT_END, 2)
    return teaching_in_phases(nn.Sequential(Doubled(), network.double()) if exactly else network, phases, run)


def caught(member: Teaching[Trained]) -> Teaching[Trained | Exception]:
    """The exception that a run ends with as its result."""
    try:
        return (yield from member)
    except (NotANumberError, StoppedEarlyError, PopulationError) as error:
        return error


def both(runs: Sequence[Run], exactly: bool = True) -> list[tuple[Trained | Exception, Trained | Exception]]:
    """What each run ends with alone, and beside the others."""
    apart = [alone(caught(teaching(run, (), exactly))) for run in runs]
    order: list[tuple[int, Trained | Exception]] = list(
        together([numbered(number, teaching(run, (), exactly)) for number, run in enumerate(runs)])
    )
    return list(zip(apart, [ended for _, ended in sorted(order, key=lambda pair: pair[0])], strict=True))


def numbered(number: int, member: Teaching[Trained]) -> Teaching[tuple[int, Trained | Exception]]:
    return number, (yield from caught(member))


def assert_same(ours: Trained | Exception, theirs: Trained | Exception, tolerance: float = 1e-9) -> None:
    assert isinstance(ours, tuple)
    assert isinstance(theirs, tuple)
    assert ours[1].best_epoch == theirs[1].best_epoch
    for row, other_row in zip(ours[1].history, theirs[1].history, strict=True):
        assert list(row) == list(other_row)
        for name in row.keys() - {"seconds"}:
            assert row[name] == pytest.approx(other_row[name], rel=tolerance, abs=tolerance), name
    mine, other = (logits_of(trained[0], DATA.features) for trained in (ours, theirs))
    np.testing.assert_allclose(mine, other, rtol=10 * tolerance, atol=10 * tolerance)


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many members each step was taken for."""
    seen: list[int] = []
    real = StackedLearners.step

    def step(self: StackedLearners, batches: Sequence[object], *rest: object) -> object:
        seen.append(len(batches))
        return real(self, batches, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(StackedLearners, "step", step)
    return seen


@pytest.mark.parametrize("kind", STUDENTS)
def test_each_ends_as_it_would_alone(kind: str, sizes: list[int]) -> None:
    runs = [run_of(candidate, seed) for seed, candidate in enumerate(various(kind)[:-1])]
    for ours, theirs in both(runs):
        assert_same(ours, theirs)
    assert max(sizes) == len(runs)
    assert min(sizes) < len(runs), "who has more steps goes on with fewer beside it"


def test_one_that_is_aligned_beside_others_in_float32(sizes: list[int]) -> None:
    runs = [run_of(candidate, seed) for seed, candidate in enumerate(various("ds_cnn"))]
    for ours, theirs in both(runs, exactly=False):
        assert_same(ours, theirs, 2e-3)
    assert max(sizes) == len(runs)


def test_seeds_of_one_candidate(sizes: list[int]) -> None:
    runs = [run_of(plain(), seed) for seed in range(4)]
    results = both(runs)
    for ours, theirs in results:
        assert_same(ours, theirs)
    assert set(sizes) == {4}
    assert len({ours[1].history[0]["loss"] for ours, _ in results if isinstance(ours, tuple)}) == 4


def stops_at(epoch: int) -> Callable[[Progress], None]:
    def on_epoch(progress: Progress) -> None:
        if progress.epoch == epoch:
            raise StoppedEarlyError(progress, "enough")

    return on_epoch


def test_one_that_ends_early_leaves_the_others_as_they_are(sizes: list[int]) -> None:
    impatient = replace(plain(), schedule=Schedule("constant", 1e-9, 32, patience=1))
    runs = [
        run_of(plain(), 0, 4),
        run_of(plain(), 1, 4, on_epoch=stops_at(2)),
        run_of(impatient, 2, 4, validate=lambda student: 0.5),
        run_of(plain(), 3, 4),
    ]
    results = both(runs)
    for place in (0, 3):
        assert_same(*results[place])
    for stopped in results[1]:
        assert isinstance(stopped, StoppedEarlyError)
        assert stopped.progress.epoch == 2
    assert [len(ended[1].history) for ended in results[2] if isinstance(ended, tuple)] == [2, 2]
    assert sizes[0] == 4
    assert sizes[-1] == 2


def test_one_that_diverges_ends_alone() -> None:
    wild = replace(plain(), schedule=Schedule("constant", 1e30, 32))
    results = both([run_of(plain(), 0), run_of(wild, 1), run_of(plain(), 2)])
    for place in (0, 2):
        assert_same(*results[place])
    for ended in results[1]:
        assert isinstance(ended, NotANumberError)
        assert "at peak_lr=1e+30; lower it" in str(ended)


class KilledError(Exception):
    pass


def kills_at(epoch: int) -> Callable[[Progress], None]:
    def on_epoch(progress: Progress) -> None:
        if progress.epoch == epoch:
            raise KilledError

    return on_epoch


def test_a_killed_population_goes_on_together_or_alone(tmp_path: Path) -> None:
    candidates = [replace(own, schedule=replace(own.schedule, ema_decay=0.9)) for own in various("ds_cnn")[:3]]
    kept = [tmp_path / f"{seed}.pt" for seed in range(3)]
    runs = [run_of(candidate, seed, 4, checkpoint=kept[seed]) for seed, candidate in enumerate(candidates)]
    unbroken = [alone(teaching(replace(run, checkpoint=None))) for run in runs]
    # The second is killed when it has taken its second epoch: the third has not saved its own by then.
    broken = [runs[0], replace(runs[1], on_epoch=kills_at(2)), runs[2]]
    with pytest.raises(KilledError):
        list(together([teaching(run) for run in broken]))
    assert [torch.load(path, weights_only=True)["progress"]["epoch"] for path in kept] == [2, 2, 1]
    assert_same(alone(teaching(runs[0])), unbroken[0])
    rest = list(together([numbered(place, teaching(runs[place])) for place in (1, 2)]))
    for place, ended in rest:
        assert_same(ended, unbroken[place])


def test_one_in_another_phase_trains_alone(sizes: list[int]) -> None:
    def changed(network: nn.Module) -> nn.Module:
        torch.manual_seed(7)
        return nn.Sequential(network, nn.Linear(2, 2, dtype=torch.float64))

    phased = (Phase(1, changed),)
    members = [teaching(run_of(plain(), seed, 2), phased if seed == 1 else ()) for seed in range(3)]
    ended = dict(together([numbered(number, member) for number, member in enumerate(members)]))
    steps = len(sizes) // 2
    assert sizes == [3] * steps + [2] * steps
    assert_same(ended[1], alone(teaching(run_of(plain(), 1, 2), phased)))


def test_other_architectures_train_apart(sizes: list[int]) -> None:
    runs = [run_of(plain(kind), seed, 1) for seed, kind in enumerate(("ds_cnn", "gru", "ds_cnn", "gru"))]
    for ours, theirs in both(runs):
        assert_same(ours, theirs)
    assert set(sizes) == {2}


def test_a_fault_of_the_population_reaches_every_member(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no kernel")

    monkeypatch.setattr(StackedLearners, "step", broken)
    ended = list(together([caught(teaching(run_of(plain(), seed))) for seed in range(2)]))
    assert [(type(one), str(one)) for one in ended] == [(PopulationError, "RuntimeError: no kernel")] * 2


def test_results_come_as_soon_as_they_are_there() -> None:
    seen: list[int] = []

    def counted(seed: int, epochs: int) -> Run:
        return run_of(plain(), seed, epochs, on_epoch=lambda progress: seen.append(seed))

    short, long = counted(0, 1), counted(1, 3)
    results = together([numbered(number, teaching(run)) for number, run in enumerate((long, short))])
    assert next(results)[0] == 1
    assert seen.count(1) == 1, "the longer one has not gone on"
    assert next(results)[0] == 0


@pytest.mark.parametrize(("side_by_side", "ends"), [(True, [2, 0, 1]), (False, [0, 1, 2])])
def test_a_worker_reports_each_task_when_it_ends(
    side_by_side: bool, ends: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = {0: 2, 1: 3, 2: 1}

    def reporting(_: object, __: object, task: Task) -> Teaching[dict[str, object]]:
        network = build_student(STUDENTS["gru"], FRONT_END, 2)
        _, progress = yield from teaching_in_phases(network, (), run_of(plain("gru"), 0, epochs[task.number]))
        return {"outcome": "trained", "epochs": progress.epoch}

    monkeypatch.setattr(ray_trainable, "reporting", reporting)
    worker = ray_trainable.TrialActor.__new__(ray_trainable.TrialActor)
    worker.setup({}, None, Post())  # type: ignore[arg-type]
    for _ in range(2):
        worker.config = {"tasks": [asdict(Task(number, {})) for number in epochs], "together": side_by_side}
        steps = [worker.step() for _ in epochs]
        assert [step["done"] for step in steps] == [False, False, True]
        told = [json.loads(step[REPORT]) for step in steps]
        assert [(report["name"], report["epochs"]) for report in told] == [(f"trials/{n}", epochs[n]) for n in ends]
        assert worker.reset_config({}), "the next tasks come to the same worker"
