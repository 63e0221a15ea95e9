"""The training loop of every recipe and phase."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, final

import numpy as np
import torch

from trainables.learner import Learner, NotANumberError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from export.tflite import Clips
    from spaces.candidate import Candidate
    from trainables.phases import Phase
    from trainables.training_set import TrainingSet

# On a CPU 64 clips stay in its caches: up to twice as fast as 256, with the same outputs.
SCORING_BATCH, SCORING_BATCH_ON_GPU = 64, 256


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

    Ends before `epochs` when the schedule's patience is over.

    With a `checkpoint` path the run goes on from the last finished epoch found there, bit for bit as if unbroken, if it
    is of the same `identity`; and `on_epoch` hears of that epoch again: what followed from it may have been lost with
    the process. What `on_epoch` raises ends the run. Raises `NotANumberError` when the loss or a weight is not finite.
    """
    run = Run(data, candidate, epochs, seed, validate, checkpoint, identity, on_epoch)
    return teach_in_phases(network, (), run)[1]


@final
@dataclass(frozen=True)
class Due:
    """The epoch that a run is waiting for."""

    learner: Learner
    epoch: int
    epochs: int

    def figures(self) -> Figures | Exception:
        """Train it, alone: its figures, the seconds that it took among them, or what went wrong."""
        started = time.perf_counter()
        try:
            figures = self.learner.epoch(self.epoch, self.epochs)
        except Exception as error:
            return error
        return {**figures, "seconds": time.perf_counter() - started}


Figures = dict[str, float]
Result = TypeVar("Result")
# Yields each epoch when it is due, and is sent its figures.
Teaching = Generator[Due, Figures, Result]


def alone(teaching: Teaching[Result]) -> Result:
    """What a run ends with that trains every epoch by itself."""
    try:
        due = next(teaching)
        while True:
            due = told(teaching, due.figures())
    except StopIteration as ended:
        result: Result = ended.value
        return result


def told(teaching: Teaching[Any], figures: Figures | Exception) -> Due:
    """The next epoch that is due when the last one ended so; what went wrong is raised inside the run."""
    return teaching.throw(figures) if isinstance(figures, Exception) else teaching.send(figures)


@final
@dataclass(frozen=True)
class Run:
    """What `teach` is given beside the network."""

    data: TrainingSet
    candidate: Candidate
    epochs: int
    seed: int
    validate: Callable[[nn.Module], float]
    checkpoint: Path | None = None
    identity: str = ""
    on_epoch: Callable[[Progress], None] = lambda progress: None

    def learner(self, network: nn.Module, begun: Sequence[Phase] = ()) -> Learner:
        """A learner at its beginning, of the candidate that the phases which have begun make of the run's."""
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        candidate = reduce(lambda former, phase: phase.candidate(former), begun, self.candidate)
        return Learner(network, self.data, candidate, self.seed)


def teach_in_phases(network: nn.Module, phases: Sequence[Phase], run: Run) -> tuple[nn.Module, Progress]:
    """As `teach`; later phases begin at their epochs, each with what the one before was at its best, or last, epoch.

    Returns the last phase's network at its best epoch: earlier ones do not compete with it. Patience counts in the last
    phase alone.
    """
    return alone(teaching_in_phases(network, phases, run))


def teaching_in_phases(network: nn.Module, phases: Sequence[Phase], run: Run) -> Teaching[tuple[nn.Module, Progress]]:
    """As `teach_in_phases`, for whoever trains the epochs that are due."""
    learner, progress, begun = _begun(network, phases, run)
    waiting = list(phases[len(begun) :])
    if progress.history:
        run.on_epoch(progress)
    patience = run.candidate.schedule.patience
    while progress.epoch < run.epochs and (waiting or not _out_of_patience(progress, patience)):
        while waiting and waiting[0].first_epoch <= progress.epoch:
            begun.append(waiting.pop(0))
            learner = _next_phase(begun, learner, progress, run)
        row = yield Due(learner, progress.epoch, run.epochs)
        started, seconds = time.perf_counter(), row.pop("seconds")
        row["validation_score"] = run.validate(learner.judged)
        row["seconds"] = seconds + time.perf_counter() - started
        _remember(progress, learner.judged, row)
        if run.checkpoint is not None:
            _save(run.checkpoint, run.identity, learner, progress)
        run.on_epoch(progress)
    learner.network.load_state_dict(progress.best_state)
    return learner.network, progress


def _begun(network: nn.Module, phases: Sequence[Phase], run: Run) -> tuple[Learner, Progress, list[Phase]]:
    """Learner, progress and the phases that have begun: at the checkpoint, or at the beginning where there is none."""
    state = _kept(run.checkpoint, run.identity, next(network.parameters()).device)
    progress = Progress(**state["progress"]) if state else Progress()
    # Whatever these make of an untrained network has the right shapes; the values come from the checkpoint.
    begun = [phase for phase in phases if phase.first_epoch < progress.epoch]
    for phase in begun:
        network = phase.begin(network)
    learner = run.learner(network, begun)
    if state:
        learner.load(state["learner"])
    return learner, progress, begun


def _next_phase(begun: Sequence[Phase], learner: Learner, progress: Progress, run: Run) -> Learner:
    network = learner.judged
    if progress.best_state and not begun[-1].from_last:
        network.load_state_dict(progress.best_state)
    progress.best_epoch, progress.best_score, progress.best_state = -1, -math.inf, {}
    return run.learner(begun[-1].begin(network), begun)


def _out_of_patience(progress: Progress, patience: int | None) -> bool:
    return patience is not None and progress.epoch - 1 - progress.best_epoch >= patience


@torch.no_grad()
def logits_of(network: nn.Module, features: Clips) -> NDArray[np.float32]:
    """Outputs [clips, classes] in evaluation mode for features [clips, frames, mels]."""
    network.eval()
    device = next(network.parameters()).device
    batch = SCORING_BATCH if device.type == "cpu" else SCORING_BATCH_ON_GPU
    parts = (features[at : at + batch] for at in range(0, len(features), batch))
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


def _save(checkpoint: Path, identity: str, learner: Learner, progress: Progress) -> None:
    state = {"identity": identity, "learner": learner.state(), "progress": vars(progress)}
    partial = checkpoint.with_suffix(f".{os.getpid()}.tmp")
    torch.save(state, partial)
    partial.replace(checkpoint)


def _kept(checkpoint: Path | None, identity: str, device: torch.device) -> dict[str, Any] | None:
    """The checkpoint's content, if there is one of this identity."""
    if checkpoint is None or not checkpoint.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(checkpoint, weights_only=True, map_location=device)
    except (OSError, RuntimeError, EOFError, ValueError):
        # A power cut may leave a name without its content: begin again.
        return None
    return state if state.get("identity") == identity else None


def history_csv(history: list[dict[str, float]]) -> str:
    """The rows of a run as CSV text, one line per epoch."""
    from io import StringIO

    text = StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]) if history else ["epoch"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()
