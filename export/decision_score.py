"""The score of a decision: log-odds of an event, in whole steps of a student's INT8 output."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, final

import numpy as np

from export.decision import SCORE_LIMIT_STEPS, UNREACHABLE_STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Sums of so many exponentials of 26 bits, times another, fit 64 bits.
EXPONENT_BITS = 26
MOST_OUTPUTS = 2047
# Thresholds were computed in float32 from scores in whole steps; one that is a score must stay reachable.
_SLACK_STEPS = 1e-3


@final
@dataclass(frozen=True)
class ScoreRule:
    """How outputs become a score: `output_scale` is a step of the outputs, `is_event` says which are the event's.

    The score is the log-odds of the event, log of its share of the softmax over the share of all others, rounded down
    to steps. Of two outputs that is their difference, exactly. Of more it takes a table of exponentials: what lies over
    18 below the highest output counts as 0. Both are monotone in the probability, so that no threshold on it is lost,
    and both keep the model's own resolution where probabilities crowd at 0 and 1.
    """

    output_scale: float
    is_event: tuple[bool, ...]

    def __post_init__(self) -> None:
        if not 0 < self.output_scale < math.inf:
            raise ValueError(f"output scale: must be above 0, not {self.output_scale}")
        if len(set(self.is_event)) != 2:
            raise ValueError("class_of_output: needs outputs of the event and others; they are all of one kind")
        if len(self.is_event) > MOST_OUTPUTS:
            raise ValueError(
                f"class_of_output: {len(self.is_event)} outputs; sums of over {MOST_OUTPUTS} overflow 64 bits"
            )

    @property
    def is_difference(self) -> bool:
        """Whether the score is one output less the other."""
        return len(self.is_event) == 2

    @cached_property
    def exponentials(self) -> NDArray[np.uint64]:
        """exp(-step * scale) [256] in units of 2^-26: constants of the device, where nothing is in floating point."""
        steps = np.arange(SCORE_LIMIT_STEPS + 1) * self.output_scale
        return np.asarray(np.round(np.exp(-steps) * (1 << EXPONENT_BITS)), np.uint64)

    def steps(self, codes: NDArray[np.int8]) -> NDArray[np.int16]:
        """Scores [n] of int8 outputs [n, outputs]; the C function `potstill_score` gives the same."""
        event = np.array(self.is_event)
        wide = codes.astype(np.int16)
        if self.is_difference:
            return np.asarray(wide[:, event][:, 0] - wide[:, ~event][:, 0], np.int16)
        shares = self.exponentials[wide.max(axis=1, keepdims=True) - wide]
        return self._log_odds(shares[:, event].sum(axis=1), shares[:, ~event].sum(axis=1))

    def _log_odds(self, event: NDArray[np.uint64], other: NDArray[np.uint64]) -> NDArray[np.int16]:
        """Floor of the log-odds: the most steps of lead, or one more than the most that the lag exceeds."""
        ahead = event >= other
        high, low = np.maximum(event, other), np.minimum(event, other)
        needed = (low << np.uint64(EXPONENT_BITS)) + (~ahead).astype(np.uint64)
        steps = np.zeros(len(event), np.int16)
        for bit in (128, 64, 32, 16, 8, 4, 2, 1):
            further = steps + np.int16(bit)
            steps = np.where(high * self.exponentials[further] >= needed, further, steps)
        return np.asarray(np.where(ahead, steps, -np.minimum(steps + 1, SCORE_LIMIT_STEPS)), np.int16)

    def probability(self, steps: float) -> float:
        """The probability of the event that a score stands for."""
        return 0.5 + 0.5 * math.tanh(steps * self.output_scale / 2)

    def steps_at_logit(self, logit: float) -> int:
        """The lowest score of at least these log-odds; 256, which no score reaches, where they lie above all."""
        steps = math.ceil(logit / self.output_scale - _SLACK_STEPS)
        return max(-SCORE_LIMIT_STEPS, min(UNREACHABLE_STEPS, steps))

    def steps_at_probability(self, probability: float) -> int:
        """The lowest score of at least this probability, which lies in 0..1; 256 where no score is."""
        if not 0 < probability < 1:
            return UNREACHABLE_STEPS if probability >= 1 else -SCORE_LIMIT_STEPS
        return self.steps_at_logit(math.log(probability) - math.log1p(-probability))


def events_outputs(labels: Sequence[str], class_of_output: Sequence[int] | None, label: str | None) -> tuple[bool, ...]:
    """Which outputs are the event's: those of `label`, by default of the second of two labels.

    More labels without a choice, or a label that is unknown or has no output, are a `ValueError`.
    """
    choices = ", ".join(labels)
    if label is None and len(labels) != 2:
        raise ValueError(f"--label: the student tells {len(labels)} classes apart; choose the event among {choices}")
    if label is not None and label not in labels:
        raise ValueError(f"--label: {label!r} is unknown; there are {choices}")
    event = 1 if label is None else list(labels).index(label)
    classes = range(len(labels)) if class_of_output is None else class_of_output
    return tuple(one == event for one in classes)
