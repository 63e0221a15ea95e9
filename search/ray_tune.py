"""Ray as every search uses it: started quietly, one CPU per trial, workers reused."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import tune

from trainables.ray_trainable import NUMBER

if TYPE_CHECKING:
    from ray.tune import Callback

    from search.searcher import OptunaSearcher


def start_ray(cpus: int, address: str | None) -> None:
    """Start Ray here with `cpus` (0: all), or join `address`; its logs and usage reports stay off."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
    root = str(Path(__file__).resolve().parent.parent)
    address = address or os.environ.get("RAY_ADDRESS")
    local: dict[str, Any] = {} if address else {"num_cpus": cpus or os.cpu_count(), "include_dashboard": False}
    shared = {name: os.environ[name] for name in ("POTSTILL_CACHE",) if name in os.environ}
    ray.init(
        # "local" because Ray would otherwise join whatever cluster was last started on this machine.
        address=address or "local",
        runtime_env={"env_vars": {"PYTHONPATH": root, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2", **shared}},
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=True,
        **local,
    )


def tuner_for(
    actor: Any, searcher: OptunaSearcher, trials: int, cpus: int, folder: Path, callbacks: list[Callback]
) -> tune.Tuner:
    """Ray Tune as every search uses it: one CPU per trial, workers reused, nothing printed."""
    return tune.Tuner(
        tune.with_resources(actor, {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            num_samples=trials,
            max_concurrent_trials=cpus,
            reuse_actors=True,
            trial_dirname_creator=trial_folder,
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(folder),
            verbose=0,
            callbacks=callbacks,
            # A trial keeps its own checkpoint in its own folder.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )


def trial_folder(trial: Any) -> str:
    """Ray's own folder of a trial, named as ours is."""
    return str(trial.config[NUMBER])
