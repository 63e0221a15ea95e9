"""The firmware's front end built by this host's C compiler, and how far it lies from the reference."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np

from export.front_end import features_of
from export.golden import Difference
from export.golden_sound import golden_sound, host_runs, runs_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from export.device_student import DeviceStudent
    from spaces.front_end import FrontEnd

FIRMWARE = Path(__file__).parent / "firmware"
HOST_PROGRAM = "host/front_end.c"
FLAGS = ("-std=c99", "-O2")
NO_COMPILER = "there is no C compiler on this host"
CLIPS = 8
FIRST_SEED = 1
TIMEOUT_S = 120


@final
class NotComparedError(RuntimeError):
    """The C front end could not be built or run here; the message says why."""


@final
@dataclass(frozen=True)
class Heard:
    """What the C front end makes of one clip: int8 codes and float32 features [frames, values]; a waveform has none."""

    codes: NDArray[np.int8]
    features: NDArray[np.float32] | None


@final
@dataclass(frozen=True)
class FrontEndParity:
    """The C front end less the reference's on golden clips.

    The largest difference of a feature (None where all is integers), how many of `codes` differ, and what that moves in
    the INT8 model's outputs, of which a share differs.
    """

    compiler: str
    clips: int
    largest_feature: float | None
    codes: int
    codes_apart: int
    outputs_apart: float
    difference: Difference

    def __str__(self) -> str:
        features = "" if self.largest_feature is None else f"features within {self.largest_feature:.2g}, "
        return (
            f"the C front end built by {self.compiler} on {self.clips} clips: {features}{self.codes_apart} of "
            f"{self.codes} INT8 values and {self.outputs_apart:.2%} of outputs differ"
        )


def compiler() -> str | None:
    """The system's C compiler; `CC` may name it."""
    names = (os.environ.get("CC"), "cc", "gcc", "clang")
    return next((found for name in names if name and (found := shutil.which(name))), None)


def build(sources: Mapping[str, str], program: Path, main: Path, *flags: str) -> None:
    """Compile C sources by file name, with the `main` that uses them."""
    if (found := compiler()) is None:
        raise NotComparedError(NO_COMPILER)
    folder = program.parent
    for name, text in sources.items():
        (folder / name).write_text(text, encoding="utf-8")
    files = [str(folder / name) for name in sources if name.endswith(".c")]
    _run([found, *FLAGS, *flags, "-I", str(folder), str(main), *files, "-lm", "-o", str(program)])


def _run(command: Sequence[str], sent: bytes = b"") -> bytes:
    try:
        done = subprocess.run(command, input=sent, capture_output=True, check=False, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotComparedError(f"{Path(command[0]).name}: {error}") from error
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise NotComparedError(f"{Path(command[0]).name} ended with {done.returncode}: {' '.join(words[:2])}")
    return done.stdout


def heard(program: Path, samples: NDArray[np.int16], front_end: FrontEnd) -> Heard:
    """What a built program makes of int16 samples [n]."""
    told = _run([str(program)], samples.tobytes())
    values = front_end.values_per_frame
    if front_end.kind == "waveform":
        return Heard(np.frombuffer(told, np.int8).reshape(-1, values), None)
    frame = np.dtype([("codes", np.int8, (values,)), ("features", np.float32, (values,))])
    frames = np.frombuffer(told, frame)
    return Heard(frames["codes"], frames["features"])


def front_end_parity(student: DeviceStudent, sources: Mapping[str, str], clips: int = CLIPS) -> FrontEndParity:
    """Build the front end with these `sources` and run it; a `NotComparedError` where this host cannot."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "front_end"
        build(sources, program, FIRMWARE / HOST_PROGRAM)
        return _parity(student, program, clips)


def _parity(student: DeviceStudent, program: Path, clips: int) -> FrontEndParity:
    front_end = student.stored.front_end
    samples = (front_end.frames - 1) * front_end.hop_samples + front_end.window_samples
    whole = front_end.frames // student.frames_per_run * student.frames_per_run
    furthest, apart, told = 0.0, 0, []
    for clip in range(clips):
        sound = golden_sound(samples, FIRST_SEED + clip)
        features = features_of(sound, front_end)
        expected = runs_of(student, features[:whole])
        found = heard(program, sound, front_end)
        if found.features is not None:
            furthest = max(furthest, float(np.abs(found.features - features).max()))
        runs = found.codes[:whole].reshape(expected.shape)
        apart += int((runs != expected).sum())
        told.append([host_runs(student.stored.model, side) for side in (runs, expected)])
    ours, theirs = (np.concatenate(side).astype(np.float64) for side in zip(*told, strict=True))
    moved = np.abs(ours - theirs) * student.told.scale
    return FrontEndParity(
        compiler=Path(compiler() or "").name,
        clips=clips,
        largest_feature=None if front_end.kind == "waveform" else furthest,
        codes=clips * whole * front_end.values_per_frame,
        codes_apart=apart,
        outputs_apart=float((ours != theirs).mean()),
        difference=Difference(float(moved.max()), float(moved.mean())),
    )
