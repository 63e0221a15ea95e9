"""Second looks at a finished study: its front with fresh seeds, beside labels alone, and one pick at full length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from export.front import find_front
from export.picks import pick
from export.results import Results, read_study, require_trained
from search.study import finished_report
from spaces import recipe_space
from spaces.twin import labels_alone, twin_folder
from trainables.assignment import Task

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
    tasks += _twins(front.members, options)
    if options.final is not None:
        tasks.append(_final(pick(front, options.final), options))
    return [task for task in tasks if not _is_there(task, results)]


def _confirmations(row: TrialRow, options: Options) -> list[Task]:
    # The folder's name is the seed: a task is numbered by it.
    return [Task(seed, row.params, seed=seed, trials=f"confirm/{row.number}") for seed in _seeds(options)]


def _seeds(options: Options) -> range:
    return range(options.request.seed + 1, options.request.seed + 1 + options.confirm)


def _twins(rows: Sequence[TrialRow], options: Options) -> list[Task]:
    """The members' twins at alpha 1 with the same seeds; members that differ in the teaching alone share one."""
    alone = [labels_alone(options.recipe, row.params) for row in rows]
    twins = {twin_folder(twin): twin for twin in alone if twin is not None}
    return [
        Task(seed, twin, seed=seed, trials=f"labels_alone/{folder}")
        for folder, twin in twins.items()
        for seed in _seeds(options)
    ]


def _final(row: TrialRow, options: Options) -> Task:
    epochs = recipe_space(options.recipe).SOURCE_EPOCHS
    return Task(row.number, row.params, epochs=epochs, trials="final")


def _is_there(task: Task, results: Results) -> bool:
    assert task.trials is not None
    return finished_report(results.folder / task.trials, task.number, task.params) is not None


def line(task: Task, report: Mapping[str, Any]) -> str:
    """How a second look ended, in words."""
    what = _what(task)
    if report["outcome"] != "trained":
        return f"{what}  {report['outcome']}: {report.get('reason')}"
    return f"{what}  score {report['score_int8']:.3f} (float {report['score_float']:.3f})"


def _what(task: Task) -> str:
    kind, _, name = str(task.trials).partition("/")
    if kind == "final":
        return f"final {task.number}"
    return f"{f'trial {name}' if kind == 'confirm' else f'labels alone {name}'} with seed {task.seed}"
