"""Phases of a run: a student that learns from its teacher's maps first, a wide one, one that trains on INT8."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from torch import nn

from trainables.pruning import prune, wider
from trainables.quantization_aware import QuantizationAware

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.scales import TrainedRanges
    from spaces.candidate import Candidate, Student

# The wide student has half of the epochs before quantization, the slim one the other half to recover.
WIDE_SHARE = 0.5


@final
@dataclass(frozen=True)
class Phase:
    """From `first_epoch` on, what `begin` makes of the network of the phase before, at its best epoch, is trained.

    `candidate` makes of the run's candidate what the phase is trained as. `from_last`: it goes on from the last epoch
    instead, where the phase before does not train what validation judges.
    """

    first_epoch: int
    begin: Callable[[nn.Module], nn.Module]
    candidate: Callable[[Candidate], Candidate] = lambda candidate: candidate
    from_last: bool = False


def phases_of(
    candidate: Candidate, epochs: int, build: Callable[[Student], nn.Module], clips: NDArray[np.float32]
) -> tuple[nn.Module, tuple[Phase, ...]]:
    """The network that a run of a candidate begins with, and its later phases.

    `build` gives an untrained student; ranges begin as the extremes on training `clips` [n, frames, mels].
    """
    later: list[Phase] = []
    start, share = candidate.student, 1.0
    features = torch.from_numpy(np.array(clips)).unsqueeze(1)
    if candidate.quantization.qat_start is not None:
        share = candidate.quantization.qat_start
        later.append(Phase(_epoch_at(share, epochs), lambda network: _rounding(network, features), _unaligned))
    if candidate.pruning.prune_from > 1:
        start = wider(candidate.student, candidate.pruning.prune_from)
        first = _epoch_at(WIDE_SHARE * share, epochs)
        later.insert(0, Phase(first, lambda network: _slim(network, build(candidate.student), features[:2])))
    if _in_two_steps(candidate):
        first = teacher_alone(candidate, epochs)
        later.insert(0, Phase(first, lambda network: network, _from_labels, from_last=True))
    return build(start), tuple(later)


def teacher_alone(candidate: Candidate, epochs: int) -> int:
    """How many epochs, the first of a run, learn of the teacher alone: their scores say nothing of a student."""
    masks = candidate.masks
    if masks is None or not _in_two_steps(candidate):
        return 0
    return _epoch_at(max(masks.first_share, 1 / epochs), epochs)


def _in_two_steps(candidate: Candidate) -> bool:
    return candidate.masks is not None and candidate.masks.mode == "two_step"


def _from_labels(candidate: Candidate) -> Candidate:
    return replace(candidate, distillation=replace(candidate.distillation, alpha=1.0))


def _unaligned(candidate: Candidate) -> Candidate:
    # The rounded network's maps have other names.
    return replace(candidate, distillation=replace(candidate.distillation, alignment_weight=0.0))


def _epoch_at(share: float, epochs: int) -> int:
    # At least one epoch is left, however short the run.
    return min(round(share * epochs), epochs - 1)


def _rounding(network: nn.Module, features: torch.Tensor) -> nn.Module:
    device = next(network.parameters()).device
    aware = QuantizationAware(network, *features.shape[2:]).to(device)
    aware.collect(features.to(device))
    return aware


def _slim(network: nn.Module, slim: nn.Module, example: torch.Tensor) -> nn.Module:
    prune(network, slim, example.to(next(network.parameters()).device))
    return slim


def plain(network: nn.Module) -> tuple[nn.Module, TrainedRanges | None]:
    """The student that a run has left, and the ranges that it was trained with, if it was."""
    if isinstance(network, QuantizationAware):
        return network.student, network.trained_ranges()
    return network, None
