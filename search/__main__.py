"""The command `python -m search`."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import TYPE_CHECKING

import spaces
from search.command_line import parser_of
from search.config_file import with_config
from search.given import options_of
from trainables.disk import NO_SPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from search.options import Options

DONE, FAILED, BAD_INPUT, PARTIAL = 0, 1, 2, 3
# Reserved words: module, argument, summary.
OTHERS = {
    "sweep": ("search.sweep", "RECIPE", "the space as a W&B sweep configuration, or a search's runs as a sweep"),
    "rescore": ("search.rescore", "RESULTS N", "a trained trial's INT8 model scored anew on the study's own data"),
    "cache": ("search.cache", "", "what lies in the cache, and pruning of it"),
    "data": ("search.data_report", "DIR", "counts, duplicates, leaks and the split of a data folder"),
}


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
        parser = parser_of(arguments[0], space, arguments)
        given = parser.parse_args(with_config(arguments[1:], parser))
        return _run(options_of(arguments[0], space, given, arguments), given)
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
