"""A trained trial scored anew: its .tflite, reloaded, on the study's own data."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.results import TFLITE, read_metrics, read_study
from search.command_line import parser_of
from search.config_file import with_config
from search.given import options_of
from spaces import recipe_space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from export.results import Study
    from search.options import Options
    from trainables.recipe import Judgement, Material

DONE, FAILED, BAD_INPUT = 0, 1, 2
_SAME = ("data", "teacher")


def main(argv: Sequence[str]) -> int:
    """Exit code 0: every stored figure came out again; 1: one did not, with both values; 2: bad input."""
    given, others = _parser().parse_known_args(argv)
    try:
        differences = rescored(given.results, given.trial, others)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    for line in differences:
        print(f"differs: {line}", file=sys.stderr)
    if differences:
        return FAILED
    score = read_metrics(read_study(given.results).results, given.trial)["score_int8"]
    print(f"trial {given.trial}: score {score!r} again, and every other figure of the INT8 model")
    return DONE


def rescored(folder: Path, number: int, others: Sequence[str] = ()) -> list[str]:
    """What differs between the stored figures of a trial's INT8 model and those of its .tflite now, each with both.

    Data and teacher are found by the command in run.json, `others` being options that take the place of its own, such
    as --data after the recordings moved. Other data, another teacher or an unusable trial are a `ValueError`.
    """
    study = read_study(folder)
    stored = _stored(study, number)
    options = _options(study, others)
    judgement = _judged(study, options, stored, number)
    return _differences(stored, judgement)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m search rescore",
        description="Score a trained trial's INT8 .tflite anew on the study's own data, and compare to the last digit.",
        epilog="Further options take the place of the study's own, such as --data where the recordings moved. Exit "
        "codes: 0 the stored figures came out again, 1 one did not, 2 bad input.",
    )
    parser.add_argument("results", type=Path, metavar="RESULTS", help="the folder that a search wrote")
    parser.add_argument("trial", type=int, metavar="N", help="number of a trained trial")
    return parser


def _stored(study: Study, number: int) -> dict[str, Any]:
    rows = {row.number: row for row in study.trials}
    if number not in rows or rows[number].outcome != "trained":
        there = ", ".join(str(row.number) for row in study.trained) or "none"
        raise ValueError(f"results: trial {number} was not trained; trained are {there}")
    if number in study.damaged:
        raise ValueError(f"results: the folder of trial {number} is damaged: {study.damaged[number]}")
    return read_metrics(study.results, number)


def _options(study: Study, others: Sequence[str]) -> Options:
    command = str(study.run.details.get("command") or "")
    words = shlex.split(command)
    if words[:3] != ["python", "-m", "search"] or words[3:4] != [study.run.recipe]:
        raise ValueError(f"results: {study.results.run_json} does not say how it was searched: command is {command!r}")
    space = recipe_space(study.run.recipe)
    parser = parser_of(study.run.recipe, space, [])
    arguments = [*words[4:], *others]
    return options_of(study.run.recipe, space, parser.parse_args(with_config(arguments, parser)), words[3:])


def _judged(study: Study, options: Options, stored: Mapping[str, Any], number: int) -> Judgement:
    from export.streaming import int8_outputs
    from trainables.assignment import candidate_of
    from trainables.conversion import says_every_frame
    from trainables.recipe import recipe
    from trainables.students import build_student
    from trainables.taught import judged_as_heard, judged_features

    rules = recipe(options.recipe)
    material = rules.prepare(options.request)
    _require_same(study, material)
    candidate = candidate_of(options.recipe, stored["params"])
    data = rules.training_set(material, candidate)
    model = (study.results.trial(number) / TFLITE).read_bytes()
    untrained = build_student(candidate.student, candidate.front_end, rules.outputs(material, candidate))
    int8 = int8_outputs(model, judged_features(rules, material, data), says_every_frame(untrained))
    # The float student decides none of the figures that are compared.
    return judged_as_heard(rules, material, candidate, data, model, (int8, int8))


def _require_same(study: Study, material: Material) -> None:
    for what in _SAME:
        before = (study.run.details.get(what) or {}).get("content_hash")
        now = getattr(material, what)["content_hash"]
        if before != now:
            raise ValueError(f"results: the {what} is not the study's: its hash was {before}, is {now}")


def _differences(stored: Mapping[str, Any], judgement: Judgement) -> list[str]:
    before = _figures(stored["score_int8"], stored["validation"], stored["test"])
    now = _figures(judgement.score_int8, judgement.validation, judgement.test)
    names = dict.fromkeys([*before, *now])
    # As text, because a figure that is not a number does not equal itself.
    return [
        f"{name}: stored {before.get(name)}, now {now.get(name)}" for name in names if before.get(name) != now.get(name)
    ]


def _figures(score: float, validation: Mapping[str, Any], test: Mapping[str, Any]) -> dict[str, str]:
    splits = {"validation": validation, "test": test}
    figures = {f"{split}.{name}": json.dumps(value) for split, of in splits.items() for name, value in of.items()}
    return {"score_int8": json.dumps(score), **figures}
