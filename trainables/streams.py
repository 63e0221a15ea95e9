"""Streams of sound as the device hears them: their features, kept in the cache, and a student's decisions on them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from export.front_end import features_in_pieces
from export.operators import read_model
from export.streaming import Int8Stream, int8_outputs
from export.tflite import Int8Model
from trainables.cache import filled_array
from trainables.features import features_key, log_mel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.front_end import FrontEnd
    from trainables.corpora.running import Running

CHUNK_FRAMES = 4096
CHUNK_WINDOWS = 512
# Every fourth decision, and the three on both sides of the highest three tenths of these: 0.57 of the windows. Measured
# on 20 minutes with a DS-CNN and a TinyConv, that finds all alarms of a threshold with 130 per hour and 94 % of 500 per
# hour; every second window alone finds half to three quarters of them.
EVERY, LOOKED_BESIDE = 4, 0.3
# Lanes of a stream are heard at the same time; each first hears what lies before it for so long.
LANES = 64
LEAD_SECONDS = 4.0


def stream_features(stream: Running, front_end: FrontEnd) -> NDArray[np.float32]:
    """Frames [frames, mels] of a whole stream, memory-mapped; computed once per stream and front end.

    A front end that remembers runs on from the stream's first sample to its last, as on the device.
    """
    key = features_key(front_end, "stream", stream.content_hash, stream.sample_rate_hz)
    count = 1 + (stream.samples - front_end.window_samples) // front_end.hop_samples
    fill = partial(_run_on if front_end.kind == "micro" else _log_mels, stream, front_end)
    return filled_array(key, (count, front_end.mels), np.float32, fill)


def _log_mels(stream: Running, front_end: FrontEnd, features: NDArray[np.float32]) -> None:
    audio, hop, window = stream.audio(), front_end.hop_samples, front_end.window_samples
    for at in range(0, len(features), CHUNK_FRAMES):
        end = min(len(features), at + CHUNK_FRAMES)
        piece = torch.from_numpy(audio[at * hop : (end - 1) * hop + window].astype(np.float32) / 32768)
        features[at:end] = log_mel(piece[None], front_end)[0].numpy()


def _run_on(stream: Running, front_end: FrontEnd, features: NDArray[np.float32]) -> None:
    audio, hearing, at = stream.audio(), features_in_pieces(front_end), 0
    for first in range(0, len(audio), CHUNK_FRAMES * front_end.hop_samples):
        frames = hearing.hear(audio[first : first + CHUNK_FRAMES * front_end.hop_samples])
        features[at : at + len(frames)] = frames
        at += len(frames)


def windows(features: NDArray[np.float32], front_end: FrontEnd, hop: int) -> NDArray[np.float32]:
    """Clips [n, frames, mels] that begin every `hop` frames of a stream, as a view."""
    slid = np.lib.stride_tricks.sliding_window_view(features, front_end.frames, axis=0)
    return slid[::hop].swapaxes(1, 2)


def epoch_hop(front_end: FrontEnd) -> int:
    """Frames between the windows that are looked at after each epoch: half a clip.

    To look at every decision would cost more than the epoch; so coarse a look misses alarms, of every epoch alike.
    """
    return max(1, front_end.frames // 2)


def int8_decisions(model: bytes, features: NDArray[np.float32], front_end: FrontEnd) -> NDArray[np.float32]:
    """Outputs [decisions, outputs] of an INT8 model all along a stream [frames, mels], as often as the device decides.

    A model that hears whole clips is given one at every fourth decision, and at those between beside each whose class
    that is not 0 comes near enough to matter; the others repeat the fourth before. A step is run on from frame to
    frame, as the device does, and never set back: its states hold what came before the last clip, too.
    """
    hop = front_end.new_frames_per_decision
    if read_model(model).is_step:
        return _stepped(Int8Stream(model, batch=LANES), features, front_end, hop)
    return _windowed(Int8Model(model, threads=torch.get_num_threads()), windows(features, front_end, hop))


def _windowed(model: Int8Model, clips: NDArray[np.float32]) -> NDArray[np.float32]:
    coarse = np.arange(0, len(clips), EVERY)
    outputs = _outputs(model, clips, coarse)
    between = np.setdiff1d(_beside_high(outputs, len(clips)), coarse)
    decided = outputs[np.arange(len(clips)) // EVERY]
    if len(between):
        decided[between] = _outputs(model, clips, between)
    return decided


def _beside_high(outputs: NDArray[np.float32], decisions: int) -> NDArray[np.int64]:
    score = outputs[:, 1:].max(axis=1) - outputs[:, 0]
    high = np.flatnonzero(score >= np.quantile(score, 1 - LOOKED_BESIDE))
    near = np.unique(high[:, None] * EVERY + np.arange(1 - EVERY, EVERY))
    return near[(near >= 0) & (near < decisions)]


def _outputs(model: Int8Model, clips: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    parts = [rows[at : at + CHUNK_WINDOWS] for at in range(0, len(rows), CHUNK_WINDOWS)]
    return np.concatenate([model.outputs(clips[part]) for part in parts])


def _stepped(model: Int8Stream, features: NDArray[np.float32], front_end: FrontEnd, hop: int) -> NDArray[np.float32]:
    """Of every lane the decisions after its lead, one after another.

    A lane's states begin at zero and have settled after the lead; a model of one lane hears the stream in one piece.
    """
    stride = model.frames_per_step(front_end.mels)
    lanes = min(model.batch, max(1, len(features) // (8 * front_end.frames)))
    # Whole decisions and whole steps in each lane.
    unit = int(np.lcm(hop, stride))
    length = len(features) // lanes // unit * unit
    lead = 0 if lanes == 1 else _frames(LEAD_SECONDS, front_end) // unit * unit
    padded = np.concatenate([features[:1].repeat(lead, axis=0), features[: lanes * length]])
    heard = np.stack([padded[lane * length : lane * length + lead + length] for lane in range(lanes)])
    outputs = model.running(heard)[:, lead // stride :]
    ends = np.arange(hop, length + 1, hop)
    decided = outputs[:, np.maximum(ends // stride, 1) - 1]
    return decided.reshape(-1, outputs.shape[2])


def after_stream(
    model: bytes, clips: NDArray[np.float32], features: NDArray[np.float32], front_end: FrontEnd
) -> NDArray[np.float32]:
    """Outputs [n, outputs] on clips [n, frames, mels] that a device hears amid a stream [frames, mels].

    A step hears another stretch of the stream before each; a model of whole clips knows nothing of what came before.
    """
    if not read_model(model).is_step:
        return int8_outputs(model, clips, threads=torch.get_num_threads())
    lead = min(len(features), _frames(LEAD_SECONDS, front_end))
    starts = np.linspace(0, len(features) - lead, len(clips)).astype(int)
    before = np.stack([features[start : start + lead] for start in starts])
    return Int8Stream(model, threads=torch.get_num_threads()).outputs(np.concatenate([before, clips], axis=1))


def _frames(seconds: float, front_end: FrontEnd) -> int:
    return round(seconds * front_end.sample_rate_hz / front_end.hop_samples)
