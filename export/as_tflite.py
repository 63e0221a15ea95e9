"""The .tflite files of a student: INT8 as it was scored, checked under TFLM, and float."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from export.carried import CannotCarryError, Carried
from export.golden import Difference, taken_through
from export.results import TFLITE, write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from export.golden import Golden, StoredStudent

FLOAT = "student.float.tflite"
MICRO_CLIPS = 4


def write(student: StoredStudent, golden: Golden, folder: Path) -> list[Carried]:
    """The INT8 model as it is, and a float one of the same weights."""
    write_atomically(folder / TFLITE, student.model)
    write_atomically(folder / FLOAT, float_model(student))
    return [_int8(student, golden), _float(student, folder, golden)]


def _int8(student: StoredStudent, golden: Golden) -> Carried:
    from export.under_tflm import both

    try:
        found = both(student.model, golden.features[:MICRO_CLIPS])
    except ValueError as error:
        raise CannotCarryError(str(error)) from error
    apart = np.abs(found.micro - golden.outputs[: found.clips])
    difference = Difference(float(apart.max()), float(apart.mean()))
    return Carried(TFLITE, f"TFLM of this host, {found.clips} clips", difference, "the file that was scored")


def _float(student: StoredStudent, folder: Path, golden: Golden) -> Carried:
    from export.tflite import host_interpreter

    interpreter = host_interpreter((folder / FLOAT).read_bytes())
    interpreter.allocate_tensors()
    shapes = [tuple(map(int, tensor["shape"])) for tensor in interpreter.get_input_details()]
    outputs = taken_through(lambda inputs: _invoked(interpreter, inputs), golden.features, shapes)
    return Carried(FLOAT, "LiteRT, built-in kernels", Difference.of(outputs, golden), "converted from student.pt2")


def float_model(student: StoredStudent) -> bytes:
    """The float .tflite of the weights that the INT8 model was made of."""
    import torch

    from export.pt2 import input_shapes, read_network, read_program
    from export.tflite import converted, float_tflite

    path = student.folder / "student.pt2"
    network, shapes = read_network(path), input_shapes(read_program(path))
    if student.is_step:
        return converted(network, tuple(torch.zeros(shape) for shape in shapes))
    return float_tflite(network, (1, student.front_end.frames, student.front_end.values_per_frame))


def _invoked(interpreter: Any, inputs: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    for tensor, values in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(tensor["index"], values)
    interpreter.invoke()
    return [interpreter.get_tensor(tensor["index"]) for tensor in interpreter.get_output_details()]
