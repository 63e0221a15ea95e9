"""How a student that turns sound into sound keeps up with it on the board."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spaces.budget import Footprint
    from spaces.front_end import FrontEnd


def real_time(front_end: FrontEnd, footprint: Footprint) -> dict[str, float]:
    """Milliseconds per hop, their share of it (below 1 it keeps up), and delays; {} where no sound comes out.

    The algorithmic delay is that of the window; a hop's computing comes on top.
    """
    if front_end.kind != "log_power":
        return {}
    return {
        "hop_ms": front_end.hop_ms,
        "decision_ms": footprint.decision_ms,
        "real_time_factor": footprint.decision_ms / front_end.hop_ms,
        "real_time_factor_high": footprint.decision_high_ms / front_end.hop_ms,
        "algorithmic_delay_ms": front_end.window_ms,
        "delay_ms": front_end.window_ms + footprint.decision_ms,
    }


def real_time_rows(found: Mapping[str, float]) -> list[dict[str, Any]]:
    """A table for evaluation.json of what `real_time` found."""
    if not found:
        return []
    values = [round(value, 3) for value in found.values()]
    return [{"type": "table", "title": "On the board, hop by hop", "columns": list(found), "rows": [values]}]
