"""A MixedNet that hears TFLM's front end and was taught nothing."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from export.golden import StoredStudent, stored_student
from export.micro_front_end import clip_frames
from spaces.candidate import Student
from spaces.front_end import micro_front_end
from tests.conftest import GLIDES, spoken
from tests.export.device_students import stored_folder
from trainables.conversion import int8_student
from trainables.distil import logits_of
from trainables.students import build_student

MICRO = micro_front_end(0.5, 0.03)
STRIDE = 3
DECISION = {
    "threshold": 0.2,
    "event": "up",
    "settings": {
        "threshold_steps": 3,
        "release_steps": None,
        "votes_needed": 2,
        "votes_window": 3,
        "streak": 1,
        "hold_decisions": 4,
    },
}


def words(count: int = 8, speaker: int = 0) -> NDArray[np.int16]:
    """int16 samples: words over faint noise."""
    rng = np.random.default_rng(speaker)
    said = [spoken(word, speaker + at, 1) for at in range(count // len(GLIDES) + 1) for word in GLIDES][:count]
    sound = np.concatenate(said)
    return np.round(np.clip(sound + 0.003 * rng.standard_normal(len(sound)), -1, 1) * 32767).astype(np.int16)


@cache
def micro_model() -> bytes:
    torch.manual_seed(0)
    network = build_student(Student("mixednet", {"width": 8, "depth": 2, "stride": STRIDE}), MICRO, 2).eval()
    clips = clip_frames(words(16)[: 12 * MICRO.clip_samples].reshape(12, -1), MICRO)
    with torch.no_grad():
        logits = logits_of(network, clips)
        *_, weight, bias = network.parameters()
        # Untaught logits hardly differ: centred and spread.
        factor = 4 / float(np.ptp(logits[:, 1] - logits[:, 0]))
        bias.copy_((bias - torch.from_numpy(logits.mean(axis=0))) * factor)
        weight.mul_(factor)
    return int8_student(network, clips, None, MICRO.int8_range)


def micro_folder(folder: Path, **facts: Any) -> Path:
    said = {"labels": ["_other_", "up"], "decision": DECISION} | facts
    return stored_folder(folder, micro_model(), MICRO, **said)


def micro_stored(folder: Path, **facts: Any) -> StoredStudent:
    return stored_student(micro_folder(folder, **facts), {"board": "esp32-s3-box-3"})
