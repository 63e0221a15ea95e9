"""What every teacher's encoder offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Encoder(ABC):
    """A frozen network from 16 kHz audio to a short sequence of embeddings."""

    name: str
    content_hash: str
    # None: not known.
    parameters: int | None = None

    @abstractmethod
    def embed(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Audio [clips, samples] in [-1, 1) to embeddings [clips, steps, width]."""
