"""The Ray trainable: one trial after another in a reused worker process."""

from __future__ import annotations

import json
import traceback
from typing import TYPE_CHECKING, Any, final

import torch
from ray import tune

from export.results import write_atomically
from trainables.distil import NotANumberError
from trainables.trial import run_trial

if TYPE_CHECKING:
    from trainables.trial import Assignment

NUMBER = "trial_number"
REPORT = "report"


@final
class TrialActor(tune.Trainable):
    """A trial in one step.

    A class, because Ray runs a function in a thread of its own, and torch.export in a second such thread crashes the
    process: torch 2.11 keeps a device guard that dies with the first thread.
    """

    def setup(self, config: dict[str, Any], assignment: Assignment, threads: int) -> None:  # type: ignore[override]
        """Take the first trial; `threads` is this worker's share of the CPUs."""
        torch.set_num_threads(threads)
        self._assignment = assignment

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial."""
        return True

    def step(self) -> dict[str, Any]:
        """Run the trial that the config holds: plain parameters and its number.

        The report is one text, because Ray would flatten the nested object into a hundred columns.
        """
        number = self.config[NUMBER]
        params = {name: value for name, value in self.config.items() if name != NUMBER}
        return {REPORT: json.dumps(report_of(self._assignment, number, params)), "done": True}


def report_of(assignment: Assignment, number: int, params: dict[str, Any]) -> dict[str, Any]:
    """What a trial ended with; a failure is reported, not raised: it ends this trial alone and reaches the study."""
    try:
        return run_trial(assignment, number, params)
    except NotANumberError as error:
        return {"outcome": "failed", "reason": str(error)}
    except Exception as error:
        write_atomically(assignment.trials / str(number) / "error.txt", traceback.format_exc())
        return {"outcome": "failed", "reason": f"{type(error).__name__}: {error}"}
