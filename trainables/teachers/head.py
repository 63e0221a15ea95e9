"""The teacher's head: trained on frozen embeddings, cross-fitted so that no clip is scored by a head that saw it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEAD_VERSION = 2
FOLDS = 5
EPOCHS = 30
BATCH = 64
CHANNELS = 64
PEAK_LR = 2e-3
WEIGHT_DECAY = 1e-2


@final
class Head(nn.Module):
    """Convolution over time, maximum over time, linear: [clips, steps, width] to logits [clips, classes]."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv1d(width, CHANNELS, 3, padding=1)
        self.dropout = nn.Dropout(0.3)
        self.out = nn.Linear(CHANNELS, classes)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logits before softmax; temperature is applied where they are read."""
        maps = functional.relu(self.conv(self.norm(embeddings).transpose(1, 2)))
        logits: Tensor = self.out(self.dropout(maps.amax(dim=2)))
        return logits


def cross_fitted_logits(
    embeddings: NDArray[np.float32],
    target: NDArray[np.int64],
    groups: NDArray[np.int64],
    training: NDArray[np.bool_],
    classes: int,
    seed: int,
) -> NDArray[np.float32]:
    """Logits [clips, classes] of every clip, each scored by a head that `parts` says never saw it."""
    logits = np.empty((len(target), classes), np.float32)
    for fitted, scored in parts(target, groups, training, seed):
        logits[scored] = head_scores(fitted_head(embeddings, target, fitted, classes, seed), embeddings, scored)
    return logits


def parts(
    target: NDArray[np.int64], groups: NDArray[np.int64], training: NDArray[np.bool_], seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows to fit on and rows to score, which together are all.

    Training clips are scored by what is fitted on the other folds (see `folds`): what saw them would only repeat their
    labels. All other clips are scored by what is fitted on the whole training split.
    """
    rows = np.flatnonzero(training)
    others = [] if training.all() else [(rows, np.flatnonzero(~training))]
    return others + [(rows[fitted], rows[held_out]) for fitted, held_out in folds(target[rows], groups[rows], seed)]


def cross_fitted_view_logits(
    embeddings: NDArray[np.float32],
    target: NDArray[np.int64],
    groups: NDArray[np.int64],
    classes: int,
    seed: int,
    views: Sequence[NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Logits [views, clips, classes] of training clips in every view.

    Each by the head, fitted on the clean `embeddings`, that `cross_fitted_logits` scores the clip itself by.
    """
    logits = np.empty((len(views), len(target), classes), np.float32)
    for fitted, held_out in folds(target, groups, seed):
        head = fitted_head(embeddings, target, fitted, classes, seed)
        for number, view in enumerate(views):
            logits[number, held_out] = head_scores(head, view, held_out)
    return logits


def folds(
    target: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of (fitted, held out) that share no group, or, where `grouped_folds` has none, no clip."""
    grouped = grouped_folds(target, groups, seed)
    if grouped:
        return grouped
    return list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(target, target))


def grouped_folds(
    target: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Folds disjoint by `groups` (the speakers), each fitted set holding every class; empty if there are none such.

    A head that was fitted without the word would teach that its speakers never say it.
    """
    count = min(FOLDS, len(np.unique(groups)))
    if count < 2:
        return []
    found = list(StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(target, target, groups))
    complete = all(len(np.unique(target[fitted])) == len(np.unique(target)) for fitted, _ in found)
    return found if complete else []


def fitted_head(
    embeddings: NDArray[np.float32], target: NDArray[np.int64], fitted: NDArray[np.int64], classes: int, seed: int
) -> Head:
    """A head that learnt the rows `fitted` of embeddings [clips, steps, width]."""
    torch.manual_seed(seed)
    head = Head(embeddings.shape[2], classes)
    optimizer = torch.optim.AdamW(head.parameters(), lr=PEAK_LR, weight_decay=WEIGHT_DECAY)
    steps = EPOCHS * -(-len(fitted) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    rng = np.random.default_rng(seed)
    for _ in range(EPOCHS):
        for rows in np.array_split(rng.permutation(fitted), -(-len(fitted) // BATCH)):
            loss = functional.cross_entropy(head(_tensor(embeddings, rows)), torch.from_numpy(target[rows]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return head


@torch.no_grad()
def head_scores(head: Head, embeddings: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Logits [rows, classes]."""
    head.eval()
    scored = [head(_tensor(embeddings, rows[at : at + 1024])) for at in range(0, len(rows), 1024)]
    result: NDArray[np.float32] = torch.cat(scored).numpy()
    return result


def _tensor(embeddings: NDArray[np.float32], rows: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(embeddings[rows], dtype=np.float32))
