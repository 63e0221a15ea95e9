"""Recordings, clips and corpora as data."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "validation", "test")
# Beside the three: clips of which nobody said what they hold. They have a class for form's sake, which means nothing.
UNLABELLED = "unlabelled"


@final
@dataclass(frozen=True)
class Recording:
    """One file as a folder or manifest names it; `speaker`, `group` and `split` are empty where nobody said.

    `task` is the manifest's, `split` is train, validation, test or foldN, `text` what is said; `values` are what was
    rated, where a recording has numbers in place of a class.
    """

    path: Path
    label: str
    speaker: str = ""
    group: str = ""
    split: str = ""
    task: str = ""
    text: str = ""
    values: tuple[float, ...] = ()


@final
@dataclass(frozen=True)
class Clip:
    """One readable file of a corpus.

    `label` is the class that is learnt, `source_label` what the data called it. Clips of one `speaker`, one `group` (a
    source recording) or one `audio_hash` (of the decoded samples) belong in one `split`; an empty speaker or group is
    unknown, and `silent` clips, all zeros, are no copies of each other. `sample_rate_hz` is the file's own. A clip that
    is one window of a longer file begins at `start_seconds`. `values` are the numbers that are learnt where there are
    such, in [-1, 1]; the label then only balances the splits.
    """

    path: Path
    label: str
    source_label: str
    speaker: str
    group: str
    split: str
    audio_hash: str
    seconds: float
    sample_rate_hz: int
    silent: bool = False
    text: str = ""
    start_seconds: float | None = None
    values: tuple[float, ...] = ()


@final
@dataclass(frozen=True)
class Corpus:
    """Labelled and split clips, in a fixed order.

    `labels` numbers the classes, or names the clips' values. `content_hash` covers audio, labels, values, speakers and
    splits, not where the files lie. `split_rule` says how the split was made, `speaker_disjoint` whether no speaker is
    in two splits for certain. `skipped` pairs files left out with the reason; `warnings` are sentences for the user.
    `sample_rate_hz` is the rate that `load_audio` decodes to.
    """

    name: str
    clips: tuple[Clip, ...]
    labels: tuple[str, ...]
    content_hash: str
    sample_rate_hz: int
    split_rule: str
    speaker_disjoint: bool
    synthetic: bool = False
    skipped: tuple[tuple[Path, str], ...] = ()
    warnings: tuple[str, ...] = ()

    def indices(self, split: str) -> NDArray[np.int64]:
        """Positions of one split's clips, or of those in no split, ascending."""
        assert split in (*SPLITS, UNLABELLED)
        return np.array([i for i, clip in enumerate(self.clips) if clip.split == split], dtype=np.int64)

    def targets(self) -> NDArray[np.int64]:
        """Class number of every clip."""
        number = {label: i for i, label in enumerate(self.labels)}
        return np.array([number[clip.label] for clip in self.clips], dtype=np.int64)

    def values(self) -> NDArray[np.float32]:
        """Values [clips, labels] in [-1, 1]; a clip that lacks one is a `ValueError`."""
        lacking = next((clip for clip in self.clips if len(clip.values) != len(self.labels)), None)
        if lacking is not None:
            wanted = f"{len(self.labels)} ({', '.join(self.labels)})"
            raise ValueError(f"corpus {self.name}: {lacking.path} has {len(lacking.values)} values, not {wanted}")
        return np.array([clip.values for clip in self.clips], np.float32).reshape(-1, len(self.labels))

    def speakers(self, split: str) -> frozenset[str]:
        """Known speakers of one split."""
        return frozenset(clip.speaker for clip in self.clips if clip.split == split and clip.speaker)


def content_hash(clips: tuple[Clip, ...]) -> str:
    """SHA-256 over the clips in order: audio, labels, speaker, group, split and values."""
    digest = hashlib.sha256()
    for clip in clips:
        fields = (clip.audio_hash, clip.label, clip.source_label, clip.speaker, clip.group, clip.split, *clip.values)
        digest.update(json.dumps(fields).encode() + b"\n")
    return digest.hexdigest()
