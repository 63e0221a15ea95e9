"""The training loop of every recipe and phase."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch

from trainables.losses import distillation_loss
from trainables.schedules import learning_rate

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from spaces.candidate import Candidate, DataMix

GRADIENT_CLIP = 1.0
BATCH = 64
WEIGHT_DECAY = 1e-4
SCORING_BATCH = 256


class NotANumberError(ValueError):
    """The loss stopped being a number: this trial ends, no other."""


@final
@dataclass(frozen=True)
class TrainingSet:
    """Clips that a student learns from.

    `features` [clips, frames, mels] float32, may be a memory map; `target` int64 [clips], class 0 being the negatives
    where there is a data mix; `teacher` logits [clips, outputs]; `rows` the clips of the training split.
    `class_of_output` int64 [outputs] where the student has more outputs than there are classes.
    """

    features: NDArray[np.float32]
    target: NDArray[np.int64]
    teacher: NDArray[np.float32]
    rows: NDArray[np.int64]
    class_of_output: NDArray[np.int64] | None = None

    @property
    def most_neg_per_pos(self) -> float:
        """The highest ratio that the training split can give."""
        positives = int((self.target[self.rows] > 0).sum())
        return (len(self.rows) - positives) / max(positives, 1)

    def epoch_rows(self, mix: DataMix | None, seed: int, epoch: int) -> NDArray[np.int64]:
        """Shuffled rows of one epoch: all, or with a mix every positive and `neg_per_pos` times as many negatives.

        Negatives are dealt from one shuffled deck after another, so that all are seen before any is seen again. Depends
        on (seed, epoch) alone: a resumed run draws what the unbroken one would have.
        """
        if mix is None:
            return np.random.default_rng([seed, 2, epoch]).permutation(self.rows)
        positives = self.rows[self.target[self.rows] > 0]
        negatives = self.rows[self.target[self.rows] == 0]
        wanted = min(len(negatives), max(1, round(mix.neg_per_pos * len(positives))))
        first = epoch * wanted
        decks = range(first // len(negatives), (first + wanted - 1) // len(negatives) + 1)
        dealt = np.concatenate([np.random.default_rng([seed, 1, deck]).permutation(negatives) for deck in decks])
        start = first - decks[0] * len(negatives)
        chosen = np.concatenate([positives, dealt[start : start + wanted]])
        return np.random.default_rng([seed, 2, epoch]).permutation(chosen)


@final
@dataclass
class Progress:
    """What a run must remember to go on: the next epoch, the best one so far, and a row of figures per epoch."""

    epoch: int = 0
    best_epoch: int = -1
    best_score: float = -math.inf
    best_state: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


@final
class StoppedEarlyError(Exception):
    """Raised by `on_epoch`: the run that has come to `progress` is not worth going on with, for this reason."""

    def __init__(self, progress: Progress, reason: str) -> None:
        super().__init__(reason)
        self.progress, self.reason = progress, reason


def teach(
    network: nn.Module,
    data: TrainingSet,
    candidate: Candidate,
    *,
    epochs: int,
    seed: int,
    validate: Callable[[nn.Module], float],
    checkpoint: Path | None = None,
    identity: str = "",
    on_epoch: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Train in place, where the network's weights lie, and leave it at its best epoch by `validate` (higher is better).

    With a `checkpoint` path the run goes on from the last finished epoch found there, bit for bit as if unbroken, if it
    is of the same `identity`; and `on_epoch` hears of that epoch again: what followed from it may have been lost with
    the process. What `on_epoch` raises ends the run. Raises `NotANumberError` when the loss or a weight is not finite.
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=candidate.schedule.peak_lr, weight_decay=candidate.schedule.weight_decay, fused=True
    )
    progress = _resumed(checkpoint, identity, network, optimizer)
    if progress.history:
        on_epoch(progress)
    for epoch in range(progress.epoch, epochs):
        started = time.perf_counter()
        row = _epoch(network, optimizer, data, candidate, epoch, epochs, seed)
        row["validation_score"] = validate(network)
        row["seconds"] = time.perf_counter() - started
        _remember(progress, network, row)
        if checkpoint is not None:
            _save(checkpoint, identity, network, optimizer, progress)
        on_epoch(progress)
    network.load_state_dict(progress.best_state)
    return progress


def _epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: TrainingSet,
    candidate: Candidate,
    epoch: int,
    epochs: int,
    seed: int,
) -> dict[str, float]:
    torch.manual_seed(seed * 1_000_003 + epoch)
    network.train()
    rows = data.epoch_rows(candidate.data_mix, seed, epoch)
    # Equal shares rather than a short last batch: batch normalisation fails on one clip and is noisy on a few.
    batches = np.array_split(rows, max(1, math.ceil(len(rows) / candidate.schedule.batch)))
    device = _device_of(network)
    sums = torch.zeros(3, device=device)
    classes = None if data.class_of_output is None else torch.from_numpy(data.class_of_output).to(device)
    rate = candidate.schedule.peak_lr
    for step, rows in enumerate(batches):
        rate = learning_rate(candidate.schedule, (epoch + step / len(batches)) / epochs)
        sums += _step(network, optimizer, rate, _batch(data, rows, device), candidate, classes)
    total, hard, soft = (sums / len(batches)).tolist()
    if not math.isfinite(total):
        raise NotANumberError(f"loss: {total} in epoch {epoch} at peak_lr={candidate.schedule.peak_lr:g}; lower it")
    return {
        "epoch": epoch,
        "lr": rate,
        "loss": total,
        "hard_loss": hard,
        "soft_loss": soft,
        "soft_to_hard": soft / max(hard, 1e-12),
    }


def _batch(data: TrainingSet, rows: NDArray[np.int64], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    features = torch.from_numpy(np.ascontiguousarray(data.features[rows])).unsqueeze(1)
    target, teacher = torch.from_numpy(data.target[rows]), torch.from_numpy(data.teacher[rows])
    return features.to(device), target.to(device), teacher.to(device)


def _device_of(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    rate: float,
    batch: tuple[Tensor, Tensor, Tensor],
    candidate: Candidate,
    classes: Tensor | None,
) -> Tensor:
    features, target, teacher = batch
    for group in optimizer.param_groups:
        group["lr"] = rate
    loss = distillation_loss(network(features), teacher, target, candidate.distillation, classes)
    optimizer.zero_grad()
    loss.total.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_CLIP)
    optimizer.step()
    return torch.stack([loss.total, loss.hard, loss.soft]).detach()


@torch.no_grad()
def logits_of(network: nn.Module, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Outputs [clips, classes] in evaluation mode for features [clips, frames, mels]."""
    network.eval()
    parts = [features[at : at + SCORING_BATCH] for at in range(0, len(features), SCORING_BATCH)]
    device = _device_of(network)
    outputs = [network(torch.from_numpy(np.array(part)).unsqueeze(1).to(device)) for part in parts]
    result: NDArray[np.float32] = torch.cat(outputs).cpu().numpy()
    if not np.isfinite(result).all():
        raise NotANumberError("network: an output is not finite; lower peak_lr")
    return result


