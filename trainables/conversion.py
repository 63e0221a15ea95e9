"""Students as full-INT8 .tflite, whole or as one step."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch

from export.scales import HeardRange
from export.streaming import int8_step
from export.tflite import converted, float_tflite, int8_tflite
from trainables.conversion_template import converted_once
from trainables.students.streaming import Step, StreamingStudent, stepped

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import nn

    from export.scales import TrainedRanges
    from export.tflite import Clips

# Of students that count at every frame: as many frames as of the others' clips, and their states fill memory.
LONG_CLIPS = 16
# Taken through the steps at a time.
STEPPED_CLIPS = 1024


def int8_student(
    student: nn.Module,
    clips: NDArray[np.float32],
    trained: TrainedRanges | None = None,
    heard: tuple[float, float] | None = None,
    architecture: object = None,
) -> bytes:
    """Full INT8, calibrated on clips [n, frames, mels]; a streaming student becomes one step, calibrated on all.

    `trained` ranges of the tensors of `float_student` take the place of the calibrated ones, and `heard` that of what
    the clips' features would give the input. What is known by its `architecture`, in plain scalars, is converted once
    for all weights: the same bytes, seconds sooner.
    """
    ranges = trained if heard is None else HeardRange(heard, trained)
    if not isinstance(student, StreamingStudent):
        shape = (1, *clips.shape[1:])
        float_model = _converted(architecture, student, shape, lambda network: float_tflite(network, shape))
        return int8_tflite(float_model, clips[..., None], ranges)
    _, inputs = stepped(copy.deepcopy(student).cpu().eval(), torch.from_numpy(np.array(clips[: _clips(student)])))

    def convert(example: tuple[torch.Tensor, ...]) -> bytes:
        shapes = [tuple(tensor.shape) for tensor in example]

        def convert_step(network: nn.Module) -> bytes:
            assert isinstance(network, StreamingStudent)
            return converted(Step(network), example)

        return _converted(architecture, student, shapes, convert_step)

    return int8_step(convert, inputs, ranges)


def _converted(
    architecture: object, student: nn.Module, shapes: object, convert: Callable[[nn.Module], bytes]
) -> bytes:
    return convert(student) if architecture is None else converted_once((architecture, shapes), student, convert)


def says_every_frame(student: nn.Module) -> bool:
    """Whether it gives an output at every frame, not one for a clip."""
    return isinstance(student, StreamingStudent) and student.every_frame


def _clips(student: nn.Module) -> int | None:
    return LONG_CLIPS if says_every_frame(student) else None


def float_student(student: nn.Module, frames: int, mels: int) -> bytes:
    """The float .tflite of what runs on the device."""
    if isinstance(student, StreamingStudent):
        return converted(*runs_on_device(student, frames, mels))
    return float_tflite(student, (1, frames, mels))


def runs_on_device(student: nn.Module, frames: int, mels: int) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The module that is converted, with inputs to trace it by: a streaming student's step, otherwise the student."""
    if isinstance(student, StreamingStudent):
        return Step(student), (student.frames(torch.zeros(1, frames, mels))[0], *student.initial_states(1))
    return student, (torch.zeros(1, 1, frames, mels),)


def streaming_difference(
    student: nn.Module, features: Clips, float32: NDArray[np.float32], int8: NDArray[np.float32]
) -> dict[str, float]:
    """How far logits at the last frame lie from `float32`, those of whole clips [n, frames, mels]; {} where none steps.

    Of a student that counts at every frame, those at all frames of the first few clips. The largest difference of the
    float step, and the largest and the mean one of the INT8 step.
    """
    if not isinstance(student, StreamingStudent):
        return {}
    clips = min(_clips(student) or len(features), len(features))
    float32, int8 = float32[:clips], int8[:clips]
    parts = [slice(at, min(at + STEPPED_CLIPS, clips)) for at in range(0, clips, STEPPED_CLIPS)]
    logits = [stepped(student.eval(), torch.from_numpy(np.array(features[part])))[0].numpy() for part in parts]
    return {
        "float_largest": float(np.abs(np.concatenate(logits) - float32).max()),
        "int8_largest": float(np.abs(int8 - float32).max()),
        "int8_mean": float(np.abs(int8 - float32).mean()),
        "logit_range": float(np.ptp(float32)),
    }
