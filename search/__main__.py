"""The command `python -m search`."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import spaces
from spaces.board import boards, load_board
from spaces.budget import parse_budget
from spaces.narrowed import parameters, parse_narrowing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.calibration import Calibration
    from search.run import Options
    from spaces import RecipeSpace

DONE, FAILED, BAD_INPUT, PARTIAL = 0, 1, 2, 3
TRIALS = 24


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 done, 1 failed, 2 bad input, 3 partial: interrupted, with what was finished exported."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if arguments[:1] == ["data"]:
        from search import data_report

        return data_report.main(arguments[1:])
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return DONE
    try:
        space = spaces.recipe_space(arguments[0])
        given = _parser(arguments[0], space, arguments).parse_args(arguments[1:])
        return _run(_options(arguments[0], space, given, arguments), given)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted before anything was trained", file=sys.stderr)
        return PARTIAL


def _overview() -> str:
    lines = ["usage: python -m search RECIPE [options]   (python -m search RECIPE --help lists them)", "", "recipes:"]
    lines += [f"  {name:<20}{space.SUMMARY}" for name, space in sorted(spaces.recipes().items())]
    lines += ["", "other:", "  data DIR            counts, duplicates, leaks and the split of a data folder"]
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
        help="folder of recordings (manifest.csv, Speech Commands or class per folder); default: a synthesised corpus",
    )
    data.add_argument("--task", help="rows of a mixed manifest.csv to use")
    data.add_argument("--word", help="the wake word; default: computer")
    data.add_argument(
        "--split",
        choices=("speaker", "random", "given"),
        default="speaker",
        help="how clips are split where the data does not say (default: %(default)s)",
    )
    data.add_argument(
        "--teacher",
        default="speech_embedding",
        help="speech_embedding, or wav2vec2:NAME_OR_FOLDER (default: %(default)s)",
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
        type=Path,
        default=Path("results") / name,
        help="folder of the study; the same folder resumes it (default: %(default)s)",
    )
    study.add_argument(
        "--trials", type=int, default=TRIALS, help="trained, stopped and failed trials in all (default: %(default)s)"
    )
    study.add_argument("--epochs", type=int, default=space.EPOCHS, help="epochs per trial (default: %(default)s)")
    study.add_argument("--seed", type=int, default=0, help="of data, training and sampler (default: %(default)s)")
    study.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="fix a parameter")
    study.add_argument("--range", action="append", default=[], metavar="NAME=LOW:HIGH", help="narrow a parameter")
    study.add_argument("--cpus", type=int, default=0, help="trials side by side, one CPU each (default: all)")
    study.add_argument("--address", help="a running Ray cluster instead of a local one")
    study.add_argument("--one", type=Path, metavar="PARAMS.json", help="run this single point and print its figures")
    study.add_argument("--dry-run", action="store_true", help="survey space, data and teacher; train nothing")
    return parser


def _space_text(space: RecipeSpace) -> str:
    rows = [f"  {name:<24}{_domain(distribution)}" for name, distribution in sorted(parameters(space).items())]
    return "\n".join(["space:", *rows])


def _domain(distribution: object) -> str:
    choices = getattr(distribution, "choices", None)
    if choices is not None:
        return "one of " + ", ".join(map(str, choices))
    low, high = (getattr(distribution, end) for end in ("low", "high"))
    return f"{low:g} to {high:g}" + (", logarithmic" if getattr(distribution, "log", False) else "")


def _options(name: str, space: RecipeSpace, given: argparse.Namespace, arguments: Sequence[str]) -> Options:
    from search.run import Options
    from trainables.recipe import Request

    for option, least in (("trials", 1), ("epochs", 1), ("seed", 0), ("cpus", 0)):
        if getattr(given, option) < least:
            raise ValueError(f"--{option}: must be at least {least}, not {getattr(given, option)}")
    return Options(
        recipe=name,
        results=given.results,
        trials=given.trials,
        epochs=given.epochs,
        board=load_board(given.board),
        budget=parse_budget(given.budget, space.BUDGET, given.latency_margin),
        calibration=_calibration(given),
        request=Request(given.data, given.word, given.task, given.split, given.teacher, given.seed),
        narrowing=parse_narrowing(given.set, given.range, parameters(space)),
        cpus=given.cpus,
        address=given.address,
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
    return _search(options)


def _search(options: Options) -> int:
    from search.run import search

    ended = search(options, print)
    if ended.trained:
        from export.__main__ import main as export

        code = export([str(options.results)])
        return code or (DONE if ended.complete else PARTIAL)
    if ended.first_failure is not None:
        print(f"failed: no trial was trained; the first one failed with: {ended.first_failure}", file=sys.stderr)
        return FAILED
    print("interrupted before a trial was trained", file=sys.stderr)
    return PARTIAL


if __name__ == "__main__":
    sys.exit(main())
