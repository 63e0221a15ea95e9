"""What the TFLM interpreter of this host computes for an INT8 model, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Twice the largest PSRAM of a module. Pages that nothing touches cost nothing.
ARENA_BYTES = 64 << 20
# To start, and to finish the clip that it is at.
GRACE_SECONDS = 120.0


def tflm_codes(model: bytes, codes: NDArray[np.int8], states: int = 0, seconds: float = 60.0) -> NDArray[np.int8]:
    """Raw outputs [clips, steps, outputs] for `codes` [n, steps, ...] of the model's first input.

    A model with `states` gets its own states of one step with the next, zero points in the first. As many clips as
    `seconds` allow are computed, the first always. A model that TFLM refuses, or stops on, is a `ValueError`.
    """
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "model.tflite").write_bytes(model)
        np.save(place / "codes.npy", codes)
        command = [sys.executable, "-I", str(Path(__file__).resolve()), folder, str(states), str(seconds)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=seconds + GRACE_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise ValueError(f"the TFLM interpreter of this host takes over {error.timeout:.0f} s for a clip") from None
        if done.returncode:
            raise ValueError(f"the TFLM interpreter of this host stops on this model (exit {done.returncode})")
        refusal = json.loads((place / "refusal.json").read_text())
        if refusal:
            raise ValueError(f"the TFLM interpreter of this host refuses this model: {refusal}")
        outputs: NDArray[np.int8] = np.load(place / "outputs.npy")
    return outputs


def _compute(place: Path, states: int, seconds: float) -> str:
    """Write the outputs, or say why there are none."""
    import numpy as np
    from tflite_micro import runtime

    codes = np.load(place / "codes.npy", mmap_mode="r")
    try:
        micro = runtime.Interpreter.from_file(str(place / "model.tflite"), arena_size=ARENA_BYTES)
        until, outputs = time.monotonic() + seconds, []
        for clip in codes:
            outputs.append(_walked(micro, clip, states))
            if time.monotonic() > until:
                break
    except (RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    np.save(place / "outputs.npy", np.stack(outputs))
    return ""


def _walked(micro: Any, clip: NDArray[np.int8], states: int) -> NDArray[np.int8]:
    import numpy as np

    details = [micro.get_input_details(position) for position in range(1, states + 1)]
    before = [np.full(d["shape"], d["quantization_parameters"]["zero_points"][0], np.int8) for d in details]
    outputs = []
    for step in clip:
        for position, values in enumerate((step[None], *before)):
            micro.set_input(values, position)
        micro.invoke()
        outputs.append(np.asarray(micro.get_output(0)).reshape(-1).copy())
        before = [micro.get_output(position).copy() for position in range(1, states + 1)]
    return np.stack(outputs)


if __name__ == "__main__":
    where = Path(sys.argv[1])
    (where / "refusal.json").write_text(json.dumps(_compute(where, int(sys.argv[2]), float(sys.argv[3]))))
