"""Golden vectors for a device: sound made of a seed in integers, and what the reference makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from export.decision import decisions
from export.front_end import features_of
from export.overlap_add import masked_sound
from export.streaming import states_of
from export.tflite import host_interpreter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from export.device_student import DeviceStudent

SEED = 2463534242
NOTE_SAMPLES, LEVELS = 2000, 16
# A step student repeats itself: so many frames show it.
MOST_STEP_FRAMES = 32
DECISIONS = 64
CODES_APART_PERMILLE = 5
# By how many steps a device's codes may differ. TFLM's front end is integers, but its tables are made by the device's
# cosf, log1pf and powf: where all of these lie one or two last digits off, 1-3 % of the golden codes move, by up to 51
# steps, and the outputs of a MixedNet by one.
CODE_STEPS = {"waveform": 0, "micro": 64}
_APART_PERMILLE = {"waveform": 0, "micro": 50}
SOUND_STEPS = 2


@final
@dataclass(frozen=True)
class GoldenVectors:
    """int8 codes [frames, values], int8 outputs [runs, outputs], and by how many steps a device may differ.

    `code_steps` is for any code, `codes_apart_permille` how many may differ at all.
    `scores` and `events` [decisions] are the decision's on seeded noise; `sound` is int16 [samples], of a student that
    makes some.
    """

    codes: NDArray[np.int8]
    code_steps: int
    codes_apart_permille: int
    outputs: NDArray[np.int8]
    output_steps: int
    scores: NDArray[np.int16]
    events: NDArray[np.uint8]
    sound: NDArray[np.int16]


def golden_sound(samples: int, seed: int = SEED) -> NDArray[np.int16]:
    """int16 samples [n]: tones of many pitches and levels over faint noise; `potstill_golden_sample` gives the same."""
    found = np.empty(samples, np.int64)
    pitch = level = phase = 0
    for at, noise in zip(range(samples), _noise(seed), strict=False):
        if at % NOTE_SAMPLES == 0:
            pitch, level = (noise >> 4) % (1 << 28), (noise >> 2) % LEVELS
        phase = (phase + pitch) & 0xFFFFFFFF
        triangle = 32767 - abs((phase >> 15) - 65536)
        found[at] = _quotient(triangle * level * level, 225) + _quotient((noise >> 16) - 32768, 128)
    return np.clip(found, -32768, 32767).astype(np.int16)


def _noise(seed: int) -> Iterator[int]:
    """Marsaglia's xorshift of 32 bits."""
    state = seed
    while True:
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        yield state


def _quotient(value: int, by: int) -> int:
    """Towards zero, as C divides."""
    return abs(value) // by * (1 if value >= 0 else -1)


def noisy_rows(rows: int, outputs: int, seed: int = SEED) -> NDArray[np.int8]:
    """int8 rows [n, outputs] of seeded noise."""
    stream = _noise(seed)
    codes = [(next(stream) >> 24) - 128 for _ in range(rows * outputs)]
    return np.array(codes, np.int8).reshape(rows, outputs)


def golden_vectors(student: DeviceStudent) -> GoldenVectors:
    """What TFLM of this host makes of the golden sound; outputs may differ by as much as LiteRT's do from them."""
    front_end, frames = student.stored.front_end, golden_frames(student)
    samples = golden_sound((frames - 1) * front_end.hop_samples + front_end.window_samples)
    runs = runs_of(student, features_of(samples, front_end))
    outputs = micro_runs(student.stored.model, runs)
    apart = np.abs(outputs.astype(np.int64) - host_runs(student.stored.model, runs)).max()
    scores, events = _decided(student)
    return GoldenVectors(
        codes=runs.reshape(frames, front_end.values_per_frame),
        code_steps=CODE_STEPS.get(front_end.kind, 1),
        codes_apart_permille=_APART_PERMILLE.get(front_end.kind, CODES_APART_PERMILLE),
        outputs=outputs,
        output_steps=max(1, int(apart)),
        scores=scores,
        events=events,
        sound=_sound(student, samples, outputs),
    )


def golden_frames(student: DeviceStudent) -> int:
    """Frames of the golden sound: one clip, or some whole runs of a step."""
    if not student.states:
        return student.frames_per_run
    some = min(student.stored.front_end.frames, MOST_STEP_FRAMES)
    return max(1, some // student.frames_per_run) * student.frames_per_run


def runs_of(student: DeviceStudent, features: NDArray[np.float32]) -> NDArray[np.int8]:
    """int8 inputs [runs, ...] for features [frames, values] of whole runs, rounded as the reference rounds them."""
    shape = host_interpreter(student.stored.model).get_input_details()[0]["shape"][1:]
    codes = np.clip(np.round(features / student.heard.scale) + student.heard.zero_point, -128, 127).astype(np.int8)
    return np.asarray(codes.reshape(-1, *map(int, shape)))


def host_runs(model: bytes, runs: NDArray[np.int8]) -> NDArray[np.int8]:
    """Outputs [runs, outputs] under LiteRT's built-in kernels, states fed back from one run to the next."""
    interpreter = host_interpreter(model)
    interpreter.allocate_tensors()
    heard, told = interpreter.get_input_details(), interpreter.get_output_details()
    states = _first_states(model)
    found = []
    for run in runs:
        for tensor, values in zip(heard, [run[None], *states], strict=True):
            interpreter.set_tensor(tensor["index"], values)
        interpreter.invoke()
        outputs, *states = (interpreter.get_tensor(tensor["index"]) for tensor in told)
        found.append(outputs.reshape(-1))
    return np.array(found, np.int8)


def micro_runs(model: bytes, runs: NDArray[np.int8]) -> NDArray[np.int8]:
    """As `host_runs`, under TFLM of this host."""
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(model, arena_size=max(1 << 20, 10 * len(model)))
    states = _first_states(model)
    found = []
    for run in runs:
        for position, values in enumerate([run[None], *states]):
            interpreter.set_input(values, position)
        interpreter.invoke()
        found.append(np.asarray(interpreter.get_output(0)).reshape(-1).copy())
        states = [interpreter.get_output(position).copy() for position in range(1, len(states) + 1)]
    return np.array(found, np.int8)


def _first_states(model: bytes) -> list[NDArray[np.int8]]:
    return [np.full(state.shape, state.zero_point, np.int8) for state in states_of(model)]


def _decided(student: DeviceStudent) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    if student.decides is None or student.settings is None:
        return np.empty(0, np.int16), np.empty(0, np.uint8)
    scores = student.decides.rule.steps(noisy_rows(DECISIONS, student.outputs))
    return scores, np.array([int(event) for event in decisions(scores, student.settings)], np.uint8)


def _sound(student: DeviceStudent, samples: NDArray[np.int16], outputs: NDArray[np.int8]) -> NDArray[np.int16]:
    if not student.makes_sound:
        return np.empty(0, np.int16)
    masks = (outputs.astype(np.float32) - student.told.zero_point) * np.float32(student.told.scale)
    return as_int16(masked_sound(samples, masks, student.stored.front_end))


def as_int16(sound: NDArray[np.float32]) -> NDArray[np.int16]:
    """Sound in [-1, 1] as samples, rounded half to even and limited, as the device does."""
    return np.clip(np.round(sound * np.float32(32768)), -32768, 32767).astype(np.int16)
