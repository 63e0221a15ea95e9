"""A recipe's ablation: its settings trained with several seeds each, on Ray, resumable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from export.ablation import ablation_rows, ablation_text, write_ablation
from search.address import require_answer
from search.folder import open_store
from search.options import Ended
from search.run import prepared
from search.study import finished_report
from spaces import recipe_space
from spaces.narrowed import Narrowing
from trainables.assignment import Task
from trainables.recipe import recipe

if TYPE_CHECKING:
    from export.results import Results
    from search.options import Options
    from spaces.ablation import Setting


def ablate(options: Options, say: Callable[[str], None]) -> Ended:
    """Train what is not there yet, then write and say the table. Raises `ValueError` where a recipe has no ablation."""
    from search.ray_tune import Cluster

    settings = possible_settings(options, say)
    require_answer(options.address)
    store = open_store(options.results)

    def told(task: Task, report: Mapping[str, Any]) -> None:
        store.after_a_task(task.name)
        say(line(task, report))

    with store.held():
        material = prepared(options, store, say)
        tasks = [task for setting in settings for task in _tasks(setting, options, store.results)]
        cluster = Cluster(options, options.assignment(material, store.results.trials), store)
        with cluster.until_interrupted(say):
            if tasks:
                cluster.start()
                cluster.run_listed(tasks, told)
        rows = ablation_rows(store.results, settings, recipe_space(options.recipe).ABLATION_FIGURES)
        teacher = material.teacher.get("test", {})
        write_ablation(rows, store.results, teacher)
        say(ablation_text(rows, teacher))
        left = any(_tasks(setting, options, store.results) for setting in settings)
    fault = str(cluster.fault) if cluster.fault else None
    return Ended(not left or cluster.out_of_time, sum(row.seeds for row in rows), fault)


def possible_settings(options: Options, say: Callable[[str], None]) -> list[Setting]:
    """The recipe's settings, without those, which are said, that the teacher cannot teach."""
    settings, fixed = recipe_space(options.recipe).ABLATION, recipe(options.recipe).fixed(options.request)
    if options.narrowing not in (Narrowing(), Narrowing().fixing(fixed)):
        raise ValueError("--ablation: its settings say it all; leave out --set and --range")
    if not settings:
        raise ValueError(f"--ablation: {options.recipe} has none")
    barred = {
        setting.name: f"with this --teacher, {name} is {value}"
        for setting in settings
        for name, value in fixed.items()
        if setting.params.get(name, value) != value
    }
    for name, why in barred.items():
        say(f"{name} is left out: {why}")
    return [setting for setting in settings if setting.name not in barred]


def _tasks(setting: Setting, options: Options, results: Results) -> list[Task]:
    first, folder = options.request.seed, results.ablation / setting.folder
    seeds = range(first, first + (1 if setting.once else options.seeds))
    missing = [seed for seed in seeds if finished_report(folder, seed, setting.params) is None]
    where = folder.relative_to(results.folder).as_posix()
    return [Task(seed, setting.params, seed=seed, trials=where) for seed in missing]


def line(task: Task, report: Mapping[str, Any]) -> str:
    """How one training ended, in words."""
    what = f"{str(task.trials).rpartition('/')[2]}, seed {task.seed}"
    if report["outcome"] != "trained":
        return f"{what}  {report['outcome']}: {report.get('reason')}"
    return f"{what}  score {report['score_int8']:.3f} (float {report['score_float']:.3f})"
