"""A student as TorchScript, in float."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from export.carried import Carried
from export.golden import Difference, taken_through

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from export.golden import Golden, StoredStudent

NAME = "student.torchscript.pt"


def write(student: StoredStudent, golden: Golden, folder: Path) -> list[Carried]:
    """Trace the float network; inputs and outputs as in student.pt2: (clip), or (what a step hears, *states)."""
    import torch

    from export.pt2 import input_shapes, read_network, read_program

    path = student.folder / "student.pt2"
    shapes = input_shapes(read_program(path))
    with warnings.catch_warnings():
        # Traced shapes are static, which is what the tracer warns of.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(read_network(path), tuple(torch.zeros(shape) for shape in shapes))
        partial = folder / f"{NAME}.tmp"
        traced.save(str(partial))
        partial.replace(folder / NAME)
        loaded = torch.jit.load(str(folder / NAME))

    def invoke(inputs: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        found = loaded(*(torch.from_numpy(values.copy()) for values in inputs))
        return [output.numpy() for output in (found if isinstance(found, tuple) else (found,))]

    outputs = taken_through(invoke, golden.features, shapes)
    return [Carried(NAME, f"torch {torch.__version__.split('+')[0]}", Difference.of(outputs, golden), "float")]
