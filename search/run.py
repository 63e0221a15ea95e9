"""A search from its options to a finished study: prepared, run on Ray, resumable, looked at a second time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from export.results import write_atomically
from search.address import require_answer
from search.confirm import line, second_looks
from search.folder import Store, open_store
from search.options import Ended, Options
from search.record import describe, previous_run, refuse_other_recipe, refuse_other_run
from search.teacher_progress import said
from spaces import recipe_space
from trainables.cache_holds import keep_what_is_used
from trainables.recipe import Material, recipe

if TYPE_CHECKING:
    from pathlib import Path

    import optuna

    from search.ray_tune import Cluster
    from spaces.candidate import Scalar
    from trainables.assignment import Task

Say = Callable[[str], None]


def search(options: Options, say: Say, export: Callable[[Path], int]) -> Ended:
    """Run or resume a study until `options.trials` trials count, the time is up, or an interrupt.

    `export` writes front and report of a results folder that holds a trained trial. Raises `ValueError` for anything
    the user can mend, before any training where it can be known.
    """
    from search.micro_scores import score_front
    from search.side_car import Views
    from search.warm_start import front_points

    require_answer(options.address)
    points = front_points(options.warm_starts, options.recipe, recipe_space(options.recipe))
    store = open_store(options.results)
    with store.held(), Views(options.wandb, say) as views:
        material = prepared(options, store, say)
        views.start(store.results)
        ended = _searched(options, store, material, points, say)
        if ended.trained:
            if ended.complete:
                score_front(options, store.results, material, say)
            ended = replace(ended, exported=export(store.results.folder))
        views.finish()
    return ended


def prepared(options: Options, store: Store, say: Say) -> Material:
    """Corpus and teacher, written down in run.json; a `ValueError` where the folder was searched under other terms."""
    results = store.results
    previous = previous_run(results)
    refuse_other_recipe(previous, options.recipe, results.folder)
    say(f"preparing {options.recipe}: corpus, teacher")
    with said(say):
        material = recipe(options.recipe).prepare(options.request)
        # Whatever has to be decoded is decoded now: from here on the recordings may go.
        kept = recipe(options.recipe).arrays(material)
        keep_what_is_used()
        del kept
    for warning in material.warnings:
        say(f"warning: {warning}")
    run = describe(options, material)
    refuse_other_run(previous, run, results.folder)
    write_atomically(results.run_json, json.dumps(run, indent=2))
    store.share(results.run_json)
    say("\n".join(recipe(options.recipe).summary(material)))
    return material


def _searched(
    options: Options, store: Store, material: Material, points: Sequence[Mapping[str, Scalar]], say: Say
) -> Ended:
    from search.ray_tune import Cluster
    from search.study import counted, give_back_unfinished, open_study

    space, results = recipe_space(options.recipe), store.results
    study = open_study(
        results,
        options.recipe,
        space,
        options.narrowing,
        options.budget,
        options.request.seed,
        options.sampler,
        points,
    )
    give_back_unfinished(study)
    cluster = Cluster(options, options.assignment(material, results.trials), store)
    with cluster.until_interrupted(say):
        if counted(study) < options.trials:
            _fit(options, store, study, cluster)
        else:
            say(f"{results.folder} holds {counted(study)} finished trials already")
        if counted(study) >= options.trials:
            _look_again(options, store, cluster, say)
    return _ended(study, options.trials, cluster)


def _fit(options: Options, store: Store, study: optuna.Study, cluster: Cluster) -> None:
    from export.front import ceiling_of
    from search.optuna_tasks import NothingFitsError, OptunaTasks
    from search.progress import Progress
    from search.study import counted, outcome

    space = recipe_space(options.recipe)
    ceilings = [ceiling_of(objective.name, options.budget.as_dict()) for objective in space.OBJECTIVES]
    progress = Progress(study, options.trials, ceilings, lambda: cluster.running)
    cluster.start()
    left = options.trials - counted(study)
    # Candidates that share an architecture make another search: only where it was asked for.
    populations = None if options.population is None else cluster.populations(left)
    source = OptunaTasks(
        study,
        space,
        options.narrowing,
        options.budget,
        cluster.footprints(),
        store.results.trials,
        left,
        [lambda number, *told: store.after_a_task(f"trials/{number}"), progress.ended],
        store.before_a_trial,
        populations,
    )
    with progress.shown():
        cluster.run(source, cluster.referee(space.OBJECTIVES), populations)
    if isinstance(cluster.fault, NothingFitsError) and all(outcome(trial) != "trained" for trial in study.trials):
        raise cluster.fault


def _look_again(options: Options, store: Store, cluster: Cluster, say: Say) -> None:
    def told(task: Task, report: Mapping[str, Any]) -> None:
        store.after_a_task(task.name)
        say(line(task, report))

    try:
        tasks = second_looks(options, store.results)
    except ValueError as error:
        # What was searched is exported all the same.
        cluster.fault = error
        return
    if tasks:
        say(f"training {len(tasks)} more: the front with fresh seeds, their twins, or a pick at full length")
        cluster.start()
        cluster.run_listed(tasks, told)


def _ended(study: optuna.Study, trials: int, cluster: Cluster) -> Ended:
    from search.study import counted, outcome

    told = study.get_trials(deepcopy=False)
    trained = sum(outcome(trial) == "trained" for trial in told)
    reasons = [str(trial.user_attrs.get("reason")) for trial in told if outcome(trial) == "failed"]
    fault = str(cluster.fault) if cluster.fault else None
    if fault is None and not trained and reasons:
        fault = f"no trial was trained; the first one failed with: {reasons[0]}"
    complete = counted(study) >= trials and not cluster.interrupted and fault is None
    return Ended(complete or cluster.out_of_time, trained, fault)
