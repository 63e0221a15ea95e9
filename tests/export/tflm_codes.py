"""What the TFLM interpreter makes of quantized clips, whole or frame by frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tflite_micro import runtime

from export.operators import read_model
from export.streaming import Int8Stream
from export.tflite import Int8Model


def host_model(model: bytes) -> Int8Model | Int8Stream:
    """The project's own runner of a model."""
    return Int8Stream(model) if read_model(model).is_step else Int8Model(model)


def micro_codes(model: bytes, clips: NDArray[np.int8]) -> NDArray[np.int64]:
    """Outputs [n, outputs] for clips as `host_model(model).quantized` codes them; states begin at zero in each."""
    micro = runtime.Interpreter.from_bytes(model)
    step = read_model(model).is_step
    return np.array([_stepped(micro, model, clip) if step else _whole(micro, clip) for clip in clips])


def _whole(micro: runtime.Interpreter, clip: NDArray[np.int8]) -> NDArray[np.int64]:
    micro.set_input(clip[None], 0)
    micro.invoke()
    return micro.get_output(0)[0].astype(np.int64)  # type: ignore[no-any-return]


def _stepped(micro: runtime.Interpreter, model: bytes, clip: NDArray[np.int8]) -> NDArray[np.int64]:
    positions = range(1, len(read_model(model).main.inputs))
    details = [micro.get_input_details(position) for position in positions]
    states = [np.full(d["shape"], d["quantization_parameters"]["zero_points"][0], np.int8) for d in details]
    for frame in clip:
        micro.set_input(frame[None], 0)
        for position, state in zip(positions, states, strict=True):
            micro.set_input(state, position)
        micro.invoke()
        states = [micro.get_output(position).copy() for position in positions]
    return micro.get_output(0)[0].astype(np.int64)  # type: ignore[no-any-return]
