"""Where a teacher computes, and in which numbers."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import final

import torch


@final
@dataclass(frozen=True)
class Computing:
    """A device, and the type that `mixed` lets matrix products be in: float32 leaves all as it is."""

    device: torch.device
    dtype: torch.dtype = torch.float32

    @property
    def precision(self) -> str:
        """Such as `bfloat16`."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def scales_loss(self) -> bool:
        """Whether small gradients would vanish."""
        return self.dtype == torch.float16

    def mixed(self) -> contextlib.AbstractContextManager[object]:
        """Mixed precision within."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)


def here() -> Computing:
    """The GPU in mixed precision where there is one, else the CPU in float32, bit for bit the same on every run."""
    if not torch.cuda.is_available():
        return Computing(torch.device("cpu"))
    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return Computing(torch.device("cuda"), dtype)
