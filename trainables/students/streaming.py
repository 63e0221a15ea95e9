"""Students that hear a clip frame by frame and keep what they need of it in states."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, final

import torch
from torch import Tensor, nn


class StreamingStudent(nn.Module, ABC):
    """Trained on whole clips, [batch, 1, frames, mels] to logits [batch, outputs]; converted as one step.

    Stepping from `initial_states` through a clip's frames ends at the same logits. Where `every_frame` counts, not the
    last one alone, whole clips give what the steps give, [batch, steps, outputs].
    """

    every_frame: ClassVar[bool] = False

    @abstractmethod
    def initial_states(self, batch: int) -> tuple[Tensor, ...]:
        """Zeros [batch, ...]: what the states are before the first frame."""

    def frames(self, clips: Tensor) -> tuple[Tensor, ...]:
        """What each step hears of clips [batch, frames, mels], oldest first: by default [batch, mels] each."""
        return clips.unbind(1)

    @abstractmethod
    def step(self, frame: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """What a step hears and the states, to logits [batch, outputs] and the states after it, in their order."""


@final
class Step(nn.Module):
    """A student's step as a module, which is what converters take."""

    def __init__(self, student: StreamingStudent) -> None:
        super().__init__()
        self.student = student

    def forward(self, frame: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """As `StreamingStudent.step`."""
        return self.student.step(frame, *states)


@torch.no_grad()
def stepped(student: StreamingStudent, clips: Tensor) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
    """What the student gives for clips [batch, frames, mels], taken in steps, and what went into each step."""
    inputs, outputs = list[tuple[Tensor, ...]](), list[Tensor]()
    states = student.initial_states(len(clips))
    for frame in student.frames(clips):
        inputs.append((frame, *states))
        logits, *after = student.step(frame, *states)
        outputs.append(logits)
        states = tuple(after)
    return torch.stack(outputs, dim=1) if student.every_frame else outputs[-1], inputs
