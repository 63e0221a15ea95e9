"""Students of a device that were taught nothing, as a trial's folder holds them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from export.as_espidf import OWN, generated, shared_sources
from export.c_student import golden_source
from export.device_student import DeviceStudent, device_student
from export.golden import stored_student
from export.golden_sound import golden_vectors
from spaces.front_end import FrontEnd
from tests.export.firmware_programs import MICRO_STAND_IN

MASKED = FrontEnd(
    kind="log_power",
    window_samples=40,
    hop_samples=20,
    n_fft=40,
    clip_seconds=0.05,
    decision_seconds=20 / 16_000,
    log_std=2.0,
)
WAVES = FrontEnd(kind="waveform", window_samples=16, hop_samples=16, clip_seconds=0.1, decision_seconds=0.02)
STRIDE = FrontEnd(window_samples=64, hop_samples=48, n_fft=64, mels=5, clip_seconds=0.2, decision_seconds=0.015)


def stored_folder(folder: Path, model: bytes, front_end: FrontEnd, **facts: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "student.int8.tflite").write_bytes(model)
    document = {"recipe": "wakeword", "front_end": asdict(front_end), "class_of_output": None, "decision": {}}
    (folder / "student.json").write_text(json.dumps(document | facts))
    if not (folder / "metrics.json").exists():
        (folder / "metrics.json").write_text("{}")
    return folder


def opened(folder: Path) -> DeviceStudent:
    return device_student(stored_student(folder, {}), OWN)


def sources_of(student: DeviceStudent) -> dict[str, str]:
    golden = golden_source(student, golden_vectors(student))
    sources = generated(student, 0) | {f"{OWN}_golden.c": golden}
    if student.stored.front_end.kind == "micro":
        sources |= {name: text for name, text in shared_sources(micro=True).items() if "micro" in name}
        sources["frontend.c"] = (MICRO_STAND_IN / "frontend.c").read_text()
    return sources


def mask_maker(m: Any) -> bytes:
    """A step whose mask is its input added to its state, which is the input before: (frame, state) to (mask, state)."""
    frame, state = m.tensor((1, MASKED.values_per_frame)), m.tensor((1, MASKED.values_per_frame))
    nothing = m.tensor((1, MASKED.values_per_frame), data=np.full(MASKED.values_per_frame, 3))
    return bytes(m.build([frame, state], [m.add(frame, state), m.add(frame, nothing)]))


def waves_heard(m: Any) -> bytes:
    """Four outputs of whole clips of samples."""
    frames = WAVES.frames
    rng = np.random.default_rng(0)
    clip = m.tensor((1, frames, WAVES.values_per_frame, 1), scale=1 / 127)
    y = m.mean(m.conv(clip, 4, (3, 16), same=False))
    weights = m.tensor((4, 4), data=rng.integers(-90, 90, (4, 4)), zero=0)
    bias = m.tensor((4,), "int32", data=rng.integers(-900, 900, 4), zero=0, scale=1 / 256)
    out = m.tensor((1, 4))
    m.fully_connected(y, weights, bias, out)
    return bytes(m.build([clip], [out]))


def strided(m: Any) -> bytes:
    """A step of three frames: its first state is what it heard before, the second, of another shape, counts runs."""
    frames = m.tensor((1, 3, STRIDE.values_per_frame), scale=1 / 40)
    states = m.tensor((1, 3, STRIDE.values_per_frame)), m.tensor((1, 3))
    nothing = m.tensor((1, 3, STRIDE.values_per_frame), data=np.full((3, STRIDE.values_per_frame), 3))
    one = m.tensor((1, 3), data=[4, 4, 4])
    heard = m.add(frames, states[0])
    return bytes(m.build([frames, *states], [heard, m.add(frames, nothing), m.add(states[1], one)]))
