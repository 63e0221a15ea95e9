"""What calibration alone would have made of a quantization-aware student."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainables.recipe import Judgement


@final
@dataclass(frozen=True)
class Calibrated:
    """A quantization-aware student with calibrated ranges instead of the trained ones, beside itself.

    Distances are means of the absolute difference from the float student's logits.
    """

    judgement: Judgement
    distance: float
    trained_distance: float

    @classmethod
    def of(
        cls,
        judgement: Judgement,
        trained: NDArray[np.float32],
        calibrated: NDArray[np.float32],
        float32: NDArray[np.float32],
    ) -> Calibrated:
        """From the outputs [clips, classes] of both INT8 models and of the float student."""
        distances = [float(np.abs(outputs - float32).mean()) for outputs in (calibrated, trained)]
        return cls(judgement, *distances)

    def row(self, ours: Judgement) -> dict[str, Any]:
        """A typed row of evaluation.json beside what was judged of the trained ranges."""
        scores = {"trained with the weights": ours.score_int8, "calibrated after training": self.judgement.score_int8}
        distances = (self.trained_distance, self.distance)
        return {
            "type": "table",
            "title": "INT8 ranges of the same weights",
            "columns": ["ranges", "validation score", "mean |logit - float|"],
            "rows": [
                [name, round(score, 4), round(distance, 5)]
                for (name, score), distance in zip(scores.items(), distances, strict=True)
            ],
        }
