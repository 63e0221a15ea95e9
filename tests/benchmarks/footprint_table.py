"""Footprints of real untrained students, converted and profiled, as a table in footprints.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import torch

from export.results import write_atomically
from spaces import recipe_space
from spaces.board import load_board
from spaces.candidate import Scalar
from tests.benchmarks.black_box import ARCHITECTURE, HOPS_MS, KINDS, MELS, TABLE
from trainables.assignment import Assignment
from trainables.corpora.corpus import Corpus
from trainables.recipe import Material
from trainables.untrained import footprint_of_untrained

RECIPE = "wakeword"


def write_footprints(path: Path = TABLE) -> int:
    """Convert and profile every architecture of the black box and write the table; returns how many there are.

    About a second each, less where the cache of footprints has it.
    """
    torch.set_num_threads(1)
    assignment = _assignment()
    rows = [_row(assignment, architecture) for architecture in architectures()]
    written = io.StringIO()
    table = csv.DictWriter(
        written, [*ARCHITECTURE, *(name for name in rows[0] if name not in ARCHITECTURE)], lineterminator="\n"
    )
    table.writeheader()
    table.writerows(rows)
    write_atomically(path, written.getvalue())
    return len(rows)


def architectures() -> Iterator[dict[str, Scalar]]:
    """Every front end with every student, as the parameters of the recipe's space."""
    for hop_ms, mels, (kind, arguments) in product(HOPS_MS, MELS, KINDS.items()):
        for values in product(*arguments.values()):
            student = {f"{kind}_{name}": value for name, value in zip(arguments, values, strict=True)}
            yield {"mels": mels, "hop_ms": hop_ms, "student": kind, **student}


def _row(assignment: Assignment, architecture: Mapping[str, Scalar]) -> dict[str, Scalar]:
    learning = dict(recipe_space(RECIPE).START_POINTS[0])
    return {**architecture, **footprint_of_untrained(assignment, {**learning, **architecture}).as_dict()}


def _assignment() -> Assignment:
    # A footprint depends on the number of labels and on nothing else of the corpus.
    corpus = Corpus("none", (), ("word", "other"), "", 16_000, "none", False)
    material = Material(corpus, np.zeros((0, 2), np.float32), {}, {})
    return Assignment(RECIPE, material, load_board(recipe_space(RECIPE).BOARD), 1, 0, Path("unused"))
