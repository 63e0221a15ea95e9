"""What networks hear of noisy clips, and what their masks are to leave of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from trainables.cache import content_key, filled_array
from trainables.spectra import enhanced, inner, log_power, phase_sensitive, spectra

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.front_end import FrontEnd
    from trainables.corpora.mixtures import Mixtures

SPECTRA_VERSION = 1
CHUNK = 64


def noisy_features(mixtures: Mixtures, front_end: FrontEnd) -> NDArray[np.float32]:
    """Log-power spectra [mixtures, frames, bins], memory-mapped; computed once for each front end."""
    return _kept("log-power", mixtures, front_end, lambda noisy, clean: log_power(noisy, front_end))


def clean_targets(mixtures: Mixtures, front_end: FrontEnd) -> NDArray[np.float32]:
    """The phase-sensitive magnitudes of the speech [mixtures, frames, bins], memory-mapped."""
    return _kept("phase-sensitive", mixtures, front_end, lambda noisy, clean: phase_sensitive(clean, noisy))


def _kept(
    kind: str, mixtures: Mixtures, front_end: FrontEnd, of: Callable[[Tensor, Tensor], Tensor]
) -> NDArray[np.float32]:
    def fill(found: NDArray[np.float32]) -> None:
        pairs = mixtures.pairs()
        for at in range(0, len(found), CHUNK):
            both = torch.from_numpy(np.array(pairs[at : at + CHUNK]))
            found[at : at + CHUNK] = of(spectra(both[:, 0], front_end), spectra(both[:, 1], front_end)).numpy()

    key = content_key(kind, SPECTRA_VERSION, mixtures.key, front_end)
    shape = (len(mixtures.facts), front_end.frames, front_end.values_per_frame)
    return filled_array(key, shape, np.float32, fill)


def masked_clips(
    mixtures: Mixtures, rows: NDArray[np.int64], masks: NDArray[np.floating], front_end: FrontEnd
) -> NDArray[np.float32]:
    """What masks [rows, frames, bins] leave of the noisy clips `rows`, without their first and last hop."""
    noisy = mixtures.noisy()
    parts = [
        enhanced(
            torch.from_numpy(np.array(noisy[rows[at : at + CHUNK]])),
            torch.from_numpy(np.asarray(masks[at : at + CHUNK], np.float32)),
            front_end,
        )
        for at in range(0, len(rows), CHUNK)
    ]
    return np.asarray(torch.cat(parts).numpy())


def inner_clips(clips: NDArray[np.float32], rows: NDArray[np.int64], front_end: FrontEnd) -> NDArray[np.float32]:
    """Clips `rows` without their first and last hop, as long as `masked_clips`."""
    return np.asarray(inner(torch.from_numpy(np.array(clips[rows])), front_end).numpy())
