"""Recordings of which nobody said what they hold: for training alone, where the teacher tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trainables.corpora.corpus import UNLABELLED, Clip

# The folder, or the label of a manifest, that marks them.
LABEL = "_unlabelled_"


def joining(unlabelled: Sequence[Clip], labelled: Sequence[Clip]) -> tuple[Clip, ...]:
    """The unlabelled clips, each once, that have nothing to do with validation and test.

    Left out: clips that the data place outside training, copies of `labelled` ones, and those that share a speaker or a
    group with one that is held out.
    """
    held_out = [clip for clip in labelled if clip.split != "train"]
    speakers, groups = {clip.speaker for clip in held_out} - {""}, {clip.group for clip in held_out} - {""}
    copies = {clip.audio_hash for clip in labelled}
    kept = {
        clip.audio_hash: replace(clip, split=UNLABELLED)
        for clip in unlabelled
        if clip.split in ("", "train") and clip.speaker not in speakers and clip.group not in groups
    }
    return tuple(clip for clip in kept.values() if clip.audio_hash not in copies)


def outside_held_out_times(captures: Sequence[Clip], labelled: Sequence[Clip]) -> tuple[Clip, ...]:
    """The captures that were not recorded while those for validation and test were: names give the order.

    `labelled` are captures in their splits. Two captures of one minute may be all but copies.
    """
    held_out = sorted(clip.path.name for clip in labelled if clip.split != "train")
    return tuple(clip for clip in captures if not held_out or not held_out[0] <= clip.path.name <= held_out[-1])


def left_out_doubt(given: int, kept: int) -> tuple[str, ...]:
    """A warning where unlabelled recordings do not join."""
    if kept == given:
        return ()
    reason = "they are copies, or of a speaker, group or time that is held out, or placed outside training"
    return (f"{given - kept} of {given} unlabelled recordings are left out: {reason}",)
