# ruff: noqa: T201
"""Time of `python -m export RESULTS` on a study of many trials, which this makes: seconds, and what it imports."""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.export.results_folder import ResultsFolder

ROOT = Path(__file__).parent.parent.parent
TFLITE_BYTES = 60_000
HEAVY = {"ray", "torch", "tensorflow", "transformers", "ai_edge_litert"}
LOOKS: dict[str, list[str]] = {
    "front, report and export": [],
    "another budget": ["--budget", "latency=20"],
    "other objectives": ["--objectives", "score,flash_bytes,latency_ms"],
    "figures of metrics.json": ["--objectives", "validation.f1,arena_bytes"],
}
CODE = "import sys; from export.__main__ import main; code = main(sys.argv[1:]); print('MODULES', *sys.modules)"


def main() -> None:
    """Print the seconds of each look as the command takes them, Python's start among them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = made(Path(scratch) / "results", given.trials)
        print(f"{given.trials} trials, each with a .tflite of {TFLITE_BYTES} bytes; best and worst of {given.repeats}")
        for name, words in LOOKS.items():
            runs = sorted(timed(folder, Path(scratch) / "out", words) for _ in range(given.repeats))
            (best, cpu), (worst, _) = runs[0], runs[-1]
            print(f"{name:<28}{best:6.2f} s {worst:6.2f} s, {cpu:.2f} s of CPU")


def made(folder: Path, trials: int) -> Path:
    """A results folder with four trained trials to one refused."""
    study = ResultsFolder(folder)
    study.random(seed=0, trained=trials * 4 // 5, refused=trials - trials * 4 // 5)
    for path in folder.glob("trials/*/student.int8.tflite"):
        path.write_bytes(path.read_bytes().ljust(TFLITE_BYTES, b"\0"))
    return folder


def timed(folder: Path, out: Path, words: list[str]) -> tuple[float, float]:
    """Seconds of one command, by the clock and of CPU; it must import nothing heavy."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", CODE, str(folder), "--out", str(out), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    imported = {name.split(".")[0] for name in done.stdout.rpartition("MODULES")[2].split()}
    if imported & HEAVY:
        raise SystemExit(f"imported: {', '.join(sorted(imported & HEAVY))}")
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
