# ruff: noqa: T201
"""What W&B costs: seconds of the side-car's process per trained trial, the study's run, and a search's own share."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from export.results import Results
from search.side_car import Views
from search.views import Recorder, environment, wandb_folder
from tests.export.results_folder import ResultsFolder

TRIALS = 50
GOAL_SECONDS = 0.3


def main() -> None:
    """Print every figure: one process records all trials one after another, each as it would be found in a search."""
    with tempfile.TemporaryDirectory() as folder:
        made = ResultsFolder(Path(folder) / "results")
        results = Results(made.folder)
        os.environ.update(environment(results))
        wandb_folder(results).mkdir()
        recorder, seconds = Recorder(results), list[float]()
        for _ in range(TRIALS):
            made.random(len(seconds), trained=1, refused=2)
            seconds.append(elapsed(recorder.catch_up))
        study = elapsed(recorder.write_study)
        print(
            f"W&B run of a trial: {sum(seconds) / TRIALS:.3f} s over {TRIALS} (goal {GOAL_SECONDS}); "
            f"first {seconds[0]:.2f} s with the import of wandb, longest of the others {max(seconds[1:]):.3f} s"
        )
        print(f"W&B run of the study: {study:.2f} s")
        print_share_of_the_search(results)


def print_share_of_the_search(results: Results) -> None:
    """What starting and ending the side-car takes from the search itself, where all runs are recorded already."""
    views = Views("offline", lambda line: None)
    started = elapsed(lambda: views.start(results))
    print(f"search's own share: {started:.3f} s to start, {elapsed(views.finish):.1f} s to end with the study's run")


def elapsed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
