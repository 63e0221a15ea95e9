"""Second looks at a finished study: its front with fresh seeds, and one pick at the source's full length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from export.front import find_front, pick
from export.results import Results, read_study, require_trained
from search.study import finished_report
from spaces import recipe_space
from trainables.trial import Task

if TYPE_CHECKING:
    from export.results import TrialRow
    from search.options import Options


def second_looks(options: Options, results: Results) -> list[Task]:
    """What `--confirm` and `--final` ask for and is not there yet; a `ValueError` for a pick that there is not."""
    if not options.confirm and options.final is None:
        return []
    study = read_study(results.folder)
    require_trained(study)
    front = find_front(study)
    tasks = [task for row in front.members for task in _confirmations(row, options)]
    if options.final is not None:
        tasks.append(_final(pick(front, options.final), options))
    return [task for task in tasks if not _is_there(task, results)]


def _confirmations(row: TrialRow, options: Options) -> list[Task]:
    seeds = range(options.request.seed + 1, options.request.seed + 1 + options.confirm)
    # The folder's name is the seed: a task is numbered by it.
    return [Task(seed, row.params, seed=seed, trials=f"confirm/{row.number}") for seed in seeds]


def _final(row: TrialRow, options: Options) -> Task:
    epochs = recipe_space(options.recipe).SOURCE_EPOCHS
    return Task(row.number, row.params, epochs=epochs, trials="final")


def _is_there(task: Task, results: Results) -> bool:
    assert task.trials is not None
    return finished_report(results.folder / task.trials, task.number, task.params) is not None


def line(task: Task, report: Mapping[str, Any]) -> str:
    """How a second look ended, in words."""
    what = f"trial {_trial_of(task)} with seed {task.seed}" if task.seed is not None else f"final {task.number}"
    if report["outcome"] != "trained":
        return f"{what}  {report['outcome']}: {report.get('reason')}"
    return f"{what}  score {report['score_int8']:.3f} (float {report['score_float']:.3f})"


def _trial_of(task: Task) -> str:
    return str(task.trials).rpartition("/")[2]
