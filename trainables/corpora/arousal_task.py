"""The valence/arousal task on any corpus: how pleasant and how lively a clip of music is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from trainables.corpora import synthesised_music
from trainables.corpora.corpus import SPLITS, Clip, Corpus, content_hash
from trainables.corpora.music_layouts import VALUES, read_music
from trainables.corpora.splits import SplitMode, Splitting, speaker_doubts, split_clips
from trainables.corpora.synthesised_music import CLIP_SECONDS
from trainables.corpora.wakeword_task import check_readable, readable_clips, skipped_doubt, task_doubts
from trainables.corpora.windows import cut_into_windows

# Quadrants of the plane (Russell, J. Pers. Soc. Psychol. 39, 1980), counted as in the field: Q1 is pleasant and lively,
# Q2 unpleasant and lively, Q3 unpleasant and calm, Q4 pleasant and calm.
QUADRANTS = ("Q1", "Q2", "Q3", "Q4")


def open_music(
    data_dir: Path | None,
    task: str | None = None,
    split: str = "speaker",
    seed: int = 0,
    window_seconds: float = CLIP_SECONDS,
    sample_rate_hz: int = 16_000,
) -> Corpus:
    """Clips with (valence, arousal) in [-1, 1] as values, split; nothing is decoded to memory yet.

    Without `data_dir`, the corpus of `synthesised_music`. Longer songs are cut into windows that do not overlap, all in
    their song's split. Songs of one group (an artist, an album) and copies stay together; `speaker` means that here.
    A clip's label is its quadrant, its source label what a manifest called it. What the user must mend is a
    `ValueError`: a folder, manifest, annotation or task that is not there, a value that is no rating, over 5 %
    unreadable files, ratings that are all the same, no possible split.
    """
    folder = synthesised_music.synthesised_folder(seed) if data_dir is None else data_dir.resolve()
    recordings, doubts = read_music(folder, task)
    clips, skipped = readable_clips(folder, recordings)
    check_readable(skipped, len(recordings))
    _check_ratings(folder, clips)
    splitting = _split([replace(clip, label=quadrant(clip.values)) for clip in clips], split, seed)
    windows = cut_into_windows(splitting.clips, window_seconds, window_seconds)
    return Corpus(
        name="synthesised music" if data_dir is None else folder.name,
        clips=windows,
        labels=VALUES,
        content_hash=content_hash(windows),
        sample_rate_hz=sample_rate_hz,
        split_rule=splitting.rule,
        speaker_disjoint=splitting.speaker_disjoint,
        synthetic=data_dir is None,
        skipped=(*skipped, *splitting.dropped),
        warnings=(*task_doubts(recordings), *doubts, *skipped_doubt(skipped), *splitting.warnings),
    )


def quadrant(values: Sequence[float]) -> str:
    """The quadrant of (valence, arousal); an axis belongs to its positive side."""
    pleasant, lively = (value >= 0 for value in values)
    return QUADRANTS[(0 if pleasant else 1) if lively else (3 if pleasant else 2)]


def _split(clips: Sequence[Clip], mode: str, seed: int) -> Splitting:
    splitting = split_clips(clips, cast("SplitMode", mode), seed)
    missing = [split for split in SPLITS if not any(clip.split == split for clip in splitting.clips)]
    if missing:
        raise ValueError(f"split: {missing[0]} holds no song (split {splitting.rule}); three groups are needed")
    # A song has no speaker: what might be shared is its artist.
    unspoken = speaker_doubts(splitting.clips)
    warnings = [warning for warning in splitting.warnings if warning not in unspoken]
    if not all(clip.group or clip.speaker for clip in splitting.clips):
        warnings.append("songs name no group such as their artist: one may be in two splits, and the scores too good")
    return replace(splitting, rule=splitting.rule.replace("by clip", "by song"), warnings=tuple(warnings))


def _check_ratings(folder: Path, clips: Sequence[Clip]) -> None:
    for name, values in zip(VALUES, np.array([clip.values for clip in clips]).T, strict=True):
        if np.ptp(values) == 0:
            raise ValueError(f"--data: in {folder} {name} is {values[0]:g} for every song; there is nothing to learn")
