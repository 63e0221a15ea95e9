"""A candidate: everything that one point of a search space decides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from spaces.front_end import FrontEnd

Scalar = str | int | float | bool
ScheduleKind = Literal["step", "cosine", "one_cycle", "flat_then_linear", "constant"]


@dataclass(frozen=True)
class Objective:
    """One axis of the Pareto front."""

    name: str
    direction: Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Student:
    """An architecture: its kind (a module of `trainables/students/`) and its arguments."""

    kind: str
    arguments: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class Distillation:
    """L = alpha * CE + (1 - alpha) * T^2 * KL: alpha weighs the hard label.

    `assistant` names the student that stands between teacher and student, if one does.
    """

    temperature: float
    alpha: float
    assistant: str | None = None


@dataclass(frozen=True)
class Schedule:
    """Learning rate over the run, clips per step and AdamW's decay; the run decides its length in epochs."""

    kind: ScheduleKind
    peak_lr: float
    batch: int = 64
    weight_decay: float = 1e-4


@dataclass(frozen=True)
class DataMix:
    """Negatives drawn afresh every epoch for each positive."""

    neg_per_pos: float


@dataclass(frozen=True)
class TeacherFilter:
    """Training windows that the teacher scores above one threshold are positives, below the other negatives.

    Scores are its probabilities of the class; windows between the two are left out.
    """

    positive_above: float
    negative_below: float


@dataclass(frozen=True)
class Candidate:
    """One point of a recipe's space, as the trainable reads it; without a data mix, all clips in every epoch."""

    front_end: FrontEnd
    student: Student
    distillation: Distillation
    schedule: Schedule
    data_mix: DataMix | None = None
    teacher_filter: TeacherFilter | None = None

    @property
    def architecture(self) -> str:
        """Canonical text of what decides the footprint: student and front end."""
        parts: dict[str, Any] = {"student": asdict(self.student), "front_end": asdict(self.front_end)}
        return json.dumps(parts, sort_keys=True)
