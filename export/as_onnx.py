"""A student as ONNX: float, and INT8 in the QDQ form."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from export.carried import CannotCarryError, Carried
from export.golden import CALIBRATION_CLIPS, CALIBRATION_SEED, Difference, heard, taken_through, walked
from export.tflite import quiet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from export.golden import Golden, Invoke, StoredStudent

FLOAT, INT8 = "student.float.onnx", "student.int8.onnx"
CALIBRATED = f"ranges from {CALIBRATION_CLIPS} synthesised clips; the INT8 .tflite has those of training clips"
# A step's calibration goes through whole clips; as many Invokes are enough.
CALIBRATION_STEPS = 1024


def write(student: StoredStudent, golden: Golden, folder: Path) -> list[Carried]:
    """Both files, each checked and run in onnxruntime; inputs and outputs as in student.pt2."""
    import onnxruntime

    write_float(student, folder / FLOAT)
    _write_int8(student, folder / FLOAT, folder / INT8)
    runtime = f"onnxruntime {onnxruntime.__version__}"
    return [
        Carried(FLOAT, runtime, _difference(folder / FLOAT, golden), "float"),
        Carried(INT8, runtime, _difference(folder / INT8, golden), CALIBRATED),
    ]


def write_float(student: StoredStudent, path: Path) -> None:
    """The float network of student.pt2 in one .onnx file, which onnx's checker accepts."""
    import onnx
    import torch

    from export.pt2 import read_program

    program = read_program(student.folder / "student.pt2")
    try:
        with quiet():
            converted = torch.onnx.export(program, dynamo=True, external_data=False, verbose=False)
    except torch.onnx.errors.OnnxExporterError as error:
        raise CannotCarryError(f"torch's exporter fails: {str(error).splitlines()[0]}") from error
    assert converted is not None
    partial = path.with_name(f"{path.name}.tmp")
    converted.save(str(partial), external_data=False)
    onnx.checker.check_model(onnx.load(str(partial)), full_check=True)
    partial.replace(path)


def invoked(path: Path) -> tuple[Invoke, list[tuple[int, ...]]]:
    """One Invoke of an .onnx in onnxruntime, and its inputs' shapes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    names = [tensor.name for tensor in inputs]

    def invoke(values: Sequence[NDArray[np.float32]]) -> Sequence[NDArray[np.float32]]:
        found: Sequence[NDArray[np.float32]] = session.run(None, dict(zip(names, values, strict=True)))
        return found

    return invoke, [tuple(map(int, tensor.shape)) for tensor in inputs]


def calibration(student: StoredStudent, float_onnx: Path, most: int) -> list[list[NDArray[np.float32]]]:
    """Inputs of at most `most` Invokes of the float model, evenly out of synthesised clips."""
    invoke, shapes = invoked(float_onnx)
    clips = heard(student, CALIBRATION_CLIPS, CALIBRATION_SEED)
    if not student.is_step:
        return [[clip.reshape(shapes[0])] for clip in clips[:most]]
    steps = [inputs for clip in clips for inputs, _ in walked(invoke, clip, shapes)]
    return steps[:: -(-len(steps) // most)]


def _difference(path: Path, golden: Golden) -> Difference:
    invoke, shapes = invoked(path)
    return Difference.of(taken_through(invoke, golden.features, shapes), golden)


def _write_int8(student: StoredStudent, float_onnx: Path, path: Path) -> None:
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, quiet():
        prepared, quantized = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(str(float_onnx), str(prepared))
        quantization.quantize_static(
            str(prepared),
            str(quantized),
            _reader(calibration(student, float_onnx, CALIBRATION_STEPS), float_onnx),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
        )
        partial = path.with_name(f"{path.name}.tmp")
        partial.write_bytes(quantized.read_bytes())
    partial.replace(path)


def _reader(samples: Sequence[Sequence[NDArray[np.float32]]], model: Path) -> Any:
    """What onnxruntime calibrates by: the samples by input name, one after another."""
    import onnx
    from onnxruntime import quantization

    names = [tensor.name for tensor in onnx.load(str(model)).graph.input]

    @final
    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left: Iterator[Sequence[NDArray[np.float32]]] = iter(samples)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            sample = next(self._left, None)
            return None if sample is None else dict(zip(names, sample, strict=True))

    return Reader()
