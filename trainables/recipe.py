"""What a recipe is: how its data is prepared, its student judged, and where a trial's results go."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.candidate import Candidate, Scalar
    from trainables.corpora.corpus import Corpus
    from trainables.teachers.layer_states import LayerStates, States
    from trainables.training_set import TrainingSet


@dataclass(frozen=True)
class Request:
    """What the user asked to learn from: `data` is a folder, or None for the recipe's own synthesised corpus.

    `private` is a folder of captures that join it, `train_on` both, private or public clips: baby_cry alone reads them.
    `teacher_layers` are those that students may be aligned with; None means the source's.
    """

    data: Path | None = None
    word: str | None = None
    task: str | None = None
    split: str = "speaker"
    teacher: str = "speech_embedding"
    seed: int = 0
    private: Path | None = None
    train_on: str = "both"
    teacher_layers: tuple[int, ...] | None = None

    def refuse_captures(self, recipe_name: str) -> None:
        """Raise a `ValueError` where captures are given to a recipe that reads none."""
        if self.private is not None or self.train_on != "both":
            raise ValueError(f"--private, --train-on: {recipe_name} reads no private captures; leave them out")


@dataclass(frozen=True)
class Material:
    """What all trials of a study share.

    `teacher_logits` [clips, teacher's classes] of a fitted head are cross-fitted on the training split. `data` and
    `teacher` are facts for run.json, each with its `content_hash`; `teacher_layers` are for students that are aligned.
    """

    corpus: Corpus
    teacher_logits: NDArray[np.float32]
    data: Mapping[str, Any]
    teacher: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    teacher_layers: LayerStates | None = None

    def layer_arrays(self) -> dict[str, NDArray[Any]]:
        """The states of the teacher's layers by their key in the cache."""
        return {} if self.teacher_layers is None else {self.teacher_layers.key: self.teacher_layers.whole()}

    def layers_for(self, candidate: Candidate) -> States:
        """The states of the teacher's layers where the candidate is aligned with them.

        Averaged over time where the student hears clips of another length: their steps are not the teacher's.
        """
        if self.teacher_layers is None or not candidate.distillation.alignment_weight:
            return ()
        states = self.teacher_layers.arrays()
        if candidate.front_end.clip_seconds == self.teacher_layers.clip_seconds:
            return states
        return tuple(layer.mean(axis=1, keepdims=True) for layer in states)


@dataclass(frozen=True)
class Judgement:
    """How good a student is: `score_int8` is the objective; test figures are reported and decide nothing.

    `decision` holds the settings that were chosen on validation; `rows` are the typed rows of evaluation.json.
    """

    score_int8: float
    score_float: float
    validation: Mapping[str, float]
    test: Mapping[str, float]
    decision: Mapping[str, float]
    rows: list[Mapping[str, Any]] = field(default_factory=list)


class Recipe(ABC):
    """One distillation recipe; its search space is the module of the same name in `spaces/`."""

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

    def outputs(self, material: Material, candidate: Candidate) -> int:
        """How many outputs the candidate's student has: one for each class, unless a recipe says otherwise."""
        return len(material.corpus.labels)

    def fixed(self, request: Request) -> Mapping[str, Scalar]:
        """Parameters of the space that the request leaves no choice in, each with its one value."""
        return {}

    @abstractmethod
    def score(self, material: Material, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> float:
        """The objective of a student's outputs [rows, classes] on clips `rows` of one split; higher is better."""

    @abstractmethod
    def judged_rows(self, material: Material) -> NDArray[np.int64]:
        """The clips on which `judge` wants outputs."""

    @abstractmethod
    def judge(self, material: Material, int8: NDArray[np.float32], float32: NDArray[np.float32]) -> Judgement:
        """Every figure from the outputs [rows, classes] of the INT8 and the float student on `judged_rows`."""


def recipe(name: str) -> Recipe:
    """The recipe in `trainables/recipes/<name>.py`."""
    from trainables import recipes

    known = sorted(m.name for m in pkgutil.iter_modules(recipes.__path__))
    if name not in known:
        raise ValueError(f"recipe: {name!r} is unknown; there are {', '.join(known)}")
    return cast("Recipe", importlib.import_module(f"trainables.recipes.{name}").RECIPE)
