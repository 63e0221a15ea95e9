"""Folders of exported students that were taught nothing."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from export.front_end import features_of
from spaces.candidate import Student
from spaces.front_end import FrontEnd
from tests.conftest import GLIDES, spoken
from trainables.conversion import int8_student
from trainables.distil import logits_of
from trainables.streams import windows
from trainables.students import build_student

FRONT_END = FrontEnd(clip_seconds=0.5, hop_samples=320, mels=20)
STUDENTS = {
    "clips": Student("tiny_conv", {"width": 8, "depth": 3, "depthwise": True}),
    "steps": Student("gru", {"hidden": 12, "depth": 1}),
}


@cache
def _model(kind: str) -> bytes:
    torch.manual_seed(0)
    clips = _clips()
    network = build_student(STUDENTS[kind], FRONT_END, 2).eval()
    with torch.no_grad():
        logits = logits_of(network, clips)
        *_, weight, bias = network.parameters()
        # Untaught logits hardly differ: centred, and spread as those of a student that tells something apart.
        factor = 2 / float(np.ptp(logits[:, 1] - logits[:, 0]))
        bias.copy_((bias - torch.from_numpy(logits.mean(axis=0))) * factor)
        weight.mul_(factor)
    # Louder than what is heard, so that there is room above the highest score.
    return int8_student(network, 1.5 * clips)


def _clips() -> NDArray[np.float32]:
    noise = 0.02 * np.random.default_rng(0).standard_normal(32_000)
    words = [spoken(word, speaker, 1) for speaker in range(4) for word in GLIDES]
    sound = np.round(np.concatenate([noise, *words]) * 32767).astype(np.int16)
    return np.ascontiguousarray(windows(features_of(sound, FRONT_END), FRONT_END, 5))


def made_student(folder: Path, kind: str, **changed: Any) -> Path:
    """A folder with the two files that decide; `changed` are entries of student.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "student.int8.tflite").write_bytes(_model(kind))
    document = {
        "schema": 1,
        "recipe": "wakeword",
        "front_end": asdict(FRONT_END),
        "labels": ["_other_", "up"],
        "class_of_output": None,
        "decision": {"threshold": 0.0, "refractory_seconds": 1.0},
    }
    (folder / "student.json").write_text(json.dumps(document | changed))
    return folder
