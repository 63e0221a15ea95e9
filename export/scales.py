"""Ranges that decide the INT8 scales of a .tflite: which tensor's decides about which, and ranges that were trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from export.operators import Quantization, Tensor, read_model
from export.tflite import calibrated, host_interpreter, quantized, signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Bounds = tuple[float, float]

# Above 1, because sigmoid and tanh have the fixed scales 1/256 and 1/128: no probe's scale equals those.
FIRST_PROBE = 10.0


@final
@dataclass(frozen=True)
class TrainedRanges:
    """(low, high) of activation tensors by their number among all of the float model, which has these shapes.

    By number, because the converter names a tensor after all whose constants happen to be equal.
    """

    shapes: tuple[tuple[int, ...], ...]
    bounds: Mapping[int, Bounds]

    def put_into(self, calibrated_ranges: Mapping[str, Mapping[str, Any]], float_model: bytes) -> dict[str, Any]:
        """The calibrated ranges by tensor name, with the trained ones in the place of theirs.

        A model of other tensors is a `ValueError`.
        """
        tensors = activation_tensors(float_model)
        if tuple(tensor.shape for tensor in tensors) != self.shapes:
            raise ValueError(f"ranges: trained for {len(self.shapes)} tensors, and the model's {len(tensors)} differ")
        return _replaced(calibrated_ranges, {tensors[number].name: own for number, own in self.bounds.items()})


@final
@dataclass(frozen=True)
class HeardRange:
    """(low, high) of what a model hears, whatever was calibrated; over `others`, if there are trained ranges."""

    bounds: Bounds
    others: TrainedRanges | None = None

    def put_into(self, calibrated_ranges: Mapping[str, Mapping[str, Any]], float_model: bytes) -> dict[str, Any]:
        """The ranges by tensor name, with this one where the scale of the model's first input is decided."""
        ranges = dict(calibrated_ranges)
        if self.others is not None:
            ranges = self.others.put_into(ranges, float_model)
        tensors = activation_tensors(float_model)
        heard = [tensor.name for tensor in tensors].index(f"serving_default_{signature(float_model)[1][0]}")
        decider = deciders(float_model, _silence(float_model))[heard]
        assert isinstance(decider, int)
        return _replaced(ranges, {tensors[decider].name: self.bounds})


def _silence(float_model: bytes) -> tuple[NDArray[np.float32], ...]:
    inputs = {tensor["name"]: tensor["shape"] for tensor in host_interpreter(float_model).get_input_details()}
    return tuple(np.zeros(inputs[f"serving_default_{argument}"], np.float32) for argument in signature(float_model)[1])


def deciders(float_model: bytes, sample: tuple[NDArray[np.float32], ...]) -> list[int | Quantization | None]:
    """For each activation tensor the number of the one whose range gives it its scale; its scale where that is fixed.

    A pool's output has its input's scale, a concatenation's inputs have its output's, a sigmoid's output has 1/256;
    None for what is not quantized. Found by quantizing once with ranges that tell all tensors apart. `sample` is one of
    each input, in their order.
    """
    tensors = activation_tensors(float_model)
    bounds = {tensor.name: (-FIRST_PROBE - number, FIRST_PROBE + number) for number, tensor in enumerate(tensors)}
    probed = quantized(float_model, _replaced(calibrated(float_model, [sample]), bounds))
    found = read_model(probed).main.tensors
    return [_decider(found[tensor.index], len(tensors)) for tensor in tensors]


def _replaced(ranges: Mapping[str, Mapping[str, Any]], bounds: Mapping[str, Bounds]) -> dict[str, dict[str, Any]]:
    replaced = {name: dict(found) for name, found in ranges.items()}
    for name, (low, high) in bounds.items():
        if name in replaced:
            shape = replaced[name]["min"].shape
            replaced[name] |= {"min": np.full(shape, low, np.float32), "max": np.full(shape, high, np.float32)}
    return replaced


def _decider(tensor: Tensor, tensors: int) -> int | Quantization | None:
    if tensor.quantization is None:
        return None
    number = tensor.quantization.scales[0] * 255 / 2 - FIRST_PROBE
    return round(number) if abs(number - round(number)) < 0.01 and 0 <= round(number) < tensors else tensor.quantization


def activation_tensors(model: bytes) -> list[Tensor]:
    """Inputs, outputs and what lies between, without the constants."""
    return [tensor for tensor in read_model(model).main.tensors if not tensor.constant]


def tensor_values(model: bytes, sample: tuple[NDArray[np.float32], ...]) -> list[NDArray[np.float32]]:
    """Every activation tensor of a float .tflite after one Invoke on `sample`, its inputs in order."""
    interpreter = host_interpreter(model, keep_all=True)
    interpreter.allocate_tensors()
    inputs = {tensor["name"]: tensor["index"] for tensor in interpreter.get_input_details()}
    for argument, values in zip(signature(model)[1], sample, strict=True):
        interpreter.set_tensor(inputs[f"serving_default_{argument}"], values)
    interpreter.invoke()
    return [interpreter.get_tensor(tensor.index).copy() for tensor in activation_tensors(model)]


def state_pairs(model: bytes) -> list[tuple[int, int]]:
    """Numbers of the input and the output tensor of each state, in their order; none for a model without states."""
    numbers = {tensor.name: number for number, tensor in enumerate(activation_tensors(model))}
    states = range(1, len(signature(model)[1]))
    return [
        (numbers[f"serving_default_args_{state}"], numbers[f"serving_default_output_{state}_output"])
        for state in states
    ]
