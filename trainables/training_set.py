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
class Synthetic:
    """Clips that were made for training: features [made, frames, mels] and targets as those of real clips.

    They are `share` of every epoch. No teacher has heard them.
    """

    features: NDArray[np.float32]
    target: NDArray[Any]
    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"synthetic clips: share={self.share:g} of an epoch must lie between 0 and 1")


@final
@dataclass(frozen=True)
class TrainingSet:
    """Clips that a student learns from.

    `features` [clips, frames, mels] float32, may be a memory map; `target` int64 [clips], class 0 being the negatives
    where there is a data mix; `teacher` logits [clips, outputs]; `rows` the clips of the training split. Targets and
    teacher may be others, such as `criterion` reads.
    `class_of_output` int64 [outputs] where the student has more outputs than there are classes. `teacher_layers` are
    states [clips, steps, width] of the teacher's layers, shallow first, for a student that is aligned with them.
    Row `clips` and those after it are the `synthetic` clips: an epoch holds them, and nothing else does.
    """

    features: NDArray[np.float32]
    target: NDArray[Any]
    teacher: NDArray[np.float32]
    rows: NDArray[np.int64]
    class_of_output: NDArray[np.int64] | None = None
    teacher_layers: tuple[NDArray[np.float16], ...] = ()
    views: tuple[View, ...] = ()
    criterion: MakesCriterion = Classification
    synthetic: Synthetic | None = None

    @property
    def clips(self) -> int:
        """Real clips, of all splits."""
        return len(self.target)

    @property
    def count(self) -> int:
        """Rows that an epoch may hold: real clips, then synthetic ones."""
        return self.clips + (len(self.synthetic.target) if self.synthetic else 0)

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

        Synthetic clips join them, dealt like negatives.
        A share of the negatives, `mix.hard_negatives`, are those that were hardest for the student when it last saw
        them; the others are dealt from one shuffled deck after another, so that all are seen before any is dealt again.
        Depends on the seed, the epoch and the two fields alone: a resumed run draws what the unbroken one would have.
        """
        rows = np.random.default_rng([seed, 2, epoch])
        if mix is None:
            return rows.permutation(np.concatenate([data.rows, synthetic_rows(data, len(data.rows), seed, epoch)]))
        positives = data.rows[data.target[data.rows] > 0]
        negatives = data.rows[data.target[data.rows] == 0]
        wanted = min(len(negatives), max(1, round(mix.neg_per_pos * len(positives))))
        hard = self._hardest(negatives, round(mix.hard_negatives * wanted))
        dealt = self._deal(negatives, wanted - len(hard), seed)
        made = synthetic_rows(data, len(positives) + wanted, seed, epoch)
        return rows.permutation(np.concatenate([positives, hard, dealt, made]))

    def _hardest(self, negatives: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        seen = negatives[~np.isnan(self.hardness[negatives])]
        return seen[np.argsort(-self.hardness[seen], kind="stable")[:count]]

    def _deal(self, negatives: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
        dealt = _dealt(negatives, self.dealt, count, (seed, 1))
        self.dealt += count
        return dealt


def synthetic_rows(data: TrainingSet, real: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The synthetic rows that join the `real` clips of an epoch; all come before any comes again.

    Every epoch takes as many, so that the epoch alone says where in the decks it stands.
    """
    if data.synthetic is None:
        return data.rows[:0]
    count = max(1, round(real * data.synthetic.share / (1 - data.synthetic.share)))
    return _dealt(np.arange(data.clips, data.count), epoch * count, count, (seed, 4))


def _dealt(cards: NDArray[np.int64], start: int, count: int, seed: tuple[int, int]) -> NDArray[np.int64]:
    """Cards `start` to `start + count` of one shuffled deck after another."""
    decks = range(start // len(cards), (start + count - 1) // len(cards) + 1)
    shuffled = [np.random.default_rng([*seed, deck]).permutation(cards) for deck in decks]
    start -= decks[0] * len(cards) if decks else 0
    return np.concatenate([cards[:0], *shuffled])[start : start + count]
