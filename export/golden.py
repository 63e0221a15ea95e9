"""Golden inputs: seeded features in a student's shape, and what its INT8 model makes of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from export.results import TFLITE, read_object
from spaces.front_end import FrontEnd

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

GOLDEN_CLIPS = 32
CALIBRATION_CLIPS = 128
GOLDEN_SEED, CALIBRATION_SEED = 0, 1
MADE_OF = "synthesised: bursts with two formants over a tilted noise floor, each clip at a level of its own"
_LOUDEST, _QUIETEST = 1.0, 1e-4
# One Invoke on float arrays of batch 1: (clip) to (outputs), or (what a step hears, *states) to (outputs, *states).
Invoke = Callable[[Sequence["NDArray[np.float32]"]], Sequence["NDArray[np.float32]"]]


@final
@dataclass(frozen=True)
class StoredStudent:
    """A trained student as it lies in its trial's folder.

    Its INT8 model, its front end, its student.json, its metrics.json, and the footprint that the study knows; in a
    firmware it may have another `beside` it.
    """

    folder: Path
    model: bytes
    front_end: FrontEnd
    facts: Mapping[str, Any]
    metrics: Mapping[str, Any]
    footprint: Mapping[str, Any]
    beside: StoredStudent | None = None

    @property
    def is_step(self) -> bool:
        """Whether it hears a clip step by step, with states."""
        from export.operators import read_model

        return bool(read_model(self.model).is_step)


@final
@dataclass(frozen=True)
class Golden:
    """Features [clips, frames, values per frame], the INT8 model's outputs [clips, outputs], and one step of these."""

    features: NDArray[np.float32]
    outputs: NDArray[np.float32]
    output_step: float

    @property
    def hash(self) -> str:
        """sha256 of the features' bytes."""
        return hashlib.sha256(self.features.tobytes()).hexdigest()


@final
@dataclass(frozen=True)
class Difference:
    """Largest and mean absolute difference of a file's outputs from the INT8 reference's, in the outputs' unit."""

    largest: float
    mean: float

    @classmethod
    def of(cls, outputs: NDArray[np.float32], golden: Golden) -> Difference:
        """From outputs [clips, outputs] for the golden features."""
        apart = np.abs(outputs.reshape(golden.outputs.shape).astype(np.float64) - golden.outputs)
        return cls(float(apart.max()), float(apart.mean()))


def stored_student(folder: Path, footprint: Mapping[str, Any]) -> StoredStudent:
    """Read a trial's folder; a student.json that names no front end is a `ValueError`."""
    facts = read_object(folder / "student.json")
    try:
        front_end = FrontEnd(**facts["front_end"])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / 'student.json'} describes no front end that this version knows: {error}"
        ) from error
    metrics = read_object(folder / "metrics.json")
    return StoredStudent(folder, (folder / TFLITE).read_bytes(), front_end, facts, metrics, footprint)


def student_beside(path: Path, student: StoredStudent) -> StoredStudent:
    """A second student: that of an export's folder, or a .tflite file that hears what `student` hears."""
    if path.is_dir():
        return stored_student(path, {})
    if path.suffix != ".tflite" or not path.is_file():
        raise ValueError(f"--beside: {path} is neither the folder of an export nor a .tflite file")
    return StoredStudent(path.parent, path.read_bytes(), student.front_end, {}, {}, {})


def golden(student: StoredStudent) -> Golden:
    """The golden inputs with the INT8 reference: LiteRT's built-in kernels, by which the student was scored."""
    from export.streaming import int8_outputs
    from export.tflite import host_interpreter

    features = heard(student, GOLDEN_CLIPS, GOLDEN_SEED)
    scale, _ = host_interpreter(student.model).get_output_details()[0]["quantization"]
    return Golden(features, int8_outputs(student.model, features), float(scale))


def heard(student: StoredStudent, clips: int, seed: int) -> NDArray[np.float32]:
    """Synthesised features within the range of the INT8 model's input: beyond it only clipping would be compared."""
    from export.tflite import host_interpreter

    scale, zero = host_interpreter(student.model).get_input_details()[0]["quantization"]
    low, high = (-128 - zero) * scale, (127 - zero) * scale
    return synthesised(student.front_end, clips, seed).clip(low, high).astype(np.float32)


def synthesised(front_end: FrontEnd, clips: int, seed: int) -> NDArray[np.float32]:
    """Features [clips, frames, values per frame] that lie where a front end's features of sound lie."""
    rng = np.random.default_rng([seed, front_end.frames, front_end.values_per_frame])
    return np.stack([_clip(front_end, rng) for _ in range(clips)]).astype(np.float32)


