"""Folders of exported students that were taught nothing."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spaces.candidate import Student
from spaces.front_end import FrontEnd
from trainables.conversion import int8_student
from trainables.students import build_student

FRONT_END = FrontEnd(clip_seconds=0.5, hop_samples=320, mels=20)
STUDENTS = {"clips": Student("tiny_conv", {"width": 8, "depthwise": True}), "steps": Student("gru", {"hidden": 12, "depth": 1})}


def made_student(folder: Path, kind: str, outputs: int = 2, **changed: Any) -> Path:
    """A folder with the two files that decide; `changed` are entries of student.json."""
    torch.manual_seed(0)
    student = STUDENTS[kind]
    clips = np.random.default_rng(0).normal(0, 0.5, (64, FRONT_END.frames, FRONT_END.mels)).astype(np.float32)
    network = build_student(student, FRONT_END, outputs)
    with torch.no_grad():
        # Scores spread over many steps only once the last layer tells something apart.
        list(network.parameters())[-2].mul_(20)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "student.int8.tflite").write_bytes(int8_student(network.eval(), clips))
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
