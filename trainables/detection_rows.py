"""Rows of evaluation.json that several recipes show: of a threshold, and of how far what is said can be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trainables.metrics import Detection, Reliability, confusion, det, reliability, roc

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def detection_rows(
    figures: Mapping[str, Mapping[str, Detection]],
    names: Sequence[str],
    labels: Sequence[str],
    target: NDArray[np.bool_],
    score: NDArray[np.floating],
    probability: NDArray[np.floating],
) -> list[Mapping[str, Any]]:
    """The figures called `names` by model and split; confusion, ROC, DET and calibration of the INT8 student on test.

    `score` and `probability` [clips] are what the threshold is held against, and the probability that it stands for.
    """
    false_alarms, hits = roc(target, score)
    alarms, misses = det(target, score)
    return [
        {
            "type": "table",
            "title": "Validation chose the threshold; test is only reported",
            "columns": ["model", "split", *names],
            "rows": [
                [model, split, *(round(values.as_dict()[name], 4) for name in names)]
                for model, splits in figures.items()
                for split, values in splits.items()
            ],
        },
        {
            "type": "confusion",
            "title": "Test clips, INT8",
            "labels": list(labels),
            "counts": confusion(target, score, figures["INT8"]["validation"].threshold),
        },
        {
            "type": "curve",
            "title": "ROC on test, INT8",
            "x_name": "false positive rate",
            "y_name": "recall",
            "x": false_alarms,
            "y": hits,
        },
        {
            "type": "det",
            "title": "DET on test, INT8",
            "x_name": "false positive rate",
            "y_name": "miss rate",
            "x": alarms,
            "y": misses,
            "negatives": int((~target).sum()),
            "positives": int(target.sum()),
        },
        calibration_row(
            "Calibration on test, INT8",
            (f"probability of {labels[1]}", f"share that is {labels[1]}"),
            reliability(probability, target),
        ),
    ]


def calibration_row(
    title: str, names: tuple[str, str], found: Reliability, ends: tuple[float, float] = (0.0, 1.0)
) -> Mapping[str, Any]:
    """A reliability diagram: what was said, along x, beside what was so; both axes reach between `ends`."""
    return {
        "type": "calibration",
        "title": title,
        "x_name": names[0],
        "y_name": names[1],
        "x": [round(value, 4) for value in found.said],
        "y": [round(value, 4) for value in found.found],
        "clips": list(found.clips),
        "error": round(found.error, 4),
        "ends": list(ends),
    }
