"""Footprints before training, of students whose gates weights that are all positive would saturate."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trainables.points import assignment_of, point
from trainables.assignment import candidate_of
from trainables.students import build_student
from trainables.untrained import footprint_of_untrained


@pytest.mark.slow
def test_gates_of_wide_grus_are_open(speech_folder: Path, tmp_path: Path) -> None:
    assignment = assignment_of("speech_enhancement", speech_folder, tmp_path)
    wide = {"cruse_width": 10, "cruse_depth": 5, "cruse_top": 80, "cruse_groups": 4}
    params = {**point("speech_enhancement", "cruse"), **wide}
    candidate = candidate_of("speech_enhancement", params)
    student = build_student(candidate.student, candidate.front_end, candidate.front_end.values_per_frame)
    # The decoder stores its filters for even and odd bins, and zeros between them.
    weights = sum(tensor.numel() for tensor in student.parameters())
    assert weights < footprint_of_untrained(assignment, params).flash_bytes < 1.5 * weights
