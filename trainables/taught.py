"""One candidate taught, converted to INT8 and judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from export.streaming import int8_outputs
from export.tflite import CALIBRATION_CLIPS
from trainables.assignment import Assignment
from trainables.cache import content_key
from trainables.calibrated import Calibrated
from trainables.conversion import int8_student, says_every_frame, streaming_difference
from trainables.distil import Progress, Run, Teaching, logits_of, teaching_in_phases
from trainables.features import PickedClips
from trainables.phases import phases_of, plain
from trainables.recipe import Judgement, Material, OnStream, Recipe, recipe
from trainables.streams import after_stream, epoch_hop, int8_decisions, stream_features, windows
from trainables.students import build_student

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from spaces.candidate import Candidate
    from trainables.training_set import TrainingSet


@dataclass(frozen=True)
class Taught:
    """A trained student with its files' contents and what it learnt from.

    `streaming` is how far its step lies from whole clips, if it has one; `calibrated` what calibration would have made
    of a quantization-aware one.
    """

    network: nn.Module
    progress: Progress
    int8: bytes
    judgement: Judgement
    data: TrainingSet
    streaming: Mapping[str, float]
    calibrated: Calibrated | None = None


def taught_student(
    assignment: Assignment,
    candidate: Candidate,
    data: TrainingSet,
    folder: Path,
    on_epoch: Callable[[Progress], None],
) -> Teaching[Taught]:
    """The candidate's student after its last epoch, or after the last one since its checkpoint in `folder`.

    What `on_epoch` raises ends it; a loss that is no number is a `NotANumberError`.
    """
    rules, material = recipe(assignment.recipe), assignment.material
    torch.manual_seed(assignment.seed)
    outputs = rules.outputs(material, candidate)
    calibration = _calibration_clips(data, assignment.seed)
    start, phases = phases_of(
        candidate,
        assignment.epochs,
        lambda student: build_student(student, candidate.front_end, outputs).to(assignment.device),
        calibration,
    )
    run = Run(
        data,
        candidate,
        epochs=assignment.epochs,
        seed=assignment.seed,
        validate=_validation(rules, material, candidate, data),
        checkpoint=folder / "checkpoint.pt",
        identity=_identity(assignment, candidate),
        on_epoch=on_epoch,
    )
    trained, progress = yield from teaching_in_phases(start, phases, run)
    network, ranges = plain(trained.cpu())
    heard, architecture = candidate.front_end.int8_range, (candidate.architecture, outputs)
    model = int8_student(network, calibration, ranges, heard, architecture)
    judged, every = judged_features(rules, material, data), says_every_frame(network)
    threads = torch.get_num_threads()
    int8, float32 = int8_outputs(model, judged, every, threads), logits_of(network, judged)
    streaming = streaming_difference(network, judged, float32, int8)
    judgement = judged_as_heard(rules, material, candidate, data, model, (int8, float32))
    judgement = replace(judgement, rows=[*judgement.rows, *rules.training_rows(material, candidate)])
    taught = Taught(network, progress, model, judgement, data, streaming)
    if ranges is None:
        return taught
    by_ranges_heard = int8_student(network, calibration, None, heard, architecture)
    calibrated = int8_outputs(by_ranges_heard, judged, every, threads)
    by_calibration = rules.judge(material, calibrated, float32)
    return replace(taught, calibrated=Calibrated.of(by_calibration, int8, calibrated, float32))


def judged_features(rules: Recipe, material: Material, data: TrainingSet) -> PickedClips:
    """Features [clips, frames, values per frame] of the clips that a recipe judges a student on."""
    return PickedClips(data.features, rules.judged_rows(material))


def judged_as_heard(
    rules: Recipe,
    material: Material,
    candidate: Candidate,
    data: TrainingSet,
    model: bytes,
    outputs: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> Judgement:
    """What a recipe says of an INT8 model: from `outputs` on its clips, INT8 and float, and from the streams."""
    judgement = rules.judge(material, *outputs)
    if not material.streams:
        return judgement
    heard = _on_streams(model, material, candidate, data)
    return rules.with_streams(material, candidate.front_end, judgement, heard)


def _calibration_clips(data: TrainingSet, seed: int) -> NDArray[np.float32]:
    clips = min(CALIBRATION_CLIPS, len(data.rows))
    return np.asarray(data.features[np.random.default_rng(seed).choice(data.rows, clips, replace=False)])


def _on_streams(model: bytes, material: Material, candidate: Candidate, data: TrainingSet) -> dict[str, OnStream]:
    heard = {}
    for split, stream in material.streams.items():
        frames = stream_features(stream, candidate.front_end)
        rows = material.corpus.indices(split)
        clips = np.ascontiguousarray(data.features[rows[material.corpus.targets()[rows] > 0]])
        heard[split] = OnStream(
            after_stream(model, clips, frames, candidate.front_end), int8_decisions(model, frames, candidate.front_end)
        )
    return heard


def _validation(
    rules: Recipe, material: Material, candidate: Candidate, data: TrainingSet
) -> Callable[[nn.Module], float]:
    """What orders the epochs: the recipe's score, or under a ceiling of false alarms what the recipe makes of it."""
    rows = material.corpus.indices("validation")
    features = PickedClips(data.features, rows)
    if material.max_false_alarms_per_hour is None:
        return lambda student: rules.score(material, rows, logits_of(student, features))
    front_end = candidate.front_end
    stream = windows(stream_features(material.streams["validation"], front_end), front_end, epoch_hop(front_end))
    return lambda student: rules.score_under_ceiling(
        material, front_end, rows, logits_of(student, features), logits_of(student, stream)
    )


def _identity(assignment: Assignment, candidate: Candidate) -> str:
    # A folder may hold the checkpoint of another candidate, whose number was given anew.
    material = assignment.material
    facts = [part.get("content_hash") for part in (material.data, material.teacher)]
    views = material.views.content_hash if material.views else ""
    ceiling = material.max_false_alarms_per_hour
    heard = (material.teacher_layers, views, ceiling)
    return content_key("checkpoint", candidate, assignment.seed, assignment.epochs, facts, *heard)
