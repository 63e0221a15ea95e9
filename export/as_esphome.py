"""A streaming wake word for ESPHome: its model, and the manifest of micro-wake-word, version 2."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np

from export.c_front_end import check_step
from export.carried import CannotCarryError, Carried
from export.device_student import device_student, input_step
from export.espidf_build import board_of_study
from export.footprint import arena_estimate, overridden
from export.golden import Difference
from export.golden_sound import micro_runs, runs_of
from export.inner_states import PROBABILITY_SCALE, operators_left, with_inner_states
from export.operators import read_model
from export.results import write_atomically
from export.streaming import states_of

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from export.device_student import DeviceStudent
    from export.golden import Golden, StoredStudent

FOLDER = "esphome"
# esphome/components/micro_wake_word: the features of preprocessor_settings.h, the operators that streaming_model.cpp
# registers, and what __init__.py asks of a manifest.
FEATURES, VALUES, LONGEST_STEP_MS = "micro", 40, 30
OPERATORS = frozenset(
    """
    CALL_ONCE VAR_HANDLE RESHAPE READ_VARIABLE STRIDED_SLICE CONCATENATION ASSIGN_VARIABLE CONV_2D MUL ADD MEAN
    FULLY_CONNECTED LOGISTIC QUANTIZE DEPTHWISE_CONV_2D AVERAGE_POOL_2D MAX_POOL_2D PAD PACK SPLIT_V
    """.split()  # noqa: SIM905 - a list of words reads better than quotes
)
MOST_VARIABLES = 20
LEAST_ESPHOME = "2024.7.0"
# Its releases link different ones, whose scratch memory differs.
KERNEL_RELEASES = ("1.1.2", "1.2.3", "1.4.0")
CLIPS = 4


def write(student: StoredStudent, golden: Golden, folder: Path) -> list[Carried]:
    """The model with its states inside and one probability as output, and its manifest; author and languages are open.

    A student that ESPHome could not run is a `CannotCarryError` that says everything which is in the way.
    """
    _check(student)
    device = device_student(student, "potstill_own")
    assert device.decides is not None
    event = device.decides.rule.is_event.index(True)
    model = with_inner_states(student.model, (1, device.frames_per_run, VALUES), event)
    name = re.sub(r"\W+", "_", device.decides.event.lower()).strip("_") or "wake_word"
    write_atomically(folder / FOLDER / f"{name}.tflite", model)
    write_atomically(folder / FOLDER / f"{name}.json", json.dumps(_manifest(device, model, name), indent=2) + "\n")
    difference = _difference(device, model, golden.features[:CLIPS])
    runtime = f"TFLM of this host, step by step on {CLIPS} clips; of the probability"
    return [
        Carried(f"{FOLDER}/{name}.tflite", runtime, difference, "states are variables of the model"),
        Carried(f"{FOLDER}/{name}.json", note="manifest: fill in author and languages; its cut-off is the threshold's"),
    ]


def _check(student: StoredStudent) -> None:
    reasons = _features(student)
    if not student.is_step:
        reasons.append("it hears whole clips, ESPHome feeds single steps")
    elif (count := len(states_of(student.model))) > MOST_VARIABLES:
        reasons.append(f"it has {count} states, ESPHome holds {MOST_VARIABLES} variables")
    if lacking := sorted({*operators_left(student.model)} - OPERATORS):
        reasons.append(f"ESPHome registers no {', '.join(lacking)}")
    if "threshold" not in student.facts.get("decision", {}) or len(student.facts.get("labels") or ()) != 2:
        reasons.append("it does not tell one wake word from everything else")
    if reasons:
        raise CannotCarryError(f"ESPHome's micro_wake_word cannot run it: {'; '.join(reasons)}")


def _features(student: StoredStudent) -> list[str]:
    front_end = student.front_end
    kind = str(front_end.kind)
    if kind != FEATURES:
        return [f"its features are {kind}, ESPHome computes those of TFLM's audio front end ({FEATURES})"]
    fits = front_end.mels == VALUES and front_end.hop_ms.is_integer()
    if not fits or not 0 < front_end.hop_ms <= LONGEST_STEP_MS:
        return [f"ESPHome computes {VALUES} features every 1 to {LONGEST_STEP_MS} ms"]
    try:
        check_step(front_end, input_step(student.model))
    except CannotCarryError as error:
        return [str(error)]
    return []


def _manifest(device: DeviceStudent, model: bytes, name: str) -> dict[str, Any]:
    assert device.decides is not None
    assert device.settings is not None
    return {
        "type": "micro",
        "wake_word": device.decides.event,
        "author": "fill in",
        "model": f"{name}.tflite",
        "trained_languages": [],
        "version": 2,
        "micro": {
            "probability_cutoff": round(device.decides.rule.probability(device.settings.threshold_steps), 3),
            "feature_step_size": round(device.stored.front_end.hop_ms),
            "sliding_window_size": device.settings.votes_window,
            "tensor_arena_size": _arena_bytes(device, model),
            "minimum_esphome_version": LEAST_ESPHOME,
        },
    }


def _arena_bytes(device: DeviceStudent, model: bytes) -> int:
    board, found = board_of_study(device.stored), read_model(model)
    boards = (overridden(board, esp_nn=release) for release in KERNEL_RELEASES)
    return max(arena_estimate(found, one).recommended_bytes for one in boards)


def _difference(device: DeviceStudent, model: bytes, features: NDArray[np.float32]) -> Difference:
    apart = []
    for clip in features:
        runs = runs_of(device, clip[len(clip) % device.frames_per_run :])
        logits = micro_runs(device.stored.model, runs).astype(np.float64) * device.told.scale
        assert device.decides is not None
        event = device.decides.rule.is_event.index(True)
        expected = 1 / (1 + np.exp(logits[:, 1 - event] - logits[:, event]))
        found = said_probabilities(model, runs.reshape(len(runs), device.frames_per_run, VALUES))
        apart.append(np.abs(found - expected))
    return Difference(float(np.max(apart)), float(np.mean(apart)))


def said_probabilities(model: bytes, runs: NDArray[np.int8]) -> NDArray[np.float64]:
    """What a model with inner states says [runs] of int8 frames [runs, frames, values], from its first states on."""
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(model, arena_size=max(1 << 20, 10 * len(model)))
    found = []
    for run in runs:
        interpreter.set_input(run[None], 0)
        interpreter.invoke()
        found.append(float(np.asarray(interpreter.get_output(0)).reshape(-1)[0]) * PROBABILITY_SCALE)
    return np.array(found)
