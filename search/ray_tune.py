"""Ray as every search uses it: started or joined quietly, each trial with its share, workers reused."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import ray
from ray import tune
from ray.exceptions import OutOfMemoryError

from search.address import require_answer
from search.deaths import OUT_OF_MEMORY, Deaths
from search.footprints import FootprintWorkers
from search.listed_tasks import ListedTasks
from search.options import Share
from search.populations import Populations
from search.referee import start_referee
from search.searcher import TaskSearcher
from search.stopping import Judge, remembered, rungs_of
from trainables.ray_trainable import TASKS, Post, TrialActor
from trainables.recipe import recipe

if TYPE_CHECKING:
    from search.folder import Store
    from search.options import Options
    from search.referee import RemoteReferee
    from search.searcher import Source
    from spaces.candidate import Objective
    from trainables.assignment import Assignment, Task

# Ray counts its own trials, and a task that is handed out again is one more: the searcher says when to end.
ENDLESS = 10**9


@final
class Cluster:
    """Ray for one search: started when first needed, left when the search ends, however it ends."""

    def __init__(self, options: Options, assignment: Assignment, store: Store) -> None:
        self._options, self._assignment, self._store = options, assignment, store
        self._searcher: TaskSearcher | None = None
        self.fault: Exception | None = None
        self.interrupted = self.out_of_time = False

    @property
    def running(self) -> int:
        """Tasks that were handed out and did not end."""
        return self._searcher.running if self._searcher else 0

    @contextmanager
    def until_interrupted(self, say: Callable[[str], None]) -> Iterator[None]:
        """Do what is inside until it is done, interrupted or out of time; then leave Ray."""
        timer = threading.Timer(self._options.seconds or 0.0, self._time_is_up)
        timer.daemon = True
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if self._options.seconds is not None:
            timer.start()
        try:
            yield
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            timer.cancel()
            ray.shutdown()
        if self.interrupted or self.out_of_time:
            say("the time is up" if self.out_of_time else "interrupted")

    def start(self) -> None:
        """Start or join Ray, if that was not done."""
        if ray.is_initialized():
            return
        start_ray(self._options.cpus, self._options.address, self._options.share)
        # Again, after Ray's start, which puts a handler of its own there.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        self._require_resources()

    def footprints(self) -> FootprintWorkers:
        """Workers for footprints."""
        return FootprintWorkers(self._assignment, self._cpus)

    def referee(self, objectives: Sequence[Objective]) -> RemoteReferee | None:
        """The judge of early stopping, with what earlier runs decided; None where nothing is stopped."""
        rungs = rungs_of(self._options.stop, self._options.epochs)
        if not rungs:
            return None
        judge = remembered(Judge(self._options.stop, objectives), self._store.results.trials)
        return start_referee(judge, rungs)

    def run(self, source: Source, referee: RemoteReferee | None = None, populations: Populations | None = None) -> None:
        """Run the tasks of `source` to the end, or until `fault` says why not; nothing is left begun."""
        deaths = Deaths()
        self._searcher = TaskSearcher(source, deaths, self._options.batch, populations)
        remote, results = self._store.remote, self._store.results
        seen = None if remote else results.run_json
        post = Post(self._options.share.threads, referee, seen, remote, self._arrays())
        actor = tune.with_parameters(TrialActor, assignment=self._assignment, post=post)
        storage = remote.uri if remote else str(results.folder)
        try:
            run_trials(actor, self._searcher, self._options.share, self._at_once, storage, deaths)
        finally:
            self.fault = self._searcher.stopped_by
            with suppress(OSError):
                source.close()

    def populations(self, tasks: int) -> Populations | None:
        """How so many tasks are taught together; None where the command line says that none are."""
        options = self._options
        if options.population == 1:
            return None
        workers = self._at_once or max(1, int(self._cpus / options.share.cpus))
        return Populations(options.recipe, options.share.device, options.population, tasks, workers)

    def run_listed(self, tasks: Sequence[Task], told: Callable[[Task, Mapping[str, Any]], None]) -> None:
        """Run tasks from a list, those together that are alike where that is quicker."""
        populations = self.populations(len(tasks))
        self.run(ListedTasks(populations.in_runs(tasks) if populations else tasks, told), populations=populations)

    def _require_resources(self) -> None:
        there = ray.cluster_resources()
        for name, wanted in (("CPU", self._options.share.cpus), ("GPU", self._options.share.gpus)):
            if wanted > there.get(name, 0):
                option = f"--{name.lower()}s-per-trial"
                raise ValueError(f"{option}: a trial wants {wanted:g} {name}, Ray has {there.get(name, 0):g} here")

    def _arrays(self) -> dict[str, Any]:
        # On one machine the cache itself is what all share.
        if not self._options.address:
            return {}
        arrays = recipe(self._options.recipe).arrays(self._assignment.material)
        return {key: ray.put(np.asarray(array)) for key, array in arrays.items()}

    @property
    def _cpus(self) -> int:
        return self._options.cpus or int(ray.cluster_resources().get("CPU", 1))

    @property
    def _at_once(self) -> int | None:
        # A cluster may grow: there Ray starts as many as find their resources.
        return None if self._options.address else max(1, int(self._cpus / self._options.share.cpus))

    def _time_is_up(self) -> None:
        self.out_of_time = True
        # Not SIGINT, which a process that a shell began in the background ignores.
        os.kill(os.getpid(), signal.SIGTERM)


def start_ray(cpus: int, address: str | None, share: Share | None = None) -> None:
    """Start Ray here with `cpus` (0: all), or join `address` (HOST:PORT or auto); its logs and usage reports stay off.

    An address that nothing answers is a `ValueError`.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")
    # A job that is stopped has three seconds, and a search may be between trials: an interrupt is raised at once.
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
    os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
    require_answer(address)
    local: dict[str, Any] = {} if address else {"num_cpus": cpus or None, "include_dashboard": False}
    try:
        ray.init(
            # "local" because Ray would otherwise join whatever cluster was last started on this machine.
            address=address or "local",
            runtime_env={"env_vars": _environment(share or Share(), joined=bool(address))},
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=True,
            **local,
        )
    except ConnectionError as error:
        raise ValueError(f"--address: no Ray cluster at {address}: {error}") from error
    # A worker that died is said in our own words, with its trial's number.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)


