"""Networks that hear one frame at a time: a full-INT8 .tflite of one step, its states as inputs and outputs."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from export.operators import read_model
from export.tflite import (
    Int8Model,
    calibrated,
    fixes_its_batch,
    host_interpreter,
    in_batches,
    padded,
    quantized,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from export.scales import HeardRange, TrainedRanges
    from export.tflite import Clips


@final
@dataclass(frozen=True)
class State:
    """A state of the model: output `position` of one Invoke is input `position` of the next, unchanged.

    Both have this scale and zero point; before the first frame every element is the zero point.
    """

    name: str
    position: int
    shape: tuple[int, ...]
    scale: float
    zero_point: int


def int8_step(
    convert: Callable[[tuple[Tensor, ...]], bytes],
    inputs: Sequence[tuple[Tensor, ...]],
    trained: TrainedRanges | HeardRange | None = None,
) -> bytes:
    """Full INT8 of a step from (frame, *states) to (logits, *states), calibrated on `inputs`, batches of steps.

    `convert` gives its float .tflite for inputs of such shapes. A state's input and output get one range, which holds
    the extremes of both: so it is fed back as it is. `trained` ranges take the place of calibrated ones.
    """
    float_model = convert(tuple(tensor[:1].clone() for tensor in inputs[0]))
    # Of the same names, but for whole batches: shapes inside are fixed, and one clip at a time takes half a minute.
    batched = convert(inputs[0])
    ranges = calibrated(batched, [tuple(tensor.numpy() for tensor in one) for one in inputs])
    for before, after in _state_tensors(float_model):
        low = min(float(ranges[name]["min"].min()) for name in (before, after))
        high = max(float(ranges[name]["max"].max()) for name in (before, after))
        for name in (before, after):
            ranges[name] |= {"min": np.array([low], np.float32), "max": np.array([high], np.float32)}
    model = quantized(float_model, ranges if trained is None else trained.put_into(ranges, float_model))
    states_of(model)
    return model


def _state_tensors(model: bytes) -> list[tuple[str, str]]:
    interpreter = host_interpreter(model)
    sides = (interpreter.get_input_details(), interpreter.get_output_details())
    return [(before["name"], after["name"]) for before, after in zip(*sides, strict=True)][1:]


def states_of(model: bytes) -> tuple[State, ...]:
    """The states of a model, none for one that hears whole clips.

    A state that cannot be fed back as it is, because its input and output differ in shape or quantization, is a
    `ValueError`.
    """
    interpreter = host_interpreter(model)
    sides = (interpreter.get_input_details()[1:], interpreter.get_output_details()[1:])
    return tuple(_state(position, *pair) for position, pair in enumerate(zip(*sides, strict=True), start=1))


def _state(position: int, before: dict[str, Any], after: dict[str, Any]) -> State:
    facts = [(tuple(map(int, t["shape"])), t["dtype"].__name__, *t["quantization"]) for t in (before, after)]
    if facts[0] != facts[1] or facts[0][1] != "int8":
        raise ValueError(f"model: state {position} comes out as {facts[1]} and goes in as {facts[0]}: both must be one")
    shape, _, scale, zero_point = facts[0]
    return State(f"state_{position}", position, shape, float(scale), int(zero_point))


@final
class Int8Stream:
    """A full-INT8 step under LiteRT, taken through every frame of a clip; its outputs are those at the last frame."""

    def __init__(self, model: bytes, batch: int = 64, threads: int = 1) -> None:
        self.states = states_of(model)
        self.batch = 1 if fixes_its_batch(model) else batch
        # As `Int8Model`: one per thread.
        self._interpreters = [self._allocated(host_interpreter(model)) for _ in range(threads)]
        self._inputs = self._interpreters[0].get_input_details()
        self._outputs = self._interpreters[0].get_output_details()

    def _allocated(self, interpreter: Any) -> Any:
        for tensor in interpreter.get_input_details():
            interpreter.resize_tensor_input(tensor["index"], [self.batch, *tensor["shape"][1:]])
        interpreter.allocate_tensors()
        return interpreter

    def quantized(self, features: NDArray[np.float32]) -> NDArray[np.int8]:
        """Features [n, frames, mels] as the int8 codes [n, steps, ...] that the device would feed.

        Where a step takes several frames, the clip's last ones fill the last step.
        """
        scale, zero = self._inputs[0]["quantization"]
        shape = tuple(map(int, self._inputs[0]["shape"][1:]))
        whole = features[:, features.shape[1] % (math.prod(shape) // features.shape[2]) :]
        codes: NDArray[np.int8] = np.clip(np.round(whole / scale) + zero, -128, 127).astype(np.int8)
        return codes.reshape(len(codes), -1, *shape)

    def codes(self, features: Clips) -> NDArray[np.int8]:
        """Raw int8 outputs [n, outputs] at the last frame."""
        return np.concatenate(in_batches(self._interpreters, self._last, features, self.batch))

    def outputs(self, features: Clips) -> NDArray[np.float32]:
        """Dequantized outputs [n, outputs] at the last frame."""
        return self.dequantized(self.codes(features))

    def dequantized(self, codes: NDArray[np.int8]) -> NDArray[np.float32]:
        """Raw outputs as the numbers that they stand for."""
        scale, zero = self._outputs[0]["quantization"]
        values: NDArray[np.float32] = (codes.astype(np.float32) - zero) * np.float32(scale)
        return values

    def running(self, features: Clips) -> NDArray[np.float32]:
        """Dequantized outputs [n, steps, outputs] at every step of features [n, frames, mels]."""
        return self.dequantized(self.running_codes(features))

    def running_codes(self, features: Clips) -> NDArray[np.int8]:
        """Raw int8 outputs [n, steps, outputs] at every step of features [n, frames, mels]."""
        return np.concatenate(in_batches(self._interpreters, self._running, features, self.batch))

    def _last(self, interpreter: Any, features: NDArray[np.float32]) -> NDArray[np.int8]:
        return deque(self._steps(interpreter, features), maxlen=1)[0][: len(features)]

    def _running(self, interpreter: Any, features: NDArray[np.float32]) -> NDArray[np.int8]:
        return np.stack(list(self._steps(interpreter, features)), axis=1)[: len(features)]

    def frames_per_step(self, mels: int) -> int:
        """Frames that one step hears."""
        return math.prod(map(int, self._inputs[0]["shape"][1:])) // mels

    def _steps(self, interpreter: Any, features: NDArray[np.float32]) -> Iterator[NDArray[np.int8]]:
        """Logits [batch, outputs] of one frame after another."""
        found = self.first_states()
        for frame in padded(self.quantized(features), self.batch).swapaxes(0, 1):
            logits, found = self._step(interpreter, frame, found)
            yield logits

    def first_states(self) -> list[NDArray[np.int8]]:
        """The states before the first frame."""
        return [np.full((self.batch, *state.shape[1:]), state.zero_point, np.int8) for state in self.states]

    def step(
        self, codes: NDArray[np.int8], states: Sequence[NDArray[np.int8]]
    ) -> tuple[NDArray[np.int8], list[NDArray[np.int8]]]:
        """Raw outputs [batch, outputs] of one step, whose input is of these codes, and the states that it leaves."""
        return self._step(self._interpreters[0], codes, states)

    def _step(
        self, interpreter: Any, codes: NDArray[np.int8], states: Sequence[NDArray[np.int8]]
    ) -> tuple[NDArray[np.int8], list[NDArray[np.int8]]]:
        for tensor, values in zip(self._inputs, (codes, *states), strict=True):
            interpreter.set_tensor(tensor["index"], values)
        interpreter.invoke()
        logits, *after = (interpreter.get_tensor(tensor["index"]) for tensor in self._outputs)
        return logits, after


def int8_outputs(model: bytes, features: Clips, every_step: bool = False, threads: int = 1) -> NDArray[np.float32]:
    """Outputs [n, outputs] of a full-INT8 model for features [n, frames, mels], whole or frame by frame as it hears.

    With `every_step` [n, steps, outputs], of a model that goes in steps. The same from any number of `threads`.
    """
    if not read_model(model).is_step:
        return Int8Model(model, threads=threads).outputs(features)
    stream = Int8Stream(model, threads=threads)
    return stream.running(features) if every_step else stream.outputs(features)
