"""Footprints of candidates before any training, kept by architecture, board and profiler."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from export.footprint import PROFILER_VERSION, footprint_of
from export.results import write_atomically
from spaces.budget import Footprint
from trainables.assignment import Assignment, candidate_of
from trainables.cache import cache_folder, content_key
from trainables.conversion import int8_student
from trainables.recipe import recipe
from trainables.students import build_student

if TYPE_CHECKING:
    from torch import nn

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
        network = _with_distinct_weights(build_student(candidate.student, candidate.front_end, outputs))
    clips = np.random.default_rng(0).standard_normal(
        (8, candidate.front_end.frames, candidate.front_end.values_per_frame)
    )
    model = int8_student(network, clips.astype(np.float32))
    footprint = footprint_of(model, assignment.board, candidate.front_end, assignment.calibration)
    keep_footprint(assignment, params, footprint)
    return footprint


def known_footprint(assignment: Assignment, params: Mapping[str, Scalar]) -> Footprint | None:
    """The footprint that this machine's cache holds for the candidate's architecture, if it does."""
    kept = _footprint_path(assignment, params)
    try:
        return Footprint(**json.loads(kept.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def keep_footprint(assignment: Assignment, params: Mapping[str, Scalar], footprint: Footprint) -> None:
    """Put a footprint that was worked out, here or elsewhere, into this machine's cache."""
    write_atomically(_footprint_path(assignment, params), json.dumps(footprint.as_dict()))


def _footprint_path(assignment: Assignment, params: Mapping[str, Scalar]) -> Path:
    converters = [version(name) for name in ("litert-torch", "ai-edge-quantizer")]
    candidate = candidate_of(assignment.recipe, params)
    outputs = recipe(assignment.recipe).outputs(assignment.material, candidate)
    conditions = (PROFILER_VERSION, converters, assignment.board, assignment.calibration, outputs)
    key = content_key("footprint", candidate.architecture, *conditions)
    return cache_folder() / "footprints" / f"{key}.json"


def _with_distinct_weights(network: nn.Module) -> nn.Module:
    # The converter stores equal tensors once, and an untrained student's biases are all zero. Constants, which no state
    # holds, stay as they are: those that are equal stay so in training. As much up as down: what all weights of a wide
    # layer gain together saturates a GRU's gates, and TFLM stops on a sum that is always 0.
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor) - 0.5, alpha=0.1)
    return network
