"""Captures of one's own home beside public recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trainables.corpora.corpus import SPLITS, Clip
from trainables.corpora.splits import SHARES

TRAIN_ON = ("both", "private", "public")


def joined(public: Sequence[Clip], private: Sequence[Clip], train_on: str) -> tuple[Clip, ...]:
    """Split public clips, and the private ones that are no copies of them, split by time.

    `train_on` says whose clips the training split keeps; validation and test keep both.
    """
    known = {clip.audio_hash for clip in public}
    timed = split_by_time([clip for clip in private if clip.audio_hash not in known])
    parts = {"private": timed, "public": tuple(public)}
    return tuple(
        clip for whose, clips in parts.items() for clip in clips if clip.split != "train" or train_on in ("both", whose)
    )


def split_by_time(clips: Sequence[Clip]) -> tuple[Clip, ...]:
    """Of each label the earliest 70 % for training, the next 15 % for validation, the latest for test.

    Names give the order, as those of captures hold their time: a split at random would test on the minute that was
    trained on.
    """
    ends = np.cumsum(SHARES)
    return tuple(
        replace(clip, split=SPLITS[int(np.searchsorted(ends, (place + 0.5) / len(members)))])
        for members in _by_label(clips)
        for place, clip in enumerate(members)
    )


def _by_label(clips: Sequence[Clip]) -> list[list[Clip]]:
    ordered = sorted(clips, key=lambda clip: clip.path.name)
    return [[clip for clip in ordered if clip.label == label] for label in sorted({clip.label for clip in clips})]
