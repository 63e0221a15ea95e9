"""What binds clips together, a speaker, a source or the same audio, and where splits tear it apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from trainables.corpora.corpus import Clip

Bond = Literal["speaker", "group", "audio"]


@final
@dataclass(frozen=True)
class Leak:
    """One speaker, group or audio content that is in more than one split."""

    kind: Bond
    value: str
    splits: tuple[str, ...]
    paths: tuple[Path, ...]


def find_leaks(clips: Iterable[Clip]) -> tuple[Leak, ...]:
    """Every known speaker, group and audio content that is in more than one split."""
    members: dict[tuple[Bond, str], list[Clip]] = defaultdict(list)
    for clip in clips:
        for kind, value in _bonds(clip):
            members[kind, value].append(clip)
    leaks = []
    for (kind, value), bound in members.items():
        splits = tuple(sorted({clip.split for clip in bound}))
        if len(splits) > 1:
            leaks.append(Leak(kind, value, splits, tuple(clip.path for clip in bound)))
    return tuple(leaks)


def _bonds(clip: Clip) -> list[tuple[Bond, str]]:
    bonds: list[tuple[Bond, str]] = [
        ("speaker", clip.speaker),
        ("group", clip.group),
        ("audio", "" if clip.silent else clip.audio_hash),
    ]
    return [(kind, value) for kind, value in bonds if value]


def describe_leaks(leaks: Sequence[Leak]) -> str:
    """`speaker 'x' is in test, train (12 leaks in all)`."""
    first = leaks[0]
    more = f" ({len(leaks)} leaks in all)" if len(leaks) > 1 else ""
    return f"{first.kind} {first.value!r} is in {', '.join(first.splits)}{more}"


def bound_sets(clips: Sequence[Clip]) -> NDArray[np.int64]:
    """Number of the set of clips that each belongs to: connected by speaker, group or identical audio."""
    parent = list(range(len(clips)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[Bond, str], int] = {}
    for i, clip in enumerate(clips):
        for bond in _bonds(clip):
            parent[root(i)] = root(first.setdefault(bond, i))
    return np.unique([root(i) for i in range(len(clips))], return_inverse=True)[1].astype(np.int64)