def _clip(front_end: FrontEnd, rng: np.random.Generator) -> NDArray[np.float64]:
    loudness = _QUIETEST * (_LOUDEST / _QUIETEST) ** rng.random()
    if front_end.kind == "waveform":
        return _waveform(front_end, rng, loudness)
    if front_end.kind == "micro":
        return _micro(front_end, rng)
    _, mels = _places(front_end)
    energy = _with_bursts(10 ** rng.uniform(-6, -2) * np.exp(-rng.uniform(0, 4) * mels), front_end, rng)
    # Energy of noise in one window is about exponential.
    speckle = rng.exponential(size=energy.shape)
    power = (loudness * front_end.window_samples / 4) ** front_end.spectrum_power * energy * speckle
    return np.asarray((np.log(power + front_end.log_floor) - front_end.log_mean) / front_end.log_std)


def _places(front_end: FrontEnd) -> list[NDArray[np.float64]]:
    """Where 0-1 in its clip and in its frame each value [frames, values per frame] lies."""
    axes = np.linspace(0, 1, front_end.frames), np.linspace(0, 1, front_end.values_per_frame)
    return list(np.meshgrid(*axes, indexing="ij"))


def _with_bursts(energy: NDArray[np.float64], front_end: FrontEnd, rng: np.random.Generator) -> NDArray[np.float64]:
    """Energies [frames, mels] and up to four bursts with two formants each."""
    frames, mels = _places(front_end)
    for _ in range(rng.integers(0, 5)):
        burst = np.exp(-(((frames - rng.random()) / rng.uniform(0.03, 0.2)) ** 2))
        formants = sum(np.exp(-(((mels - rng.random()) / rng.uniform(0.05, 0.2)) ** 2)) for _ in range(2))
        energy = energy + burst * (formants + 0.02)
    return energy


def _micro(front_end: FrontEnd, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise is suppressed: bursts above it, on the logarithm's scale of 64, and silence between them."""
    energy = _with_bursts(np.zeros((front_end.frames, front_end.mels)), front_end, rng)
    above = np.exp(rng.uniform(4, 10)) * energy * rng.exponential(size=energy.shape)
    scaled = np.floor(64 * np.log(np.maximum(1.0, above))) / 25.6
    return np.asarray((scaled - front_end.log_mean) / front_end.log_std)


def _waveform(front_end: FrontEnd, rng: np.random.Generator, loudness: float) -> NDArray[np.float64]:
    seconds = np.arange(front_end.frames * front_end.hop_samples) / front_end.sample_rate_hz
    pitch = rng.uniform(80, 400)
    tone = sum(np.sin(2 * np.pi * pitch * k * seconds + rng.uniform(0, 6.28)) / k for k in range(1, 12))
    envelope = np.exp(-(((seconds / seconds[-1] - rng.random()) / rng.uniform(0.05, 0.4)) ** 2))
    sound = loudness * np.clip(0.4 * tone * envelope + 0.02 * rng.standard_normal(len(seconds)), -1, 1)
    # The mu-law of telephones, as the student's front end compresses.
    squeezed = np.copysign(np.log1p(255 * np.abs(sound)) / np.log1p(255), sound)
    return np.asarray(squeezed.reshape(front_end.frames, front_end.hop_samples))


def taken_through(
    invoke: Invoke, features: NDArray[np.float32], shapes: Sequence[tuple[int, ...]]
) -> NDArray[np.float32]:
    """Outputs [clips, outputs] of a float model with inputs of these `shapes`, at the last step of each clip."""
    return np.stack([walked(invoke, clip, shapes)[-1][1][0].reshape(-1) for clip in features])


def walked(
    invoke: Invoke, clip: NDArray[np.float32], shapes: Sequence[tuple[int, ...]]
) -> list[tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]]:
    """Inputs and outputs of every Invoke on one clip [frames, values per frame]; states begin at zero."""
    frames_per_step = math.prod(shapes[0]) // clip.shape[1]
    heard = clip[len(clip) % frames_per_step :].reshape(-1, *shapes[0]).astype(np.float32)
    states = [np.zeros(shape, np.float32) for shape in shapes[1:]]
    steps = []
    for frame in heard:
        inputs = [frame, *states]
        outputs = [np.asarray(output, np.float32) for output in invoke(inputs)]
        states = outputs[1:]
        steps.append((inputs, outputs))
    return steps
