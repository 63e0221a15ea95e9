"""Recordings cut into overlapping windows of one length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trainables.corpora.corpus import Clip


def cut_into_windows(clips: Sequence[Clip], window_seconds: float, hop_seconds: float) -> tuple[Clip, ...]:
    """Every window that lies wholly inside its recording, or the whole of a shorter one, in the order of the clips.

    A window keeps its recording's label, speaker and split; its group is the recording where none was named, so that
    nothing parts the windows of one.
    """
    return tuple(_window(clip, start) for clip in clips for start in _starts(clip.seconds, window_seconds, hop_seconds))


def _starts(seconds: float, window_seconds: float, hop_seconds: float) -> list[float]:
    # A sample's rounding must not cost the last window.
    hops = int((seconds - window_seconds) / hop_seconds + 1e-6) if seconds > window_seconds else 0
    return [hop * hop_seconds for hop in range(hops + 1)]


def _window(clip: Clip, start_seconds: float) -> Clip:
    return replace(
        clip,
        group=clip.group or clip.audio_hash,
        audio_hash=f"{clip.audio_hash}@{start_seconds:g}",
        start_seconds=start_seconds,
    )
