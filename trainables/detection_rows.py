"""Rows of evaluation.json that every recipe with a threshold shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trainables.metrics import Detection, confusion, roc

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def detection_rows(
    figures: Mapping[str, Mapping[str, Detection]],
    names: Sequence[str],
    labels: Sequence[str],
    target: NDArray[np.bool_],
    score: NDArray[np.floating],
) -> list[Mapping[str, Any]]:
    """The figures called `names` by model and split; confusion and ROC of the INT8 student's test scores [clips]."""
    false_alarms, hits = roc(target, score)
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
    ]
