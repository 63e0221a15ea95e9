"""What every teacher's encoder offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Encoder(ABC):
    """A frozen network from 16 kHz audio to a short sequence of embeddings.

    `layer_count` says how many layers' states it can give: 1 where the embedding is all that it shows.
    """

    name: str
    content_hash: str
    layer_count: int = 1

    @abstractmethod
    def embed(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Audio [clips, samples] in [-1, 1) to embeddings [clips, steps, width]."""

    def embed_layers(
        self, audio: NDArray[np.float32], layers: Sequence[int]
    ) -> tuple[NDArray[np.float32], tuple[NDArray[np.float32], ...]]:
        """The embeddings, and from the same pass the states [clips, steps, width] of each of `layers`, from 1 up."""
        embeddings = self.embed(audio)
        return embeddings, (embeddings,) * len(layers)

    def check_layers(self, layers: Sequence[int]) -> None:
        """Raise a `ValueError` where there are no such layers, or none are asked for, or one twice."""
        there = "layer 1, the embedding" if self.layer_count == 1 else f"layers 1 to {self.layer_count}"
        if not layers or len(set(layers)) < len(layers) or not set(layers) <= set(range(1, self.layer_count + 1)):
            asked = ", ".join(map(str, layers)) or "none"
            raise ValueError(f"--teacher: {self.name} has {there}, each to be named once; {asked} cannot be had")
