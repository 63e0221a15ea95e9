"""MixedNet: depthwise convolutions of several lengths over time, each with its history as a state (micro-wake-word)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn

from trainables.students.streaming import StreamingStudent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spaces.candidate import Scalar
    from spaces.front_end import FrontEnd

# micro-wake-word's default, block by block.
KERNELS = ((5,), (7, 11), (9, 15), (23,))


def build(arguments: Mapping[str, Scalar], front_end: FrontEnd, outputs: int) -> nn.Module:
    """`depth` blocks of `width` channels, a step every `stride` frames.

    The source's first filter is 5 frames long at stride 3; here it is as long as the stride, so that steps share none.
    """
    width, depth, stride = (int(arguments[key]) for key in ("width", "depth", "stride"))
    return MixedNet(front_end.mels, width, KERNELS[:depth], stride, outputs)


@final
class MixedNet(StreamingStudent):
    """Blocks over the steps, then a linear layer of the last step; states are [batch, rows, 1, channels]."""

    def __init__(self, mels: int, width: int, kernels: tuple[tuple[int, ...], ...], stride: int, outputs: int) -> None:
        super().__init__()
        self.stride = stride
        channels = [stride * mels, *(width for _ in kernels)]
        blocks = [MixedBlock(*ends, lengths) for ends, lengths in zip(pairwise(channels), kernels, strict=True)]
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, outputs, 1))

    def forward(self, clips: Tensor) -> Tensor:
        """[batch, 1, frames, mels] to logits [batch, outputs]."""
        steps = torch.cat(self.frames(clips.squeeze(1)), dim=1)
        return self.step(steps, *self.initial_states(len(clips), clips.device))[0]

    def frames(self, clips: Tensor) -> tuple[Tensor, ...]:
        """Runs of `stride` frames, the last at the clip's end, as [batch, 1, 1, stride * mels] each."""
        whole = clips[:, clips.shape[1] % self.stride :]
        return whole.reshape(len(clips), -1, 1, 1, self.stride * clips.shape[2]).unbind(1)

    def initial_states(self, batch: int, device: torch.device | None = None) -> tuple[Tensor, ...]:
        """Zeros [batch, kernel - 1, 1, channels] for every kernel."""
        return tuple(
            torch.zeros(batch, length - 1, 1, channels, device=device)
            for block in self._blocks()
            for length, channels in block.histories
        )

    def step(self, frame: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """One step or several [batch, steps, 1, stride * mels] to the last one's logits [batch, outputs] and states."""
        maps, after = frame.permute(0, 3, 1, 2), list(states)
        for block in self._blocks():
            maps, kept = block(maps, after[: len(block.histories)])
            after = after[len(block.histories) :] + kept
        return torch.flatten(self.head(maps[:, :, -1:]), 1), *after

    def _blocks(self) -> list[MixedBlock]:
        return [block for block in self.blocks if isinstance(block, MixedBlock)]


@final
class MixedBlock(nn.Module):
    """Side by side for each kernel: pointwise convolution, normalisation, ReLU, depthwise convolution over time."""

    def __init__(self, inputs: int, outputs: int, kernels: tuple[int, ...]) -> None:
        super().__init__()
        share = outputs // len(kernels)
        self.histories = [(length, share) for length in kernels]
        self.pointwise = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, share, 1, bias=False), nn.BatchNorm2d(share), nn.ReLU()) for _ in kernels
        )
        self.depthwise = nn.ModuleList(
            nn.Conv2d(share, share, (length, 1), groups=share, bias=False) for length in kernels
        )

    def forward(self, maps: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """[batch, inputs, steps, 1] and the histories to [batch, outputs, steps, 1] and the histories after it."""
        filtered, after = [], []
        for pointwise, depthwise, history in zip(self.pointwise, self.depthwise, states, strict=True):
            seen = torch.cat([history.permute(0, 3, 1, 2), pointwise(maps)], dim=2)
            filtered.append(depthwise(seen))
            after.append(seen[:, :, maps.shape[2] :].permute(0, 2, 3, 1))
        return torch.cat(filtered, dim=1), after
