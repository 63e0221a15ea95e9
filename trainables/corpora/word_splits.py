"""Splits that keep apart what is said rather than who says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trainables.corpora.corpus import SPLITS, Clip
from trainables.corpora.leaks import bound_sets
from trainables.corpora.splits import SHARES, Splitting, checked, disjoint, draw_splits


def split_by_word(clips: Sequence[Clip], seed: int, required: Sequence[str]) -> Splitting:
    """About 70/15/15 of each label, no text in two splits; a clip without a text is a `ValueError`."""
    _check_texts(clips, "--split word")
    parts = _drawn(clips, seed, SHARES, required)
    placed = tuple(replace(clip, split=SPLITS[part]) for clip, part in zip(clips, parts, strict=True))
    apart = disjoint(placed)
    doubt = () if apart else ("--split word: speakers are not kept apart, so the scores are too good for strangers",)
    return checked(Splitting(placed, "by word", apart, doubt), required)


def split_two_speakers(clips: Sequence[Clip], seed: int, required: Sequence[str]) -> Splitting:
    """One of two speakers for test, the other for train and validation, which share no text."""
    _check_texts(clips, "--split speaker with two speakers")
    first, second = sorted({clip.speaker for clip in clips})
    tested = (second, first)[seed % 2]
    others = [clip for clip in clips if clip.speaker != tested]
    parts = _drawn(others, seed, (SHARES[0] + SHARES[2], SHARES[1]), required)
    split = {clip.path: SPLITS[part] for clip, part in zip(others, parts, strict=True)}
    placed = tuple(replace(clip, split=split.get(clip.path, "test")) for clip in clips)
    doubt = f"two speakers: {tested} is for test alone, and validation hears the voice that was trained on"
    return checked(Splitting(placed, "test by speaker, validation by word", False, (doubt,)), required)


def _drawn(clips: Sequence[Clip], seed: int, shares: Sequence[float], required: Sequence[str]) -> np.ndarray:
    # Bound by text as clips otherwise are by speaker.
    return draw_splits(clips, bound_sets([replace(c, speaker=c.text) for c in clips]), seed, shares, required)


def _check_texts(clips: Sequence[Clip], option: str) -> None:
    silent = next((clip for clip in clips if not clip.text), None)
    if silent is not None:
        raise ValueError(
            f"{option}: nothing says what is spoken in {silent.path}; name it in the column text of a manifest.csv, or "
            "use --split random, whose scores are too good"
        )
