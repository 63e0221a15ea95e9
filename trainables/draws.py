"""Random numbers of one learner among several that draw in turns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, final

import torch

if TYPE_CHECKING:
    from torch import Tensor


@final
class Draws:
    """A place in torch's random numbers, which goes on only while it is in use: whoever draws in between is not felt.

    What is drawn are the numbers that follow `torch.manual_seed(seed)`.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._device = device
        before = self._places()
        torch.manual_seed(seed)
        self._own = self._places()
        self._put(before)

    @contextmanager
    def used(self) -> Iterator[None]:
        """What draws inside draws from here."""
        before = self._places()
        self._put(self._own)
        try:
            yield
        finally:
            self._own = self._places()
            self._put(before)

    def _places(self) -> tuple[Tensor, ...]:
        cuda = self._device.type == "cuda"
        return torch.get_rng_state(), *([torch.cuda.get_rng_state(self._device)] if cuda else [])

    def _put(self, places: tuple[Tensor, ...]) -> None:
        torch.set_rng_state(places[0])
        for place in places[1:]:
            torch.cuda.set_rng_state(place, self._device)
