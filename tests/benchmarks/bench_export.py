# ruff: noqa: T201
"""Seconds that `python -m export` takes on a study of 1,000 trained and 600 refused trials; the goal is 2.

The first time takes longer: it computes the importance of each parameter, which the results folder keeps.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from export.tflite import float_tflite, int8_tflite
from spaces.candidate import Student
from spaces.front_end import FrontEnd
from tests.export.results_folder import ResultsFolder
from trainables.students import build_student

ROOT = Path(__file__).parent.parent.parent
RUNS = 5


def main() -> None:
    """Make the study, export it several times and print the times."""
    with tempfile.TemporaryDirectory() as folder:
        results = ResultsFolder(Path(folder) / "results")
        results.random(2, trained=1000, refused=600)
        print(f"--help: {seconds('--help'):.2f} s")
        first = seconds(str(results.folder))
        taken = sorted(seconds(str(results.folder)) for _ in range(RUNS))
        size = (results.folder / "report.html").stat().st_size
        print(f"profile of one model, after imports: {profile_seconds(Path(folder)):.3f} s, best of {RUNS} processes")
        again = f"then median {taken[RUNS // 2]:.2f} s of {RUNS} runs"
        print(f"export of 1,600 trials: first {first:.2f} s, {again}, report {size / 1e6:.2f} MB")


def profile_seconds(folder: Path) -> float:
    """Seconds of one `python -m export profile` of a DS-CNN after its imports; the goal is 0.3."""
    front_end = FrontEnd()
    network = build_student(Student("ds_cnn", {"width": 32, "depth": 3, "second_stride": 1}), front_end, 2)
    clips = np.random.default_rng(0).normal(size=(8, front_end.frames, front_end.mels, 1)).astype(np.float32)
    model = folder / "student.tflite"
    model.write_bytes(int8_tflite(float_tflite(network, (1, front_end.frames, front_end.mels)), clips))
    code = (
        "import time, export.profiler\n"
        "started = time.perf_counter()\n"
        f"assert export.profiler.main([{str(model)!r}]) == 0\n"
        "print(time.perf_counter() - started)\n"
    )
    command = [sys.executable, "-c", code]
    runs = [subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True) for _ in range(RUNS)]
    return min(float(run.stdout.splitlines()[-1]) for run in runs)


def seconds(*words: str) -> float:
    """Wall time of one `python -m export`."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "export", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
