"""Rows of a detector and of what can be believed of it, from scores by hand."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.detection_rows import calibration_row, detection_rows
from trainables.metrics import detection, reliability

TARGET = np.array([True, True, True, False, False, False, False, False])
SCORE = np.array([3.0, 2.0, -1.0, 2.5, -1.5, -2.0, -2.5, -3.0])
PROBABILITY = np.array([0.95, 0.88, 0.27, 0.92, 0.18, 0.12, 0.08, 0.05])


def test_rows_of_a_detector_by_hand() -> None:
    figures = {"INT8": {"validation": detection(TARGET, SCORE, 0.0), "test": detection(TARGET, SCORE, 0.0)}}
    table, counts, curve, det, calibration = detection_rows(
        figures, ("f1",), ("other", "up"), TARGET, SCORE, PROBABILITY
    )
    assert [row["type"] for row in (table, counts, curve, det, calibration)] == [
        "table",
        "confusion",
        "curve",
        "det",
        "calibration",
    ]
    assert counts["counts"] == [[4, 1], [1, 2]]
    # At 2: one alarm of five, one miss of three; at -1 one alarm and no miss.
    pairs = set(zip(det["x"], det["y"], strict=True))
    assert {(0.0, 0.6667), (0.2, 0.0)} <= pairs
    assert (det["negatives"], det["positives"]) == (5, 3)
    assert calibration["clips"] == [2, 2, 1, 1, 2]
    assert calibration["x"] == [0.065, 0.15, 0.27, 0.88, 0.935]
    assert calibration["y"] == [0.0, 0.0, 1.0, 1.0, 0.5]
    error = (2 * 0.065 + 2 * 0.15 + 0.73 + 0.12 + 2 * 0.435) / 8
    assert calibration["error"] == pytest.approx(error, abs=1e-4)
    assert calibration["y_name"] == "share that is up"


def test_a_diagram_of_values_reaches_between_their_ends() -> None:
    found = reliability(np.array([-0.5, 0.5]), np.array([-0.4, 0.1]), -1.0, 1.0)
    row = calibration_row("Valence", ("said", "rated"), found, (-1.0, 1.0))
    assert (row["x"], row["y"], row["clips"], row["ends"]) == ([-0.5, 0.5], [-0.4, 0.1], [1, 1], [-1.0, 1.0])
    assert row["error"] == 0.25
