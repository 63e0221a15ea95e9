"""What a device has to know of one student: quantization, runs, states, names, decision."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from export.c_front_end import MOST, Step
from export.carried import CannotCarryError
from export.exported import open_student
from export.streaming import State, states_of
from export.tflite import host_interpreter

if TYPE_CHECKING:
    from export.decision import DecisionSettings
    from export.exported import ExportedStudent
    from export.golden import StoredStudent

MOST_STATES = 254


@final
@dataclass(frozen=True)
class DeviceStudent:
    """A stored student under the `name` that its symbols have in C.

    A run takes `frames_per_run` frames; `labels` name classes, or the outputs themselves where `labels_are_values`.
    """

    name: str
    stored: StoredStudent
    heard: Step
    told: Step
    outputs: int
    frames_per_run: int
    states: tuple[State, ...]
    labels: tuple[str, ...]
    labels_are_values: bool
    label_of_output: tuple[int, ...] | None
    decides: ExportedStudent | None

    @property
    def makes_sound(self) -> bool:
        """Whether its outputs are a mask that sound comes out of."""
        return self.stored.front_end.kind == "log_power"

    @property
    def settings(self) -> DecisionSettings | None:
        """Its decision."""
        return self.decides.stored_settings() if self.decides else None


def device_student(stored: StoredStudent, name: str, decides: bool = True) -> DeviceStudent:
    """Read it from a trial's folder; what a device could not feed or read out is a `CannotCarryError`."""
    interpreter = host_interpreter(stored.model)
    heard, told = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    for side, tensor in (("input", heard), ("output", told)):
        if tensor["dtype"].__name__ != "int8":
            raise CannotCarryError(f"the firmware feeds int8, but the model's {side} is {tensor['dtype'].__name__}")
    states = _states(stored)
    outputs, elements = (math.prod(map(int, tensor["shape"])) for tensor in (told, heard))
    labels, values = (tuple(map(str, stored.facts.get(key) or ())) for key in ("labels", "values"))
    classes = stored.facts.get("class_of_output")
    student = DeviceStudent(
        name=name,
        stored=stored,
        heard=_step(heard),
        told=_step(told),
        outputs=outputs,
        frames_per_run=_frames_per_run(stored, elements),
        states=states,
        labels=labels or values,
        labels_are_values=bool(values) and not labels,
        label_of_output=None if classes is None else tuple(map(int, classes)),
        decides=_decides(stored) if decides else None,
    )
    _check(student)
    return student


def input_step(model: bytes) -> Step:
    """Quantization of what a model hears."""
    return _step(host_interpreter(model).get_input_details()[0])


def _step(tensor: dict[str, Any]) -> Step:
    scale, zero_point = tensor["quantization"]
    return Step(float(scale), int(zero_point))


def _states(stored: StoredStudent) -> tuple[State, ...]:
    try:
        return states_of(stored.model)
    except ValueError as error:
        raise CannotCarryError(str(error)) from error


def _frames_per_run(stored: StoredStudent, elements: int) -> int:
    front_end = stored.front_end
    frames, rest = divmod(elements, front_end.values_per_frame)
    if rest or not frames or (not stored.is_step and frames != front_end.frames):
        clip = f"{front_end.frames} frames of {front_end.values_per_frame}"
        raise CannotCarryError(f"the model hears {elements} values at once, its front end gives {clip}")
    return frames


def _decides(stored: StoredStudent) -> ExportedStudent | None:
    if "threshold" not in stored.facts.get("decision", {}):
        return None
    found = open_student(stored.folder)
    return found if found.stored_settings() is not None else None


def _check(student: DeviceStudent) -> None:
    if student.makes_sound and student.outputs != student.stored.front_end.values_per_frame:
        bins = student.stored.front_end.values_per_frame
        raise CannotCarryError(f"a mask for {bins} bins is needed, the model gives {student.outputs} values")
    if student.makes_sound and student.frames_per_run != 1:
        raise CannotCarryError(f"sound is made frame by frame, the model hears {student.frames_per_run} at once")
    sizes = [math.prod(state.shape) for state in student.states]
    if len(sizes) > MOST_STATES or max([*sizes, student.outputs], default=0) > MOST:
        raise CannotCarryError(
            f"the firmware holds {MOST_STATES} states and {MOST} bytes in each; the model has {len(sizes)}"
        )
    if student.labels_are_values and len(student.labels) != student.outputs:
        raise CannotCarryError(f"the model gives {student.outputs} values, student.json names {len(student.labels)}")
