"""A student beside its teacher: how much smaller it is, and what both cost on the board in INT8."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch

from export.footprint import PROFILER_VERSION, profile
from trainables.cache import cached_array, content_key
from trainables.conversion import int8_student

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from torch import nn

    from export.calibration import Calibration
    from spaces.board import Board
    from spaces.front_end import FrontEnd

COSTS = ("flash_bytes", "arena_bytes", "latency_ms", "decision_ms")
CLIPS = 8


@final
@dataclass(frozen=True)
class DeviceTeacher:
    """A teacher's network as the chip would run it behind `front_end`; `build` need not give it its weights."""

    name: str
    build: Callable[[], nn.Module]
    front_end: FrontEnd


def compression(teacher: Mapping[str, Any], parameters: int) -> float | None:
    """Parameters of the teacher over the student's; None where the teacher's are not known."""
    known = teacher.get("parameters")
    return known / parameters if known else None


def teacher_costs(teacher: DeviceTeacher, board: Board, calibration: Calibration | None = None) -> dict[str, Any]:
    """Footprint by field of the teacher's network as full INT8, and `fits`: yes, or what the board has no room for.

    With random weights, since costs depend on shapes; worked out once for each board and kept in the cache.
    """
    key = content_key("teacher-costs", teacher.name, teacher.front_end, board, calibration, PROFILER_VERSION)

    def costs() -> NDArray[np.uint8]:
        return np.frombuffer(json.dumps(_costs(teacher, board, calibration)).encode(), np.uint8)

    found: dict[str, Any] = json.loads(cached_array(key, costs).tobytes())
    return found


def _costs(teacher: DeviceTeacher, board: Board, calibration: Calibration | None) -> dict[str, Any]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = teacher.build()
    shape = (teacher.front_end.frames, teacher.front_end.values_per_frame)
    clips = np.random.default_rng(0).standard_normal((CLIPS, *shape)).astype(np.float32)
    found = profile(int8_student(network, clips), board, teacher.front_end, calibration=calibration)
    lacks = (*found.refusals, *found.choice.misfits)
    return {**found.footprint.as_dict(), "fits": f"no: {'; '.join(lacks)}" if lacks else "yes"}


def beside_rows(
    teacher: Mapping[str, Any], metrics: Mapping[str, Any], on_device: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """A table for evaluation.json of what is known of both: retained score, parameters, INT8 footprints."""
    rows = [
        [f"score retained on {split}", round(metrics[split]["retention"], 4), 1.0, ""]
        for split in ("validation", "test")
        if "retention" in metrics[split]
    ]
    if metrics["compression"]:
        rows.append(_row("parameters", metrics["parameters"], teacher["parameters"]))
    if on_device is not None:
        ours = metrics["footprint"]
        rows += [_row(f"INT8 {name}", ours[name], on_device[name]) for name in COSTS]
        rows.append(["INT8 placement", ours["placement"], on_device["placement"], ""])
        rows.append(["INT8 fits the board", "", on_device["fits"], ""])
    columns = ["figure", "student", teacher.get("name", "teacher"), "teacher / student"]
    return [{"type": "table", "title": "Beside the teacher", "columns": columns, "rows": rows}] if rows else []


def _row(name: str, student: float, teacher: float) -> list[Any]:
    return [name, round(student, 3), round(teacher, 3), round(teacher / max(student, 1e-9), 1)]