def _remember(progress: Progress, network: nn.Module, row: dict[str, float]) -> None:
    progress.epoch = int(row["epoch"]) + 1
    progress.history.append(row)
    if row["validation_score"] > progress.best_score:
        progress.best_score, progress.best_epoch = row["validation_score"], int(row["epoch"])
        progress.best_state = {name: value.detach().clone() for name, value in network.state_dict().items()}


def _save(
    checkpoint: Path, identity: str, network: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    state = {
        "identity": identity,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": vars(progress),
    }
    partial = checkpoint.with_suffix(f".{os.getpid()}.tmp")
    torch.save(state, partial)
    partial.replace(checkpoint)


def _resumed(checkpoint: Path | None, identity: str, network: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    if checkpoint is None or not checkpoint.is_file():
        return Progress()
    try:
        state = torch.load(checkpoint, weights_only=True, map_location=_device_of(network))
    except (OSError, RuntimeError, EOFError, ValueError):
        # A power cut may leave a name without its content: begin again.
        return Progress()
    if state.get("identity") != identity:
        return Progress()
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return Progress(**state["progress"])


def history_csv(history: list[dict[str, float]]) -> str:
    """The rows of a run as CSV text, one line per epoch."""
    from io import StringIO

    text = StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]) if history else ["epoch"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()
