"""What a recipe is: how its data is prepared, its student judged, and where a trial's results go."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.candidate import Candidate, Scalar
    from spaces.front_end import FrontEnd
    from trainables.beside_teacher import DeviceTeacher
    from trainables.corpora.corpus import Corpus
    from trainables.corpora.mixtures import Mixtures
    from trainables.corpora.running import Running
    from trainables.taught_views import TaughtViews
    from trainables.teachers.enhancer import Enhancer
    from trainables.teachers.layer_states import LayerStates, States
    from trainables.training_set import TrainingSet


@dataclass(frozen=True)
class Request:
    """What the user asked to learn from: `data` is a folder, or None for the recipe's own synthesised corpus.

    `private` is a folder of captures that join it, `train_on` both, private or public clips: baby_cry alone reads them.
    `noise` and `rooms`, folders of recordings and of impulse responses, are what training clips are heard in, if the
    study has candidates that hear `views`. `teacher_layers` are those that students may be aligned with, if any are to
    be `aligned`; None means the source's.
    `streams` is a folder of long recordings without the event, and `max_false_alarms_per_hour` the ceiling that the
    best epoch and the threshold are chosen under: wakeword alone knows them.
    """

    data: Path | None = None
    word: str | None = None
    task: str | None = None
    split: str = "speaker"
    teacher: str = "speech_embedding"
    seed: int = 0
    private: Path | None = None
    train_on: str = "both"
    noise: Path | None = None
    rooms: Path | None = None
    views: bool = True
    aligned: bool = True
    teacher_layers: tuple[int, ...] | None = None
    streams: Path | None = None
    max_false_alarms_per_hour: float | None = None

    def refuse_captures(self, recipe_name: str) -> None:
        """Raise a `ValueError` where captures are given to a recipe that reads none."""
        if self.private is not None or self.train_on != "both":
            raise ValueError(f"--private, --train-on: {recipe_name} reads no private captures; leave them out")

    def refuse_streams(self, recipe_name: str) -> None:
        """Raise a `ValueError` where streams or a ceiling of false alarms are given to a recipe that knows none."""
        if self.streams is not None or self.max_false_alarms_per_hour is not None:
            raise ValueError(
                f"--streams, --max-false-alarms-per-hour: {recipe_name} counts no false alarms; leave them out"
            )


@dataclass(frozen=True)
class Material:
    """What all trials of a study share.

    `teacher_logits` [clips, teacher's classes] of a fitted head are cross-fitted on the training split. `data` and
    `teacher` are facts for run.json, each with its `content_hash`; `teacher_layers` are for students that are aligned,
    `teacher_maps`, where it looks in these layers, for students with attention, `views` for those that hear them.
    `streams` are recordings without the event by held-out split, and `max_false_alarms_per_hour` the ceiling on them
    that decides the best epoch, if there is one. `mixtures` of speech and noise, whose corpus is this one, and the
    `enhancer` that teaches to clean them lie in the cache.
    """

    corpus: Corpus
    teacher_logits: NDArray[np.float32]
    data: Mapping[str, Any]
    teacher: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    teacher_layers: LayerStates | None = None
    teacher_maps: LayerStates | None = None
    views: TaughtViews | None = None
    streams: Mapping[str, Running] = field(default_factory=dict)
    max_false_alarms_per_hour: float | None = None
    mixtures: Mixtures | None = None
    enhancer: Enhancer | None = None

    def layer_arrays(self) -> dict[str, NDArray[Any]]:
        """The states of the teacher's layers by their key in the cache."""
        kept = (self.teacher_layers, self.teacher_maps)
        return {states.key: states.whole() for states in kept if states is not None}

    def view_arrays(self) -> dict[str, NDArray[Any]]:
        """What the cache holds of the views, by its keys."""
        return {} if self.views is None else self.views.arrays()

    def layers_for(self, candidate: Candidate) -> States:
        """The states of the teacher's layers, then its maps, where the candidate is held against either."""
        weights = candidate.distillation
        if not (weights.alignment_weight or weights.attention_weight):
            return ()
        kept = (self.teacher_layers, self.teacher_maps)
        return tuple(
            array for states in kept if states is not None for array in states.beside(candidate.front_end.clip_seconds)
        )


@dataclass(frozen=True)
class Judgement:
    """How good a student is: `score_int8` is the objective; test figures are reported and decide nothing.

    `decision` holds the settings that were chosen on validation; `rows` are the typed rows of evaluation.json, `files`
    what they name in the trial's folder, such as sounds.
    """

    score_int8: float
    score_float: float
    validation: Mapping[str, float]
    test: Mapping[str, float]
    decision: Mapping[str, float]
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class OnStream:
    """What an INT8 student makes of one split as the device hears it.

    `positives` are its outputs [clips, outputs] on the clips that are not of class 0, amid the stream; `decisions`
    [decisions, outputs] those all along the stream.
    """

    positives: NDArray[np.float32]
    decisions: NDArray[np.float32]


class Recipe(ABC):
    """One distillation recipe; its search space is the module of the same name in `spaces/`.

    `f1_margin` is how far below its teacher's F1 a student may lie, for recipes whose score is F1.
    """

    f1_margin: ClassVar[float | None] = None

    @abstractmethod
    def prepare(self, request: Request) -> Material:
        """Corpus and teacher outputs, made once and cached by content; bad data is a `ValueError`."""

    @abstractmethod
    def summary(self, material: Material) -> tuple[str, ...]:
        """Lines that tell a person what will be learnt from: the data, the teacher."""

    @abstractmethod
    def arrays(self, material: Material) -> Mapping[str, NDArray[Any]]:
        """What trials read from the cache and a node without the recordings could not make, by its key."""

    @abstractmethod
    def training_set(self, material: Material, candidate: Candidate) -> TrainingSet:
        """Features under the candidate's front end, targets, teacher logits and training rows."""

    def labels(self, material: Material) -> tuple[str, ...]:
        """Names of the classes that outputs stand for, none where they stand for no classes."""
        return material.corpus.labels

    def values(self, material: Material) -> tuple[str, ...]:
        """Names of the numbers that outputs are, none where they stand for something else."""
        return ()

    def outputs(self, material: Material, candidate: Candidate) -> int:
        """How many outputs the candidate's student has: one for each class, unless a recipe says otherwise."""
        return len(material.corpus.labels)

    def fixed(self, request: Request) -> Mapping[str, Scalar]:
        """Parameters of the space that the request leaves no choice in, each with its one value."""
        return {}

    def device_teacher(self, material: Material) -> DeviceTeacher | None:
        """The teacher as the chip would run it, for its footprint beside the student's; None where it is not known."""
        return None

    def training_rows(self, material: Material, candidate: Candidate) -> list[Mapping[str, Any]]:
        """Typed rows of evaluation.json on what the candidate's student is trained on beside the corpus's clips."""
        return []

    @abstractmethod
    def score(self, material: Material, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> float:
        """The objective of a student's outputs [rows, classes] on clips `rows` of one split; higher is better."""

    def score_under_ceiling(
        self,
        material: Material,
        front_end: FrontEnd,
        rows: NDArray[np.int64],
        outputs: NDArray[np.float32],
        stream: NDArray[np.float32],
    ) -> float:
        """What orders epochs, higher is better, where the material has a ceiling of false alarms.

        As `score`; and `stream` [windows, outputs] are the outputs on the validation stream every `epoch_hop` frames.
        """
        return self.score(material, rows, outputs)

    def judged_rows(self, material: Material) -> NDArray[np.int64]:
        """The clips on which `judge` wants outputs: those of validation, then of test."""
        return np.concatenate([material.corpus.indices("validation"), material.corpus.indices("test")])

    @abstractmethod
    def judge(self, material: Material, int8: NDArray[np.float32], float32: NDArray[np.float32]) -> Judgement:
        """Every figure from the outputs [rows, classes] of the INT8 and the float student on `judged_rows`."""

    def with_streams(
        self,
        material: Material,
        front_end: FrontEnd,
        judgement: Judgement,
        heard: Mapping[str, OnStream],
    ) -> Judgement:
        """The judgement with what the INT8 student makes of the material's streams, by split."""
        return judgement


def recipe(name: str) -> Recipe:
    """The recipe in `trainables/recipes/<name>.py`."""
    from trainables import recipes

    known = sorted(m.name for m in pkgutil.iter_modules(recipes.__path__))
    if name not in known:
        raise ValueError(f"recipe: {name!r} is unknown; there are {', '.join(known)}")
    return cast("Recipe", importlib.import_module(f"trainables.recipes.{name}").RECIPE)
