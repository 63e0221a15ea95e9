# ruff: noqa: T201
"""Seconds that `python -m export` takes on a study of 1,000 trained and 600 refused trials; the goal is 2."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.export.results_folder import ResultsFolder

ROOT = Path(__file__).parent.parent.parent
RUNS = 5


def main() -> None:
    """Make the study, export it several times and print the times."""
    with tempfile.TemporaryDirectory() as folder:
        results = ResultsFolder(Path(folder) / "results")
        results.random(2, trained=1000, refused=600)
        print(f"--help: {seconds('--help'):.2f} s")
        taken = sorted(seconds(str(results.folder)) for _ in range(RUNS))
        size = (results.folder / "report.html").stat().st_size
        print(f"export of 1,600 trials: median {taken[RUNS // 2]:.2f} s of {RUNS} runs, report {size / 1e6:.2f} MB")


def seconds(*words: str) -> float:
    """Wall time of one `python -m export`."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "export", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
