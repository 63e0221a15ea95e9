"""The command `python -m search`."""

from __future__ import annotations

import argparse
import importlib
import math
import os
import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import spaces
from spaces.board import boards, load_board
from spaces.budget import parse_budget
from spaces.narrowed import parameters, parse_narrowing
from trainables.disk import NO_SPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from export.calibration import Calibration
    from search.options import Options
    from spaces import RecipeSpace

DONE, FAILED, BAD_INPUT, PARTIAL = 0, 1, 2, 3
TRIALS = 24
# Reserved words: module, argument, summary.
OTHERS = {
    "sweep": ("search.sweep", "RECIPE", "the space as a W&B sweep configuration, or a search's runs as a sweep"),
    "data": ("search.data_report", "DIR", "counts, duplicates, leaks and the split of a data folder"),
}
SAMPLERS = ("ehvi", "tpe", "nsga2", "nsga3", "gp", "random")
STOPS = ("none", "dominance", "asha")
WANDB = ("offline", "online", "off")
LEAST = {
    "trials": 1,
    "epochs": 1,
    "seed": 0,
    "cpus": 0,
    "batch": 1,
    "confirm": 0,
    "seeds": 1,
    "cpus-per-trial": 0.05,
    "gpus-per-trial": 0,
}
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 done, 1 failed, 2 bad input, 3 partial: interrupted, with what was finished exported."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if arguments[:1] and arguments[0] in OTHERS:
        command: Callable[[Sequence[str]], int] = importlib.import_module(OTHERS[arguments[0]][0]).main
        return command(arguments[1:])
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return DONE
    try:
        space = spaces.recipe_space(arguments[0])
        parser = _parser(arguments[0], space, arguments)
        given = parser.parse_args(with_config(arguments[1:], parser))
        return _run(_options(arguments[0], space, given, arguments), given)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        print(f"failed: the disk is full: {error.filename} cannot be written", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return PARTIAL


def _overview() -> str:
    lines = ["usage: python -m search RECIPE [options]   (python -m search RECIPE --help lists them)", "", "recipes:"]
    lines += [f"  {name:<20}{space.SUMMARY}" for name, space in sorted(spaces.recipes().items())]
    lines += ["", "other:", *(f"  {word + ' ' + what:<20}{text}" for word, (_, what, text) in OTHERS.items())]
    lines += ["", "exit codes: 0 done, 1 failed, 2 bad input, 3 interrupted (what was finished is exported)"]
    return "\n".join(lines)


def _parser(name: str, space: RecipeSpace, arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m search {name}",
        description=f"{space.SUMMARY}. Objectives: "
        + ", ".join(f"{objective.name} ({objective.direction})" for objective in space.OBJECTIVES),
        epilog=_space_text(space) if {"-h", "--help"} & set(arguments) else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data",
        type=Path,
        help="folder of recordings (manifest.csv, known file names or class per folder); default: a synthesised corpus",
    )
    data.add_argument("--task", help="rows of a mixed manifest.csv to use")
    data.add_argument(
        "--word", help="wakeword: the word (default: computer); baby_cry: the class (default: what is named like a cry)"
    )
    data.add_argument(
        "--streams",
        type=Path,
        metavar="DIR",
        help="wakeword: long recordings without the word, to count false alarms on; half is for validation, half for "
        "test (default: the held-out negatives end to end)",
    )
    data.add_argument(
        "--private",
        type=Path,
        help="baby_cry: folder of captures of your own that join the data, split by time; those in a folder "
        "_unlabelled_ are labelled by the teacher's filter, for training alone",
    )
    data.add_argument(
        "--train-on",
        choices=("both", "private", "public"),
        default="both",
        help="whose recordings to train on; validation and test hold both (default: %(default)s)",
    )
    data.add_argument(
        "--split",
        choices=("speaker", "word", "random", "given"),
        default="speaker",
        help="how clips are split where the data does not say (default: %(default)s)",
    )
    data.add_argument(
        "--teacher",
        default="speech_embedding",
        help="speech_embedding; wav2vec2:, hubert:, wavlm: or whisper:NAME_OR_FOLDER, or a file of weights in one; "
        "yamnet:FILE_OR_FOLDER; classifier:NAME_OR_FOLDER, with its own head; fine_tuned(wav2vec2:..., layers=2, "
        "epochs=5, lr=3e-5); or mean(A, B), confident(A, B) (default: %(default)s)",
    )
    data.add_argument(
        "--noise", type=Path, help="folder of noise for training clips (default: the data's own, and synthesised noise)"
    )
    data.add_argument(
        "--rooms", type=Path, help="folder of impulse responses for training clips (default: synthesised rooms)"
    )
    hardware = parser.add_argument_group("hardware")
    hardware.add_argument(
        "--board", default=space.BOARD, help=f"a TOML file or one of {', '.join(boards())} (default: %(default)s)"
    )
    hardware.add_argument(
        "--budget", default="", help=f"ceilings, as in flash=512K,arena=200K,latency=50 (default: {space.BUDGET})"
    )
    hardware.add_argument(
        "--latency-margin",
        type=float,
        default=1.0,
        help="what the latency ceiling is held against, from 0, the estimate, to 1, the interval's end (default: 1)",
    )
    hardware.add_argument("--calibration", type=Path, help="factors of your board, from python -m export calibrate")
    study = parser.add_argument_group("study")
    study.add_argument(
        "--results",
        default=f"results/{name}",
        help="folder of the study, or a URI such as s3://bucket/folder; the same one resumes it (default: %(default)s)",
    )
    study.add_argument(
        "--trials", type=int, default=TRIALS, help="trained, stopped and failed trials in all (default: %(default)s)"
    )
    study.add_argument("--epochs", type=int, default=space.EPOCHS, help="epochs per trial (default: %(default)s)")
    study.add_argument(
        "--max-false-alarms-per-hour",
        type=float,
        metavar="RATE",
        help="wakeword: choose epoch and threshold by the recall under this ceiling on the validation stream (default: "
        "by F1)",
    )
    study.add_argument("--seed", type=int, default=0, help="of data, training and sampler (default: %(default)s)")
    study.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="fix a parameter")
    study.add_argument("--range", action="append", default=[], metavar="NAME=LOW:HIGH", help="narrow a parameter")
    study.add_argument(
        "--sampler",
        choices=SAMPLERS,
        default="ehvi",
        help="who proposes; ehvi and tpe learn from refused points (default: %(default)s)",
    )
    study.add_argument(
        "--from",
        action="append",
        default=[],
        type=Path,
        metavar="RESULTS",
        dest="warm_starts",
        help="try the front of another study of this recipe first",
    )
    study.add_argument(
        "--stop", choices=STOPS, default="none", help="end trials that fall behind at a ninth and a third of the epochs"
    )
    study.add_argument("--confirm", type=int, default=0, metavar="K", help="train the front again with K fresh seeds")
    study.add_argument(
        "--final",
        metavar="PICK",
        type=_pick,
        help=f"train a pick (knee, best, smallest, a number) for the source's {space.SOURCE_EPOCHS} epochs",
    )
    study.add_argument(
        "--ablation", action="store_true", help="in place of a search, train the recipe's ablation and print its table"
    )
    study.add_argument("--seeds", type=int, default=3, metavar="K", help="of each row of --ablation (default: 3)")
    study.add_argument("--time-budget", type=_seconds, metavar="TIME", help="stop training after 90s, 30m or 2h")
    study.add_argument("--one", type=Path, metavar="PARAMS.json", help="run this single point and print its figures")
    study.add_argument("--dry-run", action="store_true", help="survey space, data and teacher; train nothing")
    study.add_argument("--config", type=Path, metavar="FILE.toml", help="a file with any of these options by name")
    study.add_argument(
        "--wandb", choices=WANDB, default="offline", help="W&B runs of every trained trial (default: %(default)s)"
    )
    machines = parser.add_argument_group("machines")
    machines.add_argument("--cpus", type=int, default=0, help="CPUs that a local Ray uses (default: all)")
    machines.add_argument("--address", help="a running Ray cluster, HOST:PORT or auto, instead of a local one")
    machines.add_argument(
        "--cpus-per-trial", type=float, default=1.0, help="CPUs, and threads, of one trial (default: 1)"
    )
    machines.add_argument(
        "--gpus-per-trial", type=float, default=0.0, help="GPUs of one trial, a fraction to share one (default: none)"
    )
    machines.add_argument("--batch", type=int, default=1, help="candidates that share a Ray trial (default: 1)")
    return parser


