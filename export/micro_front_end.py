"""TensorFlow Lite Micro's audio front end as ESPHome runs it, through the wrapper pymicro-features of its C code."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import numpy as np
from pymicro_features import MicroFrontend

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.front_end import FrontEnd

SAMPLE_BYTES = 2


@final
class MicroFrames:
    """Frames of sound that comes in pieces of any length; the estimates of its noise run on from piece to piece.

    The wrapper gives the C code's integers over 25.6, as micro-wake-word trains on them.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        self._frontend, self._front_end = MicroFrontend(), front_end
        self._rest = np.empty(0, np.int16)

    def hear(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        """The frames [n, values per frame] that int16 samples complete."""
        joined, hop = np.concatenate([self._rest, samples]), self._front_end.hop_samples
        whole = len(joined) // hop * hop
        self._rest = joined[whole:]
        audio, step = joined[:whole].astype("<i2").tobytes(), SAMPLE_BYTES * hop
        given = (self._frontend.process_samples(audio[at : at + step]).features for at in range(0, len(audio), step))
        # The first window is longer than a hop: until it is full there are none.
        frames = np.array([features for features in given if features], np.float64)
        scaled = (frames.reshape(-1, self._front_end.mels) - self._front_end.log_mean) / self._front_end.log_std
        return scaled.astype(np.float32)

    def forget(self) -> None:
        """As if nothing had been heard."""
        self._frontend.reset()
        self._rest = np.empty(0, np.int16)


def clip_frames(clips: NDArray[np.int16], front_end: FrontEnd) -> NDArray[np.float32]:
    """Frames [clips, frames, values per frame] of clips [clips, samples], each led into by itself, backwards.

    A device has been listening all along, and a clip tells nothing of what came before. From silence the first 30
    frames lie 70 INT8 steps from those of the same clip amid noise or amid speech; after a second of the clip
    backwards, which has its noise and its level and no seam, 31 and 22 (150 words in recorded noise at 5-20 dB; after
    other words). The other frames lie within 4, after silence within 6.
    """
    hearing, lead = MicroFrames(front_end), clips.shape[1] // front_end.hop_samples * front_end.hop_samples
    found = np.empty((len(clips), front_end.frames, front_end.values_per_frame), np.float32)
    for row, clip in enumerate(clips):
        hearing.forget()
        frames = hearing.hear(np.concatenate([clip[:lead][::-1], clip]))
        found[row] = frames[lead // front_end.hop_samples :][: front_end.frames]
    return found
