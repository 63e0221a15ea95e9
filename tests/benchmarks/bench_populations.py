# ruff: noqa: T201
"""Students taught together against one after another: per student kind, size of the population and device."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

import spaces
from spaces.candidate import Candidate, Student
from trainables.assignment import candidate_of
from trainables.distil import Due
from trainables.learner import Learner
from trainables.population import trained
from trainables.students import build_student
from trainables.training_set import TrainingSet

MEMBERS = (1, 2, 4, 8, 16)
# A student of the demo: 20 epochs of about as many clips as two thousand, 64 in a step.
STEPS_OF_A_STUDENT = 20 * 32
STEPS = 3
ROUNDS = 3
STUDENTS: Mapping[str, tuple[Student, Mapping[str, int]]] = {
    "tiny_conv 16 x 4": (Student("tiny_conv", {"width": 16, "depth": 4, "depthwise": False}), {}),
    "tiny_conv 8 x 4, depthwise": (Student("tiny_conv", {"width": 8, "depth": 4, "depthwise": True}), {}),
    "ds_cnn 32 x 3": (Student("ds_cnn", {"width": 32, "depth": 3, "second_stride": 1}), {"hop_samples": 320}),
    "wav2tiny 13": (Student("wav2tiny", {"width": 13, "pool": "mean"}), {"hop_samples": 320, "mels": 26}),
    "mixednet 32 x 3": (Student("mixednet", {"width": 32, "depth": 3, "stride": 3}), {}),
    "gru 16": (Student("gru", {"hidden": 16, "depth": 1}), {}),
    "gru 32": (Student("gru", {"hidden": 32, "depth": 1}), {}),
    "gru 64": (Student("gru", {"hidden": 64, "depth": 1}), {}),
    "gru 128": (Student("gru", {"hidden": 128, "depth": 1}), {}),
    "lstm 32": (Student("lstm", {"hidden": 32, "depth": 1}), {}),
    "lstm 64": (Student("lstm", {"hidden": 64, "depth": 1}), {}),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Print a table for each device; the CPU has one thread, as a trial has."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_populations")
    parser.add_argument("--only", default="", help="kinds whose name begins so")
    parser.add_argument("--most", type=int, default=max(MEMBERS), help="members of a population")
    given = parser.parse_args(argv)
    sizes = [members for members in MEMBERS if members <= given.most]
    torch.set_num_threads(1)
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        print(f"\n{_name(device)}: students per hour alone ({STEPS_OF_A_STUDENT} steps of 64 clips); ratio together")
        print("| student | alone | " + " | ".join(map(str, sizes)) + " |")
        for name, (student, front_end) in STUDENTS.items():
            if name.startswith(given.only):
                figures = list(ratios(candidate(student, front_end), sizes, torch.device(device)))
                quickest = min(seconds for seconds, _ in figures)
                per_hour = 3600 / (quickest * STEPS_OF_A_STUDENT / STEPS)
                columns = [f"{per_hour:.0f}", *(f"{ratio:.2f}" for _, ratio in figures)]
                print(f"| {name} | " + " | ".join(columns) + " |", flush=True)


def candidate(student: Student, front_end: Mapping[str, int]) -> Candidate:
    """The wake word's preset with another student."""
    preset = candidate_of("wakeword", spaces.recipe_space("wakeword").START_POINTS[0])
    # Batches of the real thing, made on the spot: what is read from disk is the same either way.
    plain = replace(preset.augmentation, view_share=0.0)
    return replace(
        preset,
        student=student,
        data_mix=None,
        augmentation=plain,
        front_end=replace(preset.front_end, **front_end),  # type: ignore[arg-type]
    )


def ratios(asked: Candidate, sizes: Sequence[int], device: torch.device) -> Iterator[tuple[float, float]]:
    """For each size of a population the seconds of an epoch alone, and those over a member's share of one together."""
    data = noise(asked, STEPS * asked.schedule.batch)
    for members in sizes:
        apart, beside = learner(asked, data, 0, device), [learner(asked, data, n, device) for n in range(members)]
        pairs = [(seconds_of([apart], device), seconds_of(beside, device)) for _ in range(ROUNDS)]
        one, all_of_them = map(min, zip(*pairs, strict=True))
        yield one, members * one / all_of_them


def noise(asked: Candidate, clips: int) -> TrainingSet:
    """Clips of noise with labels and a teacher."""
    rng = np.random.default_rng(0)
    shape = (clips, asked.front_end.frames, asked.front_end.values_per_frame)
    target = rng.integers(0, 2, clips)
    teacher = rng.normal(size=(clips, 2)).astype(np.float32)
    return TrainingSet(rng.normal(size=shape).astype(np.float32), target, teacher, np.arange(clips))


def learner(asked: Candidate, data: TrainingSet, seed: int, device: torch.device) -> Learner:
    """A student at its beginning."""
    network = build_student(asked.student, asked.front_end, 2).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Learner(network, data, asked, seed)


def seconds_of(learners: Sequence[Learner], device: torch.device) -> float:
    """An epoch of all, until the device is done; of a CPU its own time, whatever else runs there."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    started = clock()
    failed = [figures for figures in trained([Due(own, 0, 20) for own in learners]) if isinstance(figures, Exception)]
    if failed:
        raise failed[0]
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def _name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "CPU, one thread"


if __name__ == "__main__":
    main()
