"""The front's members scored by the TFLM interpreter, which the chip runs, beside the host's kernels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from export.front import find_front
from export.results import TFLITE, read_study
from export.under_tflm import UnderTflm, both, read_under_tflm, summary_of, write_under_tflm
from trainables.assignment import candidate_of
from trainables.conversion import says_every_frame
from trainables.recipe import recipe
from trainables.students import build_student

if TYPE_CHECKING:
    from export.results import Results, TrialRow
    from search.options import Options
    from trainables.recipe import Material

# For each member: TFLM's kernels on this host are the plain ones, and take some 10 ns for a multiplication.
SECONDS = 5.0


def score_front(options: Options, results: Results, material: Material, say: Callable[[str], None]) -> None:
    """Leave `tflm.json` in the folder of each member of the front that has none of its model; say what came out.

    On all validation clips, or as many, drawn by the seed, as TFLM computes in `SECONDS`. A model that it stops on is
    said and has none.
    """
    members = find_front(read_study(results.folder)).members
    with ThreadPoolExecutor(options.cpus or os.cpu_count() or 1) as pool:
        ended = list(pool.map(lambda row: _scored(options, results, material, row), members))
    found = [one for one in ended if isinstance(one, UnderTflm)]
    for row, why in zip(members, ended, strict=True):
        if isinstance(why, str):
            say(f"warning: trial {row.number} has no score under TFLM: {why}")
    if found:
        say(summary_of(found))


def _scored(options: Options, results: Results, material: Material, row: TrialRow) -> UnderTflm | str:
    folder = results.of(row)
    known = read_under_tflm(folder)
    if known is not None:
        return known
    model = (folder / TFLITE).read_bytes()
    rules, candidate = recipe(options.recipe), candidate_of(options.recipe, row.params)
    data = rules.training_set(material, candidate)
    rows = np.random.default_rng(options.request.seed).permutation(material.corpus.indices("validation"))
    untrained = build_student(candidate.student, candidate.front_end, rules.outputs(material, candidate))
    try:
        found = both(model, data.features[rows], says_every_frame(untrained), SECONDS)
    except ValueError as error:
        return str(error)
    order = np.argsort(rows[: found.clips])
    heard, apart = rows[order], found.apart
    scores = [rules.score(material, heard, outputs[order]) for outputs in (found.micro, found.host)]
    differing, largest = int(np.count_nonzero(apart)), int(apart.max())
    sha256 = hashlib.sha256(model).hexdigest()
    result = UnderTflm(sha256, found.clips, len(rows), apart.size, differing, largest, *map(float, scores))
    write_under_tflm(folder, result)
    return result