def _environment(share: Share, joined: bool) -> dict[str, str]:
    root = str(Path(__file__).resolve().parent.parent)
    # On a cluster each node has a cache of its own.
    cache = {
        name: os.environ[name] for name in ("POTSTILL_CACHE", "POTSTILL_CACHE_CAP") if name in os.environ and not joined
    }
    # A job's workers find the project in its working folder, which lies elsewhere on each node.
    path = {} if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ else {"PYTHONPATH": root}
    return {**path, "OMP_NUM_THREADS": str(share.threads), "TF_CPP_MIN_LOG_LEVEL": "2", **cache}


def run_trials(
    actor: Any, searcher: TaskSearcher, share: Share, at_once: int | None, storage: str, deaths: Deaths
) -> None:
    """Run what `searcher` hands out to its end: `at_once` trials (None: as many as fit), workers reused.

    `storage` is a folder or a URI that Ray keeps its own files in.
    """
    while True:
        try:
            _tuner(actor, searcher, share, at_once, storage, deaths).fit()
            return
        except RuntimeError as error:
            # Ray Tune 2.60 knows no such end of an actor and stops with it, after it has let all workers go.
            if not isinstance(error.__cause__, OutOfMemoryError):
                raise
            searcher.all_died(OUT_OF_MEMORY)


def _tuner(
    actor: Any, searcher: TaskSearcher, share: Share, at_once: int | None, storage: str, deaths: Deaths
) -> tune.Tuner:
    return tune.Tuner(
        tune.with_resources(actor, share.resources),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=deaths,
            num_samples=ENDLESS,
            max_concurrent_trials=at_once,
            reuse_actors=True,
            trial_dirname_creator=trial_folder,
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=storage,
            verbose=0,
            # A trial keeps its own checkpoint in its own folder.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )


def trial_folder(trial: Any) -> str:
    """Ray's own folder of a Ray trial, named by its first task."""
    return f"{trial.config[TASKS][0]['number']}-{trial.trial_id}"
