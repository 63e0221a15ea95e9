# ruff: noqa: T201
"""What similarities of maps cost: seconds and memory of a training step, and the teacher's share of it."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from typing import get_args

import torch
from torch import Tensor

from spaces.candidate import GramKind, Scalar, Student
from spaces.speech_enhancement import BATCH, FRONT_END, SIZES
from trainables.enhancement_losses import GRAM_BYTES, gram_distance
from trainables.students import build_student
from trainables.students.cruse import Cruse

STEPS = 3
Job = Callable[[], object]


def main() -> None:
    """Print a line for each kind, cut into chunks and whole, each in a process of its own: one core, a batch of 3 s."""
    clips = int(sys.argv[1]) if len(sys.argv) > 1 else BATCH
    print(f"{clips} clips of {FRONT_END.frames} frames, a 62K student of a 1.9M teacher, all maps, one core")
    print(f"{'step':<34}{'CPU s':>8}{'peak MB more':>14}")
    cases: list[tuple[str, str, int]] = [("labels alone", "none", 0), ("the teacher's maps", "teacher", 0)]
    for kind in get_args(GramKind):
        cases += [(f"{kind}, chunks of {GRAM_BYTES >> 20} MiB", kind, GRAM_BYTES), (f"{kind}, whole", kind, 1 << 40)]
    for title, kind, most_bytes in cases:
        with get_context("spawn").Pool(1) as pool:
            seconds, megabytes = pool.apply(cost, (kind, most_bytes, clips))
        print(f"{title:<34}{seconds:>8.2f}{megabytes:>14.0f}", flush=True)


def cost(kind: str, most_bytes: int, clips: int) -> tuple[float, float]:
    """CPU seconds of one step without the teacher's, the least of a few, and how far its peak lies above the start."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    student, teacher = network("62K"), network("1.9M").eval().requires_grad_(False)
    heard = torch.randn(clips, 1, FRONT_END.frames, 161)
    wanted = teacher.maps(heard) if kind not in ("none", "teacher") else {}
    jobs: dict[str, Job] = {"none": lambda: step(student, heard), "teacher": lambda: teacher.maps(heard)}
    job = jobs.get(kind, lambda: step(student, heard, wanted, kind, most_bytes))  # type: ignore[arg-type]
    before, seconds = peak_mb(), []
    for _ in range(STEPS):
        started = time.process_time()
        job()
        seconds.append(time.process_time() - started)
    return min(seconds), peak_mb() - before


def network(size: str) -> Cruse:
    """One of the published sizes, untrained."""
    arguments: dict[str, Scalar] = {name.removeprefix("cruse_"): value for name, value in SIZES[size].items()}
    found = build_student(Student("cruse", arguments), FRONT_END, 161)
    assert isinstance(found, Cruse)
    return found


def step(
    student: Cruse,
    heard: Tensor,
    wanted: dict[str, Tensor] | None = None,
    kind: GramKind = "batch",
    most_bytes: int = GRAM_BYTES,
) -> None:
    """Forward and backward, with the maps' distances where there are `wanted` ones."""
    maps = student.maps(heard)
    loss = maps["mask"].square().mean()
    if wanted:
        names = [name for name in maps if name != "mask"]
        loss = torch.stack([gram_distance(maps[name], wanted[name], kind, most_bytes) for name in names]).mean()
    loss.backward()


def peak_mb() -> float:
    """The process's largest resident size so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
