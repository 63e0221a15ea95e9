"""A student as ESP-DL's .espdl for the ESP32-S3, quantized by esp-ppq."""

from __future__ import annotations

import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.as_onnx import calibration, write_float
from export.carried import CannotCarryError, Carried
from export.golden import CALIBRATION_CLIPS, Difference, Golden, taken_through
from export.tflite import quiet

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from export.golden import Invoke, StoredStudent

# esp-ppq writes a .json of the same stem, which must not be the student.json of an export.
NAME = "student_espdl.espdl"
# esp-ppq simulates an operator at a time, a thousandfold slower than a runtime.
CALIBRATION_STEPS, PARITY_CLIPS, PARITY_CLIPS_IN_STEPS = 64, 8, 4


def write(student: StoredStudent, golden: Golden, folder: Path) -> list[Carried]:
    """The .espdl, the quantization that it holds (.json) and its readable form (.info)."""
    clips = PARITY_CLIPS_IN_STEPS if student.is_step else PARITY_CLIPS
    part = Golden(golden.features[:clips], golden.outputs[:clips], golden.output_step)
    with tempfile.TemporaryDirectory() as scratch, quiet():
        graph, shapes = _quantized(student, Path(scratch))
        outputs = taken_through(_invoke(graph), part.features, shapes)
        names = sorted(path.name for path in Path(scratch).glob(f"{Path(NAME).stem}.*"))
        for name in names:
            (folder / name).write_bytes((Path(scratch) / name).read_bytes())
    runtime = f"esp-ppq {metadata.version('esp-ppq')}, its simulation of the kernels, {clips} clips"
    model = Carried(NAME, runtime, Difference.of(outputs, part), f"ranges from {CALIBRATION_CLIPS} synthesised clips")
    return [model, *(Carried(name, note="written by esp-ppq beside it") for name in names if name != NAME)]


def _quantized(student: StoredStudent, scratch: Path) -> tuple[Any, list[tuple[int, ...]]]:
    from esp_ppq.api import espdl_quantize_onnx

    source = scratch / "student.onnx"
    write_float(student, source)
    samples = calibration(student, source, CALIBRATION_STEPS)
    shapes = [values.shape for values in samples[0]]
    try:
        graph = espdl_quantize_onnx(
            str(source),
            str(scratch / NAME),
            samples,
            len(samples),
            [list(shape) for shape in shapes],
            target="esp32s3",
            num_of_bits=8,
            collate_fn=_tensors,
            error_report=False,
        )
    except Exception as error:  # esp-ppq raises whatever the operator that it does not know provokes
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise CannotCarryError(f"esp-ppq {metadata.version('esp-ppq')} fails on it: {said[0]}") from error
    return graph, shapes


def _invoke(graph: Any) -> Invoke:
    from esp_ppq.executor import TorchExecutor

    executor = TorchExecutor(graph, device="cpu")

    def invoke(inputs: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        return [output.detach().numpy() for output in executor.forward(_tensors(inputs))]

    return invoke


def _tensors(inputs: Sequence[NDArray[np.float32]]) -> Any:
    import torch

    tensors = [torch.from_numpy(values.copy()) for values in inputs]
    return tensors if len(tensors) > 1 else tensors[0]
