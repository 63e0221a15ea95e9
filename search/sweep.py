"""The command `python -m search sweep`: a recipe's space as a W&B sweep, and finished runs as its prior runs."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from export.results import Results, read_run, write_atomically
from spaces import RecipeSpace, recipe_space
from spaces.narrowed import NarrowedSpace, Narrowing, parameters, parse_narrowing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna.distributions import BaseDistribution

    from export.results import Run

Method = Literal["bayes", "random"]

DONE, FAILED, BAD_INPUT = 0, 1, 2
# What a single point heeds of the options of a search.
PASSED = (
    "data",
    "task",
    "word",
    "split",
    "teacher",
    "teacher-layers",
    "noise",
    "rooms",
    "streams",
    "max-false-alarms-per-hour",
    "private",
    "train-on",
    "board",
    "budget",
    "latency-margin",
    "calibration",
    "results",
    "epochs",
    "seed",
    "cpus",
    "config",
)


def main(argv: Sequence[str]) -> int:
    """Exit code 0 done, 1 W&B's server did not take it, 2 bad input."""
    given = _parser().parse_args(argv)
    try:
        return _sweep(given)
    except (ValueError, ConnectionError) as error:
        bad = isinstance(error, ValueError)
        sys.stderr.write(f"{'error' if bad else 'failed'}: {error}\n")
        return BAD_INPUT if bad else FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m search sweep",
        description="Write a recipe's space as a W&B sweep: wandb sweep FILE makes it, wandb agent ID runs its points "
        "through python -m search RECIPE --one. W&B chooses by the first objective alone and knows no ceilings.",
        allow_abbrev=False,
    )
    parser.add_argument("recipe", help="as in python -m search --help")
    parser.add_argument("--output", type=Path, metavar="FILE.yaml", help="where to write it (default: printed)")
    parser.add_argument("--method", choices=("bayes", "random"), default="bayes", help="(default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="fix a parameter")
    parser.add_argument("--range", action="append", default=[], metavar="NAME=LOW:HIGH", help="narrow a parameter")
    parser.add_argument(
        "--prior",
        type=Path,
        metavar="RESULTS",
        help="make the sweep on W&B's server of this study's uploaded runs, in the study's space",
    )
    passed = parser.add_argument_group("handed to every point, as in python -m search RECIPE --help")
    for name in PASSED:
        passed.add_argument(f"--{name}", metavar=name.upper())
    return parser


def _sweep(given: argparse.Namespace) -> int:
    space = recipe_space(given.recipe)
    narrowing, passed = parse_narrowing(given.set, given.range, parameters(space)), passed_options(given)
    if given.prior:
        run = _run_of(given.prior, given.recipe)
        narrowing, passed = _narrowing_of(run, narrowing), _passed_of(run) | passed
    words = [f"--{name}={value}" for name, value in passed.items()]
    config = sweep_config(given.recipe, space, narrowing, given.method, words)
    if given.output or not given.prior:
        _write(config, given.output)
    return _register(config, given.prior, given.recipe) if given.prior else DONE


def passed_options(given: argparse.Namespace) -> dict[str, str]:
    """The options that were given for every point."""
    values = {name: getattr(given, name.replace("-", "_")) for name in PASSED}
    return {name: value for name, value in values.items() if value is not None}


def sweep_config(
    recipe: str, space: RecipeSpace, narrowing: Narrowing, method: Method, passed: Sequence[str] = ()
) -> dict[str, Any]:
    """A W&B sweep configuration (docs.wandb.ai, sweep configuration structure) of a narrowed space.

    Conditions flatten: a point carries parameters of every branch, and `--one` ignores those of branches not taken.
    """
    distributions = parameters(NarrowedSpace(space, narrowing))
    objective = space.OBJECTIVES[0]
    return {
        "name": recipe,
        "description": space.SUMMARY,
        "program": "search/__main__.py",
        "method": method,
        "metric": {"name": objective.name, "goal": objective.direction},
        "parameters": {name: parameter(distributions[name]) for name in sorted(distributions)},
        "command": ["${env}", "${interpreter}", "-m", "search", recipe, "--one", "${args_json_file}", *passed],
    }


def parameter(distribution: BaseDistribution) -> dict[str, Any]:
    """One parameter in W&B's vocabulary; steps become values, since W&B counts its own from 0 and not from the low."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return _values(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    whole = isinstance(distribution, IntDistribution)
    if low == high or (step and not (whole and step == 1)):
        count = round((high - low) / step) + 1 if step else 1
        return _values([low + index * (step or 0) for index in range(count)])
    if distribution.log:
        return {"distribution": "q_log_uniform_values", "q": 1, "min": low, "max": high} if whole else _log(low, high)
    return {"distribution": "int_uniform" if whole else "uniform", "min": low, "max": high}


def _log(low: float, high: float) -> dict[str, Any]:
    return {"distribution": "log_uniform_values", "min": low, "max": high}


def _values(values: Sequence[Any]) -> dict[str, Any]:
    return {"value": values[0]} if len(values) == 1 else {"values": list(values)}


def as_yaml(config: Mapping[str, Any]) -> str:
    """The configuration as the file that `wandb sweep` reads."""
    import yaml  # type: ignore[import-untyped]

    head = "# wandb sweep THIS_FILE makes the sweep; wandb agent ID, from the repository's root, runs its points.\n"
    return head + str(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))


def _write(config: Mapping[str, Any], output: Path | None) -> None:
    if output is None:
        sys.stdout.write(as_yaml(config))
        return
    try:
        write_atomically(output, as_yaml(config))
    except OSError as error:
        raise ValueError(f"--output: {output} cannot be written: {error.strerror}") from error
    sys.stdout.write(f"wrote {output}; wandb sweep {output} makes the sweep\n")


def _run_of(folder: Path, recipe: str) -> Run:
    run = read_run(Results(folder))
    if run.recipe != recipe:
        raise ValueError(f"--prior: {folder} holds a study of recipe {run.recipe}, not {recipe}")
    return run


def _narrowing_of(run: Run, given: Narrowing) -> Narrowing:
    if given != Narrowing():
        raise ValueError("--prior: the study says what its space was; leave out --set and --range")
    narrowing = run.details.get("narrowing") or {}
    ranges = {name: (float(low), float(high)) for name, (low, high) in narrowing.get("range", {}).items()}
    return Narrowing(narrowing.get("set", {}), ranges)


def _passed_of(run: Run) -> dict[str, str]:
    words = shlex.split(str(run.details.get("command", "")))
    if run.recipe not in words:
        return {}
    return passed_options(_parser().parse_known_args(words[words.index(run.recipe) :])[0])


def _register(config: Mapping[str, Any], folder: Path, recipe: str) -> int:
    from search.views import STUDY_RUN, recorded, register_sweep, uploaded, wandb_folder

    results = Results(folder.resolve())
    runs = {name: run for name, run in recorded(results).items() if not name.endswith(f"-{STUDY_RUN}")}
    ready = [name for name, run in runs.items() if uploaded(run)]
    if not ready:
        raise ValueError(f"--prior: none of {len(runs)} runs is uploaded yet: wandb sync {wandb_folder(results)}")
    sweep = register_sweep(config, ready, results)
    left = f"; {len(runs) - len(ready)} more are not uploaded yet" if len(ready) < len(runs) else ""
    sys.stdout.write(f"sweep {sweep} of {len(ready)} runs of {recipe}{left}\n")
    return DONE
