"""How long a sampler takes over one suggestion as the study grows, on the journal that a search keeps."""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

import optuna
from optuna.samplers import BaseSampler

from export.results import Results
from search.study import SAMPLERS, open_study, record_footprint, tell_refused
from spaces.narrowed import Narrowing
from tests.benchmarks.black_box import Wall, footprint_of_params, values_of, wall_of
from tests.benchmarks.contenders import BOX, plain_tpe

SHARE = 0.18
COUNTS = (50, 200, 500)
MOST_FOR_GP = 50
WINDOW = 15


def milliseconds_by_trials(quick: bool = False) -> dict[str, dict[int, float]]:
    """Processor milliseconds of ask, parameters, constraints and tell, by sampler and number of trials in the study.

    The median over the trials around that number, which the sampler made itself, most of them trained.
    """
    wall, counts = wall_of(SHARE), COUNTS[:1] if quick else COUNTS
    found = {
        f"--sampler {name}": _of(name, [c for c in counts if name != "gp" or c <= MOST_FOR_GP], wall)
        for name in SAMPLERS
    }
    return found | {"Optuna TPE as it comes": _of(plain_tpe(0), list(counts), wall)}


def _of(sampler: str | BaseSampler, counts: list[int], wall: Wall) -> dict[int, float]:
    named = sampler if isinstance(sampler, str) else "random"
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = open_study(Results(Path(folder)), "black_box", BOX, Narrowing(), wall.budget, 0, named)
        study.sampler = study.sampler if isinstance(sampler, str) else sampler
        took = [_milliseconds(study, wall) for _ in range(counts[-1] + WINDOW)]
    return {count: median(took[count - WINDOW : count + WINDOW]) for count in counts}


def _milliseconds(study: optuna.Study, wall: Wall) -> float:
    started = time.process_time()
    trial = study.ask()
    BOX.space(trial)
    overruns = record_footprint(trial, footprint_of_params(trial.params), wall.budget)
    if all(over <= 0 for over in overruns.values()):
        study.tell(trial, values_of(trial.params, 0))
    else:
        tell_refused(study, trial)
    return 1000 * (time.process_time() - started)
