"""A candidate: everything that one point of a search space decides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from spaces.front_end import FrontEnd

Scalar = str | int | float | bool
ScheduleKind = Literal["step", "cosine", "one_cycle", "flat_then_linear", "constant"]

MaskMode = Literal["none", "output", "one_step", "two_step"]
GramKind = Literal["time_frequency", "time", "frequency", "batch"]
MapChoice = Literal["all", "encoder", "bottleneck", "decoder"]


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
    """L = alpha * CE + (1 - alpha) * T^2 * KL + alignment_weight * alignment: alpha weighs the hard label.

    `alignment` is the distance between the student's maps, through projectors that are dropped after training, and the
    teacher's layers. `assistant` names the student that stands between teacher and student, if one does. Of students
    with attention `response_weight` weighs the first two terms together, and `attention_weight` the distance between
    where the student and its teacher look.
    """

    temperature: float
    alpha: float
    assistant: str | None = None
    alignment_weight: float = 0.0
    response_weight: float = 1.0
    attention_weight: float = 0.0


@dataclass(frozen=True)
class MaskDistillation:
    """What a student that gives masks learns from its teacher, where its distillation's alpha is below 1.

    `output`: the teacher's masks. `one_step`: the similarities of a batch's clips to each other in the teacher's maps,
    beside the labels all along; `two_step`: these alone for a `first_share` of the epochs, then labels alone. Gram
    matrices are those of each bin (`time_frequency`), of each frame or frequency, or of whole clips (`batch`); `maps`
    are layers by the first part of their names.
    """

    mode: MaskMode
    gram: GramKind = "time_frequency"
    maps: MapChoice = "all"
    first_share: float = 0.0


@dataclass(frozen=True)
class HardLabel:
    """How the hard label is scored: cross-entropy, softened, or focused on what the student still gets wrong.

    The focal loss (arXiv 1708.02002) weighs a clip by (1 - p)^`focal_gamma`, p being its label's probability, and
    positives to negatives as `focal_alpha` to one less it.
    """

    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    focal_alpha: float = 0.5


@dataclass(frozen=True)
class Augmentation:
    """What a student hears other than the clips themselves.

    `view_share` of the clips of an epoch are heard in noise or in a room; of every clip's features two stretches of
    frames and two of mels are blanked, each up to `mask_share` of them long (SpecAugment, arXiv 1904.08779).
    """

    view_share: float = 0.0
    mask_share: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """Learning rate over the run, clips per step and AdamW's decay; the run decides its length in epochs.

    The student that is kept averages its weights over the steps: exponentially, by `ema_decay`, unless that is 0. A run
    ends `patience` epochs after its best one, if that is given.
    """

    kind: ScheduleKind
    peak_lr: float
    batch: int = 64
    weight_decay: float = 1e-4
    ema_decay: float = 0.0
    patience: int | None = None


@dataclass(frozen=True)
class DataMix:
    """Negatives drawn afresh every epoch for each positive, a share of them the hardest ones so far."""

    neg_per_pos: float
    hard_negatives: float = 0.0


@dataclass(frozen=True)
class TeacherFilter:
    """Training windows that the teacher scores above one threshold are positives, below the other negatives.

    Scores are its probabilities of the class; windows between the two are left out.
    """

    positive_above: float
    negative_below: float


@dataclass(frozen=True)
class Quantization:
    """INT8: by calibration alone, or trained for from a share `qat_start` of the run on."""

    qat_start: float | None = None


@dataclass(frozen=True)
class Pruning:
    """How much wider the student begins than it ends: the least important channels are removed on the way."""

    prune_from: float = 1.0


@dataclass(frozen=True)
class SyntheticMix:
    """Clips that a conditional GAN makes for training: how many there are, and the share of an epoch that they are."""

    clips: int = 0
    share: float = 0.0


@dataclass(frozen=True)
class Candidate:
    """One point of a recipe's space, as the trainable reads it; without a data mix, all clips in every epoch."""

    front_end: FrontEnd
    student: Student
    distillation: Distillation
    schedule: Schedule
    data_mix: DataMix | None = None
    teacher_filter: TeacherFilter | None = None
    hard_label: HardLabel = HardLabel()
    augmentation: Augmentation = Augmentation()
    quantization: Quantization = Quantization()
    pruning: Pruning = Pruning()
    synthetic: SyntheticMix = SyntheticMix()
    masks: MaskDistillation | None = None

    @property
    def architecture(self) -> str:
        """Canonical text of what decides the footprint: student and front end."""
        parts: dict[str, Any] = {"student": asdict(self.student), "front_end": asdict(self.front_end)}
        return json.dumps(parts, sort_keys=True)
