"""A teacher's logits after its top layers and its head were trained together, cross-fitted like a head alone."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from trainables.cache import cached_array, content_key
from trainables.teachers import embedded
from trainables.teachers.fine_tuning import BATCH, NAME, WARM_UP, WEIGHT_DECAY, FineTuning
from trainables.teachers.head import HEAD_VERSION, fitted_head
from trainables.teachers.top_layers import MOST_ACTIVATION_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainables.corpora.corpus import Corpus
    from trainables.teachers.computing import Computing
    from trainables.teachers.top_layers import TopLayers
    from trainables.teachers.transformer import Transformer

FINE_TUNING_VERSION = 1
GRADIENT_CLIP = 1.0
SCORED_AT_ONCE = 32
PROGRESS = logging.getLogger(__name__)


@final
class FineTuned:
    """An encoder whose top layers are to be trained on a corpus."""

    def __init__(self, encoder: Transformer, tuning: FineTuning) -> None:
        if tuning.layers > encoder.layer_count:
            there = f"{encoder.name} has {encoder.layer_count} layers"
            raise ValueError(f"--teacher: {NAME}({encoder.name}, {tuning}): {there}, so no {tuning.layers} to train")
        self.encoder, self.tuning = encoder, tuning
        self.name = f"{NAME}({encoder.name}, {tuning})"
        self.identity = f"{encoder.content_hash} {HEAD_VERSION} {FINE_TUNING_VERSION} {tuning}"

    def logits(
        self,
        corpus: Corpus,
        clip_seconds: float,
        parts: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
        seed: int,
    ) -> NDArray[np.float32]:
        """Logits [clips, classes], where of each of `parts` (fitted rows, scored rows) a copy of its own is trained.

        Each copy's logits are kept as soon as it is trained: what is interrupted goes on with the next.
        """
        samples = embedded.clip_samples(corpus, clip_seconds)
        key = content_key("states", self.encoder.content_hash, corpus.content_hash, samples, self.tuning.layers)
        states = embedded.states(key, self.encoder, corpus, clip_seconds, self._below)[0]
        heard = embedded.embeddings(self.encoder, corpus, clip_seconds)
        logits = np.empty((len(corpus.clips), len(corpus.labels)), np.float32)
        for number, (fitted, scored) in enumerate(parts, 1):
            title = f"{self.name}: training {number} of {len(parts)}"
            make = partial(self._trained, corpus, samples, states, heard, fitted, scored, seed, title)
            rows = (fitted.tolist(), scored.tolist())
            logits[scored] = cached_array(content_key("fine-tuned", key, self.identity, rows, seed), make)
        return logits

    def _trained(
        self,
        corpus: Corpus,
        samples: int,
        states: NDArray[np.floating[Any]],
        heard: NDArray[Any],
        fitted: NDArray[np.int64],
        scored: NDArray[np.int64],
        seed: int,
        title: str,
    ) -> NDArray[np.float32]:
        target, computing = corpus.targets(), self.encoder.computing
        head = fitted_head(heard, target, fitted, len(corpus.labels), seed)
        top = self.encoder.top_layers(self.tuning.layers, head, samples)
        train(top, states, target, fitted, self.tuning, seed, computing, title)
        return scores(top, states, scored, computing)

    def _below(self, audio: NDArray[np.float32]) -> tuple[NDArray[np.float32], tuple[NDArray[np.float32], ...]]:
        return self.encoder.embed_below(audio, self.tuning.layers)


def train(
    top: TopLayers,
    states: NDArray[np.floating[Any]],
    target: NDArray[np.int64],
    rows: NDArray[np.int64],
    tuning: FineTuning,
    seed: int,
    computing: Computing,
    title: str = "",
) -> list[float]:
    """Train in place on `rows` of states [clips, steps, width]; the mean loss of each epoch.

    AdamW, the rate rising linearly over the first tenth and falling linearly to nothing. A loss that is no number is a
    `ValueError`.
    """
    torch.manual_seed(seed)
    top.to(computing.device).train()
    top.checkpointing = _checkpoints(top, tuning, states.shape[1])
    batches = math.ceil(len(rows) / BATCH)
    descent = _Descent(top, tuning.lr, tuning.epochs * batches, computing)
    losses = []
    for epoch in range(tuning.epochs):
        shuffled = np.random.default_rng([seed, epoch]).permutation(rows)
        shares = np.array_split(shuffled, batches)
        loss = sum(descent.step(_tensor(states, share), torch.from_numpy(target[share])) for share in shares) / batches
        if not math.isfinite(loss):
            raise ValueError(f"--teacher: {title}: the loss is {loss} in epoch {epoch + 1}; lower lr")
        losses.append(loss)
        PROGRESS.info("%s, epoch %d of %d, loss %.4f", title, epoch + 1, tuning.epochs, loss)
    return losses


@final
class _Descent:
    """Steps of AdamW on whatever of the network is not frozen, `steps` of them in all."""

    def __init__(self, top: TopLayers, lr: float, steps: int, computing: Computing) -> None:
        self._top, self._lr, self._steps, self._computing = top, lr, steps, computing
        self._weights = [weight for weight in top.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(self._weights, lr=lr, weight_decay=WEIGHT_DECAY)
        self._scaler = torch.amp.grad_scaler.GradScaler(computing.device.type, enabled=computing.scales_loss)
        self._taken = 0

    def step(self, states: Tensor, target: Tensor) -> float:
        """The batch's loss before the step."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._lr * _share(self._taken, self._steps)
        with self._computing.mixed():
            logits = self._top(states.to(self._computing.device))
        loss = functional.cross_entropy(logits.float(), target.to(self._computing.device))
        self._optimizer.zero_grad()
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        torch.nn.utils.clip_grad_norm_(self._weights, GRADIENT_CLIP)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._taken += 1
        return loss.item()


@torch.no_grad()
def scores(
    top: TopLayers, states: NDArray[np.floating[Any]], rows: NDArray[np.int64], computing: Computing
) -> NDArray[np.float32]:
    """Logits [rows, classes]."""
    top.to(computing.device).eval()
    found = []
    for at in range(0, len(rows), SCORED_AT_ONCE):
        with computing.mixed():
            found.append(top(_tensor(states, rows[at : at + SCORED_AT_ONCE]).to(computing.device)).float().cpu())
    result: NDArray[np.float32] = torch.cat(found).numpy()
    return result


def _share(step: int, steps: int) -> float:
    warm_up = math.ceil(WARM_UP * steps)
    return step / warm_up if step < warm_up else (steps - step) / max(1, steps - warm_up)


def _checkpoints(top: TopLayers, tuning: FineTuning, steps: int) -> bool:
    many = top.activation_bytes(BATCH, steps) > MOST_ACTIVATION_BYTES
    return {"on": True, "off": False, "auto": many}[tuning.checkpointing]


def _tensor(states: NDArray[np.floating[Any]], rows: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(states[rows], dtype=np.float32))
