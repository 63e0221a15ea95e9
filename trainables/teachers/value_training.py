"""Training of a teacher of values in stages: its head, then its layers with it; or a small one from nothing."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torchaudio.functional import mask_along_axis_iid

from trainables.teachers.value_head import Shown
from trainables.value_losses import hard_value_losses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trainables.teachers.computing import Computing
    from trainables.teachers.value_head import ValueRegressor

TRAINING_VERSION = 1
BATCH = 16
SHOWN_AT_ONCE = 32
WARM_UP = 0.1
GRADIENT_CLIP = 1.0
# Of a picture's height and width; its mean is 0.
MASK_SHARE, MASKS = 0.15, 2
PROGRESS = logging.getLogger(__name__)


@final
@dataclass(frozen=True)
class Stage:
    """Epochs at a peak rate, of the head alone or of all that is not frozen; of pictures, parts are blanked."""

    epochs: int
    lr: float
    head_alone: bool = False
    masked: bool = False
    weight_decay: float = 1e-2


# The source trains its head and the last 4 blocks; these are the rates that its kind of transformer is tuned at.
STAGED = (Stage(30, 1e-3, head_alone=True), Stage(8, 3e-5))
FROM_NOTHING = (Stage(40, 1e-3, masked=True, weight_decay=5e-2),)


def train(
    network: ValueRegressor,
    given: NDArray[Any],
    values: NDArray[np.float32],
    rows: NDArray[np.int64],
    stages: tuple[Stage, ...],
    seed: int,
    computing: Computing,
    title: str = "",
) -> None:
    """Train in place on `rows` of what it is given [clips, ...] and of values [clips, values].

    AdamW, the rate rising linearly over the first tenth and falling linearly to nothing. A loss that is no number is a
    `ValueError`.
    """
    torch.manual_seed(seed)
    network.to(computing.device)
    for stage in stages:
        if stage.head_alone:
            heard = _features(network, given, rows, computing)
            _descend(network.logits, network.head, heard, values[rows], stage, seed, computing, title)
        else:
            _descend(network, network, given[rows], values[rows], stage, seed, computing, title)


def _descend(
    run: Any,
    trained: nn.Module,
    given: NDArray[Any],
    values: NDArray[np.float32],
    stage: Stage,
    seed: int,
    computing: Computing,
    title: str,
) -> None:
    optimizer = torch.optim.AdamW(trained.parameters(), lr=stage.lr, weight_decay=stage.weight_decay)
    batches = math.ceil(len(given) / BATCH)
    trained.train()
    for epoch in range(stage.epochs):
        shares = np.array_split(np.random.default_rng([seed, epoch]).permutation(len(given)), batches)
        losses = []
        for step, share in enumerate(shares, epoch * batches):
            for group in optimizer.param_groups:
                group["lr"] = stage.lr * _share(step, stage.epochs * batches)
            seen = _tensor(given, share)
            with computing.mixed():
                logits = run((_masked(seen) if stage.masked else seen).to(computing.device))
            loss = hard_value_losses(logits.float(), torch.from_numpy(values[share]).to(computing.device)).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(trained.parameters(), GRADIENT_CLIP)
            optimizer.step()
            losses.append(loss.item())
        if not math.isfinite(sum(losses)):
            raise ValueError(f"--teacher: {title}: the loss is no number in epoch {epoch + 1}")
        PROGRESS.info("%s, epoch %d of %d, loss %.4f", title, epoch + 1, stage.epochs, np.mean(losses))


@torch.no_grad()
def shown(network: ValueRegressor, given: NDArray[Any], computing: Computing) -> Iterator[Shown]:
    """What it shows of every clip that it is given, in order, on the CPU, some clips at a time."""
    network.to(computing.device).eval()
    for at in range(0, len(given), SHOWN_AT_ONCE):
        with computing.mixed():
            found = network.shown(_tensor(given, slice(at, at + SHOWN_AT_ONCE)).to(computing.device))
        yield Shown(*(part.float().cpu() for part in found))


@torch.no_grad()
def _features(
    network: ValueRegressor, given: NDArray[Any], rows: NDArray[np.int64], computing: Computing
) -> NDArray[np.float32]:
    """[rows, width]: what the head hears of them."""
    network.eval()
    parts = []
    for at in range(0, len(rows), SHOWN_AT_ONCE):
        with computing.mixed():
            heard = network.features(_tensor(given, rows[at : at + SHOWN_AT_ONCE]).to(computing.device))
        parts.append(heard.float().cpu())
    result: NDArray[np.float32] = torch.cat(parts).numpy()
    return result


def _share(step: int, steps: int) -> float:
    """Of the peak rate."""
    warm_up = math.ceil(WARM_UP * steps)
    return (step + 1) / warm_up if step < warm_up else (steps - step) / max(1, steps - warm_up)


def _masked(pictures: Tensor) -> Tensor:
    for axis in (2, 3) * MASKS:
        pictures = mask_along_axis_iid(pictures, round(MASK_SHARE * pictures.shape[axis]), 0.0, axis)
    return pictures


def _tensor(given: NDArray[Any], rows: NDArray[np.int64] | slice) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(given[rows], dtype=np.float32))
