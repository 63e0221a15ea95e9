"""An exported student: its folder with the INT8 model and what student.json says of it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from export.build_options import read_file
from export.decision import HOLD_SECONDS, DecisionSettings, decisions_in, settings_from
from export.decision_score import ScoreRule, events_outputs
from export.operators import read_model
from export.results import TFLITE
from spaces.front_end import FrontEnd

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

STUDENT = "student.json"
# What a threshold that a search wrote is compared with.
PROBABILITY, LOG_ODDS = "probability", "log-odds"
THRESHOLD_UNITS = {"wakeword": LOG_ODDS, "baby_cry": PROBABILITY}
_POSITIVE = ("sample_rate_hz", "clip_seconds", "window_samples", "hop_samples", "n_fft", "mels", "decision_seconds")


@final
@dataclass(frozen=True)
class ExportedStudent:
    """A student that decides: `document` is all of student.json, `event` the label that its alarms mean."""

    folder: Path
    model: bytes
    document: Mapping[str, Any]
    front_end: FrontEnd
    event: str
    rule: ScoreRule

    @property
    def decision_seconds(self) -> float:
        """Seconds between two decisions."""
        front_end = self.front_end
        return front_end.new_frames_per_decision * front_end.hop_samples / front_end.sample_rate_hz

    @property
    def threshold_unit(self) -> str:
        """The unit of the threshold in student.json."""
        return THRESHOLD_UNITS.get(str(self.document.get("recipe")), PROBABILITY)

    def threshold(self, steps: int) -> float:
        """A threshold as student.json states it."""
        if self.threshold_unit == LOG_ODDS:
            return steps * self.rule.output_scale
        return self.rule.probability(steps)

    def decision_with(self, settings: DecisionSettings) -> dict[str, Any]:
        """The decision of student.json with these settings: in steps, and in the units that a search writes."""
        return {
            **self.document["decision"],
            "threshold": self.threshold(settings.threshold_steps),
            "refractory_seconds": settings.hold_decisions * self.decision_seconds,
            "event": self.event,
            "settings": settings.as_dict(),
        }

    def stored_settings(self) -> DecisionSettings | None:
        """The decision that student.json holds for this event; None where it holds none."""
        decision = self.document["decision"]
        if decision.get("event", self.event) != self.event:
            return None
        if "settings" in decision:
            return settings_from(decision["settings"])
        if "threshold" not in decision:
            return None
        threshold, held = decision["threshold"], decision.get("refractory_seconds", HOLD_SECONDS)
        at = self.rule.steps_at_logit if self.threshold_unit == LOG_ODDS else self.rule.steps_at_probability
        return DecisionSettings(at(threshold), hold_decisions=decisions_in(held, self.decision_seconds))


def open_student(folder: Path, label: str | None = None) -> ExportedStudent:
    """The student in a folder of an export or a trial; `label` is the event, by default the stored or the second one.

    A folder that is incomplete, or files that contradict each other, are a `ValueError`.
    """
    for name in (TFLITE, STUDENT):
        if not (folder / name).is_file():
            raise ValueError(f"MODEL: {folder} holds no {name}; name a folder that `python -m export RESULTS` wrote")
    path = folder / STUDENT
    raw, model = read_file(path), read_file(folder / TFLITE)
    front_end = front_end_from(raw, path)
    document, labels, classes = _document(raw, path)
    chosen = label or document["decision"].get("event")
    is_event = events_outputs(labels, classes, chosen)
    rule = ScoreRule(_output_scale(model, front_end, len(is_event), folder), is_event)
    event = labels[1] if chosen is None else chosen
    student = ExportedStudent(folder, model, document, front_end, event, rule)
    try:
        student.stored_settings()
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: its decision: {error}") from None
    return student


def front_end_from(raw: bytes, path: Path) -> FrontEnd:
    """The front end in the bytes of a student.json; `path` names it in a `ValueError`."""
    try:
        values = json.loads(raw)["front_end"]
        numbers = {name: value for name, value in values.items() if name != "kind"}
        wrong = [name for name, value in numbers.items() if type(value) not in (int, float) or not math.isfinite(value)]
        if wrong or not all(values.get(name, 1) > 0 for name in _POSITIVE):
            raise TypeError
        return FrontEnd(**values)
    except (KeyError, TypeError, AttributeError, ArithmeticError, json.JSONDecodeError, UnicodeDecodeError):
        raise ValueError(f"{path}: holds no front_end with the fields of FrontEnd, all but kind numbers") from None


def _document(raw: bytes, path: Path) -> tuple[dict[str, Any], list[str], list[int] | None]:
    """All of student.json, its labels, and the class of each output."""
    document: dict[str, Any] = json.loads(raw)
    labels, classes = document.get("labels"), document.get("class_of_output")
    if not isinstance(labels, list) or len(labels) < 2 or not all(isinstance(one, str) for one in labels):
        raise ValueError(f"{path}: holds no labels to decide between; only students that tell classes apart decide")
    if classes is not None and not (isinstance(classes, list) and all(one in range(len(labels)) for one in classes)):
        raise ValueError(f"{path}: class_of_output must give each output one of the {len(labels)} labels, or be null")
    if not isinstance(document.get("decision"), dict):
        raise ValueError(f"{path}: holds no decision; it may be empty")
    return document, labels, classes


def _output_scale(model: bytes, front_end: FrontEnd, outputs: int, folder: Path) -> float:
    graph = read_model(model, str(folder / TFLITE)).main
    heard, told = (graph.tensors[ends[0]] for ends in (graph.inputs, graph.outputs))
    if heard.dtype != "int8" or told.dtype != "int8" or told.quantization is None:
        raise ValueError(f"{folder / TFLITE}: its features and outputs must be int8")
    clip, a_frame = front_end.frames * front_end.values_per_frame, front_end.values_per_frame
    fits = heard.elements % a_frame == 0 if len(graph.inputs) > 1 else heard.elements == clip
    if not fits or told.elements != outputs:
        sizes = f"takes {heard.elements} features and gives {told.elements} outputs"
        raise ValueError(f"{folder / TFLITE}: {sizes}, but {STUDENT} says {clip} a clip and {outputs}")
    return told.quantization.scales[0]