def _pick(text: str) -> str:
    if not re.fullmatch(r"knee|best|smallest|within:\d*\.?\d+|\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be knee, best, smallest, within:0.01 or a trial's number")
    return text


def _seconds(text: str) -> float:
    unit = text[-1:]
    try:
        seconds = float(text[:-1]) * _SECONDS[unit]
    except (KeyError, ValueError):
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} must be a time such as 90s, 30m or 2h")
    return seconds


def with_config(arguments: Sequence[str], parser: argparse.ArgumentParser) -> list[str]:
    """The arguments, after those that `--config FILE.toml` holds: what is given on the command line wins.

    A file that is missing, is no TOML or names an unknown option is a `ValueError`.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config", type=Path)
    path = first.parse_known_args(arguments)[0].config
    return [*(_from_file(path, parser) if path else ()), *arguments]


def _from_file(path: Path, parser: argparse.ArgumentParser) -> list[str]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"--config: {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"--config: {path} is not TOML: {error}") from error
    strings = {string for action in parser._actions for string in action.option_strings}
    known = {string for string in strings if string.startswith("--")} - {"--config", "--help"}
    return [word for name, value in content.items() for word in _words(path, name, value, known)]


def _words(path: Path, name: str, value: object, known: set[str]) -> list[str]:
    option = "--" + name.replace("_", "-")
    if option not in known:
        raise ValueError(f"--config: {path}: {name!r} is unknown; there are {', '.join(sorted(o[2:] for o in known))}")
    if isinstance(value, bool):
        return [option] if value else []
    if isinstance(value, dict):
        raise ValueError(f"--config: {path}: {name} must be a value or a list, not a table")
    return [f"{option}={one}" for one in (value if isinstance(value, list) else [value])]


def _space_text(space: RecipeSpace) -> str:
    rows = [f"  {name:<28}{_domain(distribution)}" for name, distribution in sorted(parameters(space).items())]
    return "\n".join(["space:", *rows])


def _domain(distribution: object) -> str:
    choices = getattr(distribution, "choices", None)
    if choices is not None:
        return "one of " + ", ".join(map(str, choices))
    low, high = (getattr(distribution, end) for end in ("low", "high"))
    return f"{low:g} to {high:g}" + (", logarithmic" if getattr(distribution, "log", False) else "")


def _options(name: str, space: RecipeSpace, given: argparse.Namespace, arguments: Sequence[str]) -> Options:
    from search.options import Options, Share
    from trainables.recipe import Request, recipe

    for option, least in LEAST.items():
        value = getattr(given, option.replace("-", "_"))
        if value < least:
            raise ValueError(f"--{option}: must be at least {least}, not {value}")
    known = parameters(space)
    narrowing = parse_narrowing(given.set, given.range, known)
    views = "view_share" in known and narrowing.fixed.get("view_share") != 0
    if (given.noise or given.rooms) and not views:
        reason = "view_share is fixed to 0" if "view_share" in known else f"{name} hears no clip in noise"
        raise ValueError(f"--noise, --rooms: {reason}; leave them out")
    for option, folder in (("--noise", given.noise), ("--rooms", given.rooms)):
        if folder and not folder.is_dir():
            raise ValueError(f"{option}: {folder} is {'no folder' if folder.exists() else 'not there'}")
    request = Request(
        data=given.data,
        word=given.word,
        task=given.task,
        split=given.split,
        teacher=given.teacher,
        seed=given.seed,
        private=given.private,
        train_on=given.train_on,
        streams=given.streams,
        max_false_alarms_per_hour=given.max_false_alarms_per_hour,
        noise=given.noise,
        rooms=given.rooms,
        views=views,
    )
    return Options(
        recipe=name,
        results=given.results,
        trials=given.trials,
        epochs=given.epochs,
        board=load_board(given.board),
        budget=parse_budget(given.budget, space.BUDGET, given.latency_margin),
        calibration=_calibration(given),
        request=request,
        narrowing=narrowing.fixing(recipe(name).fixed(request)),
        cpus=given.cpus,
        address=given.address or os.environ.get("RAY_ADDRESS"),
        share=Share(given.cpus_per_trial, given.gpus_per_trial),
        sampler=given.sampler,
        stop=given.stop,
        batch=given.batch,
        seconds=given.time_budget,
        warm_starts=tuple(given.warm_starts),
        wandb=given.wandb,
        confirm=given.confirm,
        final=given.final,
        ablation=given.ablation,
        seeds=given.seeds,
        command="python -m search " + shlex.join(arguments),
    )


def _calibration(given: argparse.Namespace) -> Calibration | None:
    if given.calibration is None:
        return None
    from export.calibration import load_calibration

    calibration = load_calibration(given.calibration)
    calibration.check(load_board(given.board))
    return calibration


def _run(options: Options, given: argparse.Namespace) -> int:
    if given.dry_run:
        from search.dry_run import survey

        survey(options, print)
        return DONE
    if given.one:
        from search.one import run_one

        print(run_one(options, given.one))
        return DONE
    return _ablate(options) if options.ablation else _search(options)


def _ablate(options: Options) -> int:
    from search.ablation import ablate

    ended = ablate(options, print)
    if ended.fault:
        print(f"stopped: {ended.fault}", file=sys.stderr)
    return DONE if ended.complete else PARTIAL if ended.trained else FAILED


def _search(options: Options) -> int:
    from export.__main__ import main as export
    from search.run import search

    ended = search(options, print, lambda folder: export([str(folder)]))
    if not ended.trained:
        print(f"failed: {ended.fault}" if ended.fault else "interrupted before a trial was trained", file=sys.stderr)
        return FAILED if ended.fault else PARTIAL
    if ended.fault:
        print(f"stopped: {ended.fault}", file=sys.stderr)
    return ended.exported or (DONE if ended.complete else PARTIAL)


if __name__ == "__main__":
    sys.exit(main())
