"""syne-tune behind a pipe, run by the Python of its own environment: JSON lines in, JSON lines out.

{"space": {name: [kind, ...]}, "start": [params], "seed": n, "method": name} begins a search and is answered by the
first proposal; a list of metrics to minimise tells it, and is answered by the next. Imports nothing of this project.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from typing import IO, Any

import torch
from syne_tune.config_space import choice, finrange, loguniform, uniform  # type: ignore[import-not-found]
from syne_tune.optimizer.schedulers.ask_tell_scheduler import AskTellScheduler  # type: ignore[import-not-found]
from syne_tune.optimizer.schedulers.multiobjective import (  # type: ignore[import-not-found]
    MultiObjectiveRegularizedEvolution,
)
from syne_tune.optimizer.schedulers.multiobjective.expected_hyper_volume_improvement import (  # type: ignore[import-not-found]
    ExpectedHyperVolumeImprovement,
)
from syne_tune.optimizer.schedulers.single_fidelity_scheduler import (  # type: ignore[import-not-found]
    SingleFidelityScheduler,
)

METRICS = ["m0", "m1", "m2"]
DOMAINS = {"choice": choice, "uniform": uniform, "loguniform": loguniform, "finrange": finrange}
# Evolution's default population of 100 would be random search over 60 trials. With EHVI's default of 20 restarts of 200
# samples a search takes 350 s.
SEARCHERS = {
    "evolution": partial(MultiObjectiveRegularizedEvolution, population_size=20),
    "ehvi": partial(ExpectedHyperVolumeImprovement, num_restarts=2, num_raw_samples=64),
}


def main() -> None:
    """Serve searches until the pipe closes."""
    # EHVI mixes float and double otherwise.
    torch.set_default_dtype(torch.double)
    torch.set_num_threads(1)
    answers, sys.stdout = sys.stdout, sys.stderr
    search: Any = None
    asked: Any = None
    for line in sys.stdin:
        message, started = json.loads(line), time.process_time()
        if isinstance(message, dict):
            search = AskTellScheduler(scheduler(**message))
        else:
            search.tell(asked, dict(zip(METRICS, message, strict=True)))
        asked = search.ask()
        send(answers, {"params": asked.config, "seconds": time.process_time() - started})


def scheduler(space: dict[str, list[Any]], start: list[dict[str, Any]], seed: int, method: str) -> Any:
    """One of syne-tune's multi-objective schedulers."""
    domains = {name: DOMAINS[kind](*arguments) for name, (kind, *arguments) in space.items()}
    searcher = SEARCHERS[method](domains, start, random_seed=seed)
    return SingleFidelityScheduler(domains, METRICS, searcher=searcher, random_seed=seed)


def send(pipe: IO[str], message: dict[str, Any]) -> None:
    """Write one line."""
    pipe.write(json.dumps(message) + "\n")
    pipe.flush()


if __name__ == "__main__":
    main()
