"""Options by which commands change a student's decision."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from export.decision import HOLD_SECONDS, DecisionSettings, decisions_in

if TYPE_CHECKING:
    import argparse

    from export.exported import ExportedStudent


def add_decision_options(parser: argparse.ArgumentParser) -> None:
    """The student, its event, votes and hold time."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="folder of an exported student")
    parser.add_argument("--label", help="the class that is the event, where the student tells more than two apart")
    parser.add_argument("--votes", metavar="N/M", help="raise an alarm on N of M decisions (default: student.json's)")
    parser.add_argument(
        "--hold", type=float, metavar="SECONDS", help=f"no alarm for so long after one (else {HOLD_SECONDS:g})"
    )


def settings_under(
    student: ExportedStudent, threshold_steps: int | None, arguments: argparse.Namespace
) -> DecisionSettings:
    """The stored decision with what the options change; `threshold_steps` takes the place of its threshold.

    Without a stored one and a threshold a `ValueError`.
    """
    stored = student.stored_settings()
    if stored is None and threshold_steps is None:
        raise ValueError(
            f"--threshold: student.json holds none for {student.event!r}; give one, or let export ambient choose it"
        )
    held = hold_seconds(arguments)
    settings = stored or DecisionSettings(256, hold_decisions=decisions_in(held, student.decision_seconds))
    needed, window = _votes(arguments.votes) or (settings.votes_needed, settings.votes_window)
    hold = settings.hold_decisions if arguments.hold is None else decisions_in(held, student.decision_seconds)
    at, release = settings.threshold_steps if threshold_steps is None else threshold_steps, settings.release_steps
    return replace(
        settings,
        threshold_steps=at,
        # As far below the new threshold as it lay below the old one.
        release_steps=None if release is None else max(-256, release + at - settings.threshold_steps),
        votes_needed=needed,
        votes_window=window,
        streak=min(settings.streak, window),
        hold_decisions=max(hold, window),
    )


def hold_seconds(arguments: argparse.Namespace) -> float:
    """The hold time that was asked for, or the usual one; below 0 a `ValueError`."""
    held: float = HOLD_SECONDS if arguments.hold is None else arguments.hold
    if not 0 <= held < math.inf:
        raise ValueError(f"--hold: must be at least 0 seconds, not {held:g}")
    return held


def _votes(told: str | None) -> tuple[int, int] | None:
    if told is None:
        return None
    found = re.fullmatch(r"(\d{1,2})/(\d{1,2})", told)
    if found is None:
        raise ValueError(f"--votes: must be N/M such as 5/9, not {told!r}")
    return int(found[1]), int(found[2])
