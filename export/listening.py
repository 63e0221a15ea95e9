"""An exported student that hears sound piece by piece, as the device does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, final

import numpy as np

from export.front_end import features_in_pieces
from export.operators import read_model
from export.streaming import Int8Stream
from export.tflite import Int8Model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from export.exported import ExportedStudent
    from spaces.front_end import FrontEnd


class _Network(Protocol):
    def decided(self, features: NDArray[np.float32]) -> list[tuple[int, NDArray[np.int8]]]:
        """The frames that were heard before each decision, from the first one on, and its outputs."""


@final
class Listener:
    """Keeps what it needs of the past: pieces may be of any length, and how sound is cut changes nothing.

    The first decision comes when a whole clip has been heard, for a student of single frames, too.
    """

    def __init__(self, student: ExportedStudent) -> None:
        self._front_end, self._rule = student.front_end, student.rule
        kind = _Steps if read_model(student.model).is_step else _Clips
        self._network: _Network = kind(student.model, student.front_end)
        self._features = features_in_pieces(student.front_end)

    def hear(self, samples: NDArray[np.int16]) -> tuple[NDArray[np.float64], NDArray[np.int16]]:
        """Seconds since the first sample [n], and scores in steps [n], of the decisions that these samples bring."""
        found = self._network.decided(self._features.hear(samples))
        if not found:
            return np.empty(0), np.empty(0, np.int16)
        hop, window, rate = self._front_end.hop_samples, self._front_end.window_samples, self._front_end.sample_rate_hz
        ends = np.array([(frames - 1) * hop + window for frames, _ in found]) / rate
        return ends, self._rule.steps(np.concatenate([codes for _, codes in found]))


@final
class _Clips:
    """A model of whole clips: the last frames are kept, and each decision looks at a clip of them."""

    def __init__(self, model: bytes, front_end: FrontEnd) -> None:
        self._model = Int8Model(model, batch=1)
        self._frames, self._hop = front_end.frames, front_end.new_frames_per_decision
        self._kept = np.empty((0, front_end.values_per_frame), np.float32)
        self._first = 0

    def decided(self, features: NDArray[np.float32]) -> list[tuple[int, NDArray[np.int8]]]:
        frames = np.concatenate([self._kept, features])
        starts = range(0, len(frames) - self._frames + 1, self._hop)
        found = [
            (self._first + start + self._frames, self._model.codes(frames[None, start : start + self._frames]))
            for start in starts
        ]
        self._first += len(starts) * self._hop
        self._kept = frames[len(starts) * self._hop :]
        return found


@final
class _Steps:
    """A model of one step, run on from frame to frame; a decision takes the outputs of the last whole step."""

    def __init__(self, model: bytes, front_end: FrontEnd) -> None:
        self._model = Int8Stream(model, batch=1)
        self._stride = self._model.frames_per_step(front_end.values_per_frame)
        self._frames, self._hop = front_end.frames, front_end.new_frames_per_decision
        self._states, self._codes = self._model.first_states(), np.empty((1, 0), np.int8)
        self._kept = np.empty((0, front_end.values_per_frame), np.float32)
        self._heard = 0

    def decided(self, features: NDArray[np.float32]) -> list[tuple[int, NDArray[np.int8]]]:
        found = []
        for frame in features:
            self._kept = np.concatenate([self._kept, frame[None]])
            self._heard += 1
            if len(self._kept) == self._stride:
                self._step()
            if self._heard % self._hop == 0 and self._heard >= max(self._frames, self._stride):
                found.append((self._heard, self._codes))
        return found

    def _step(self) -> None:
        codes = self._model.quantized(self._kept[None])[:, 0]
        outputs, self._states = self._model.step(codes, self._states)
        self._codes = outputs.reshape(1, -1)
        self._kept = self._kept[:0]
