"""A search from its options to a finished study: prepared, run on Ray, resumable, looked at a second time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from export.results import Results, write_atomically
from search.confirm import line, second_looks
from search.folder import held, open_results
from search.options import Ended, Options
from search.record import describe, previous_run, refuse_other_recipe, refuse_other_run
from spaces import recipe_space
from trainables.recipe import Material, recipe

if TYPE_CHECKING:
    import optuna

    from search.ray_tune import Cluster

Say = Callable[[str], None]


def search(options: Options, say: Say) -> Ended:
    """Run or resume a study until `options.trials` trials count, the time is up, or an interrupt.

    Raises `ValueError` for anything the user can mend, before any training where it can be known.
    """
    results = open_results(options.results)
    with held(results.folder):
        material = _prepared(options, results, say)
        return _searched(options, results, material, say)


def _prepared(options: Options, results: Results, say: Say) -> Material:
    previous = previous_run(results)
    refuse_other_recipe(previous, options.recipe, results.folder)
    say(f"preparing {options.recipe}: corpus, teacher")
    material = recipe(options.recipe).prepare(options.request)
    for warning in material.warnings:
        say(f"warning: {warning}")
    run = describe(options, material)
    refuse_other_run(previous, run, results.folder)
    write_atomically(results.run_json, json.dumps(run, indent=2))
    say(_summary(material))
    return material


def _summary(material: Material) -> str:
    data, teacher = material.data, material.teacher
    counts = ", ".join(f"{split} {sum(labels.values())}" for split, labels in data["clips"].items())
    return (
        f"data: {data['name']}, {counts} clips, word {data['word']!r}, split {data['split']}\n"
        f"teacher: {teacher['name']}, F1 {teacher['validation']['f1']:.3f} on validation"
    )


def _searched(options: Options, results: Results, material: Material, say: Say) -> Ended:
    from search.ray_tune import Cluster
    from search.study import counted, open_study
    from search.warm_start import front_points

    space = recipe_space(options.recipe)
    points = front_points(options.warm_starts, options.recipe, space)
    study = open_study(results, options.recipe, space, options.narrowing, options.request.seed, options.sampler, points)
    cluster = Cluster(options, options.assignment(material, results.trials), results)
    with cluster.until_interrupted(say):
        if counted(study) < options.trials:
            _fit(options, results, study, cluster, say)
        else:
            say(f"{results.folder} holds {counted(study)} finished trials already")
        if counted(study) >= options.trials:
            _look_again(options, results, cluster, say)
    return _ended(study, options.trials, cluster)


def _fit(options: Options, results: Results, study: optuna.Study, cluster: Cluster, say: Say) -> None:
    from export.front import ceiling_of
    from search.optuna_tasks import NothingFitsError, OptunaTasks
    from search.progress import Progress
    from search.study import counted, outcome

    space = recipe_space(options.recipe)
    ceilings = [ceiling_of(objective.name, options.budget.as_dict()) for objective in space.OBJECTIVES]
    progress = Progress(study, options.trials, ceilings, lambda: cluster.running)
    cluster.start()
    source = OptunaTasks(
        study,
        space,
        options.narrowing,
        options.budget,
        cluster.footprints(),
        results.trials,
        options.trials - counted(study),
        [progress.ended],
    )
    with progress.shown():
        cluster.run(source, cluster.referee(space.OBJECTIVES))
    if isinstance(cluster.fault, NothingFitsError) and all(outcome(trial) != "trained" for trial in study.trials):
        raise cluster.fault


def _look_again(options: Options, results: Results, cluster: Cluster, say: Say) -> None:
    from search.listed_tasks import ListedTasks

    tasks = second_looks(options, results)
    if tasks:
        say(f"training {len(tasks)} more: the front with fresh seeds, or a pick at full length")
        cluster.start()
        cluster.run(ListedTasks(tasks, lambda task, report: say(line(task, report))))


def _ended(study: optuna.Study, trials: int, cluster: Cluster) -> Ended:
    from search.study import counted, outcome

    told = study.get_trials(deepcopy=False)
    trained = sum(outcome(trial) == "trained" for trial in told)
    reasons = [str(trial.user_attrs.get("reason")) for trial in told if outcome(trial) == "failed"]
    fault = str(cluster.fault) if cluster.fault else None
    if fault is None and not trained and reasons:
        fault = f"no trial was trained; the first one failed with: {reasons[0]}"
    complete = counted(study) >= trials and not cluster.interrupted
    return Ended(complete or cluster.out_of_time, trained, fault)
