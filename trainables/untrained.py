"""Footprints of candidates before any training, kept by architecture, board and profiler."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import torch

from export.footprint import PROFILER_VERSION, footprint_of
from spaces.budget import Footprint
from trainables.assignment import Assignment, candidate_of
from trainables.cache import content_key, keep_record, read_record
from trainables.conversion import int8_student
from trainables.conversion_template import with_distinct_weights
from trainables.recipe import recipe
from trainables.students import build_student, sources_hash

if TYPE_CHECKING:
    from spaces.candidate import Scalar


def footprint_of_untrained(assignment: Assignment, params: Mapping[str, Scalar]) -> Footprint:
    """Footprint of the candidate's INT8 .tflite before any training; kept by (architecture, board, profiler)."""
    known = known_footprint(assignment, params)
    if known is not None:
        return known
    candidate = candidate_of(assignment.recipe, params)
    outputs = recipe(assignment.recipe).outputs(assignment.material, candidate)
    with torch.random.fork_rng(devices=[]):
        # The same footprint each time: a zero point of 0, which weights may bring about, spares a kernel some work.
        torch.manual_seed(0)
        network = with_distinct_weights(build_student(candidate.student, candidate.front_end, outputs))
    clips = np.random.default_rng(0).standard_normal(
        (8, candidate.front_end.frames, candidate.front_end.values_per_frame)
    )
    model = int8_student(network, clips.astype(np.float32), architecture=(candidate.architecture, outputs))
    footprint = footprint_of(model, assignment.board, candidate.front_end, assignment.calibration)
    keep_footprint(assignment, params, footprint)
    return footprint


def known_footprint(assignment: Assignment, params: Mapping[str, Scalar]) -> Footprint | None:
    """The footprint that this machine's cache holds for the candidate's architecture, if it does."""
    try:
        return Footprint(**(read_record(_footprint_key(assignment, params)) or {}))
    except TypeError:
        return None


def keep_footprint(assignment: Assignment, params: Mapping[str, Scalar], footprint: Footprint) -> None:
    """Put a footprint that was worked out, here or elsewhere, into this machine's cache."""
    keep_record(_footprint_key(assignment, params), footprint.as_dict())


def _footprint_key(assignment: Assignment, params: Mapping[str, Scalar]) -> str:
    converters = [version(name) for name in ("litert-torch", "ai-edge-quantizer")]
    candidate = candidate_of(assignment.recipe, params)
    outputs = recipe(assignment.recipe).outputs(assignment.material, candidate)
    conditions = (PROFILER_VERSION, converters, sources_hash(), assignment.board, assignment.calibration, outputs)
    return content_key("footprint", candidate.architecture, *conditions)
