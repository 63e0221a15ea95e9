"""What a student learns from, and which clips of it an epoch holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from trainables.criterion import Classification, MakesCriterion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.candidate import DataMix


@final
@dataclass(frozen=True)
class View:
    """The same clips as heard elsewhere: features, teacher logits and states of its layers, row by row as the clips."""

    features: NDArray[np.float32]
    teacher: NDArray[np.float32]
    teacher_layers: tuple[NDArray[np.float16], ...] = ()


@final
@dataclass(frozen=True)
class TrainingSet:
    """Clips that a student learns from.

    `features` [clips, frames, mels] float32, may be a memory map; `target` int64 [clips], class 0 being the negatives
    where there is a data mix; `teacher` logits [clips, outputs]; `rows` the clips of the training split. Targets and
    teacher may be others, such as `criterion` reads.
    `class_of_output` int64 [outputs] where the student has more outputs than there are classes. `teacher_layers` are
    states [clips, steps, width] of the teacher's layers, shallow first, for a student that is aligned with them.
    """

    features: NDArray[np.float32]
    target: NDArray[Any]
    teacher: NDArray[np.float32]
    rows: NDArray[np.int64]
    class_of_output: NDArray[np.int64] | None = None
    teacher_layers: tuple[NDArray[np.float16], ...] = ()
    views: tuple[View, ...] = ()
    criterion: MakesCriterion = Classification

    @property
    def most_neg_per_pos(self) -> float:
        """The highest ratio that the training split can give."""
        positives = int((self.target[self.rows] > 0).sum())
        return (len(self.rows) - positives) / max(positives, 1)

    @property
    def all_views(self) -> tuple[View, ...]:
        """The clips as they are, then the other views."""
        return View(self.features, self.teacher, self.teacher_layers), *self.views


@final
@dataclass
class Dealer:
    """Deals the rows of one epoch after another; all that it remembers is in its two fields.

    `dealt` counts the negatives that came from the decks so far; `hardness` is the hard loss of each clip [clips] when
    the student last saw it, NaN before.
    """

    hardness: NDArray[np.float32]
    dealt: int = 0

    def epoch_rows(self, data: TrainingSet, mix: DataMix | None, seed: int, epoch: int) -> NDArray[np.int64]:
        """Shuffled rows of one epoch: all, or with a mix every positive and `neg_per_pos` times as many negatives.

        A share of the negatives, `mix.hard_negatives`, are those that were hardest for the student when it last saw
        them; the others are dealt from one shuffled deck after another, so that all are seen before any is dealt again.
        Depends on the seed, the epoch and the two fields alone: a resumed run draws what the unbroken one would have.
        """
        rows = np.random.default_rng([seed, 2, epoch])
        if mix is None:
            return rows.permutation(data.rows)
        positives = data.rows[data.target[data.rows] > 0]
        negatives = data.rows[data.target[data.rows] == 0]
        wanted = min(len(negatives), max(1, round(mix.neg_per_pos * len(positives))))
        hard = self._hardest(negatives, round(mix.hard_negatives * wanted))
        return rows.permutation(np.concatenate([positives, hard, self._deal(negatives, wanted - len(hard), seed)]))

    def _hardest(self, negatives: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        seen = negatives[~np.isnan(self.hardness[negatives])]
        return seen[np.argsort(-self.hardness[seen], kind="stable")[:count]]

    def _deal(self, negatives: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
        decks = range(self.dealt // len(negatives), (self.dealt + count - 1) // len(negatives) + 1)
        cards = [np.random.default_rng([seed, 1, deck]).permutation(negatives) for deck in decks]
        start = self.dealt - decks[0] * len(negatives) if decks else 0
        self.dealt += count
        return np.concatenate([negatives[:0], *cards])[start : start + count]
