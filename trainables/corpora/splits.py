"""Splits of clips into train, validation and test that share no speaker, source or audio."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from trainables.corpora.corpus import SPLITS, Clip
from trainables.corpora.leaks import bound_sets, describe_leaks, find_leaks

SplitMode = Literal["speaker", "random", "given"]
SPLIT_MODES: tuple[SplitMode, ...] = ("speaker", "random", "given")
SHARES = (0.70, 0.15, 0.15)
SCARCE = 20


@final
@dataclass(frozen=True)
class Splitting:
    """Clips with their splits, how these were made, and what was left out as a copy of a clip in another split."""

    clips: tuple[Clip, ...]
    rule: str
    speaker_disjoint: bool
    warnings: tuple[str, ...] = ()
    dropped: tuple[tuple[Path, str], ...] = ()


def split_clips(clips: Sequence[Clip], mode: SplitMode, seed: int, required: Sequence[str] = ()) -> Splitting:
    """Put every clip into a split, about 70/15/15 of each label.

    `speaker` keeps given splits that leak nothing, and otherwise draws by speaker, group and identical audio; `random`
    draws by clip; `given` trusts the data. Each split must hold the `required` labels: what cannot is a `ValueError`.
    """
    given = all(clip.split for clip in clips)
    _check_given(clips, mode, given)
    if mode == "random":
        return _random(clips, seed, required)
    placed = _unfold(clips) if given else tuple(clips)
    if mode == "given":
        return checked(Splitting(placed, "given", disjoint(placed), _trusted(placed)), required)
    objection = _objection(placed) if given else ""
    if given and not objection:
        return _keep_given(placed, seed, required)
    return _by_speaker(clips, seed, required, (objection,) if objection else ())


def _check_given(clips: Sequence[Clip], mode: SplitMode, given: bool) -> None:
    if mode not in SPLIT_MODES:
        raise ValueError(f"--split: {mode!r} is unknown; use {', '.join(SPLIT_MODES)}")
    without = next((clip for clip in clips if not clip.split), None)
    if mode == "given" and without is not None:
        raise ValueError(f"--split given: the data give no split for {without.path}; use --split speaker")
    if mode == "speaker" and without is not None and any(clip.split for clip in clips):
        raise ValueError(
            f"split: {without.path} has none while other files have; fill it in, or leave all of them empty"
        )


def _unfold(clips: Sequence[Clip]) -> tuple[Clip, ...]:
    """Numbered folds as splits: the last is test, the one before it validation."""
    names = {clip.split for clip in clips}
    folds = sorted((name for name in names if name.startswith("fold")), key=lambda name: int(name[4:]))
    if not folds:
        return tuple(clips)
    if len(folds) < len(names) or len(folds) < 3:
        raise ValueError(
            f"split: folds must be three or more, without other splits; there are {', '.join(sorted(names))}"
        )
    split = {**dict.fromkeys(folds, "train"), folds[-2]: "validation", folds[-1]: "test"}
    return tuple(replace(clip, split=split[clip.split]) for clip in clips)


def _keep_given(clips: tuple[Clip, ...], seed: int, required: Sequence[str]) -> Splitting:
    kept, dropped = _without_copies(clips)
    warnings = []
    if dropped:
        warnings.append(f"{len(dropped)} clips are left out: the same audio is in another of the given splits")
    rule = "given"
    if not any(clip.split == "validation" for clip in kept):
        kept = _carve_validation(kept, seed)
        rule = "given, with validation taken out of train"
        warnings.append("the given splits have no validation; about a sixth of train was taken for it")
    warnings += speaker_doubts(kept)
    return checked(Splitting(kept, rule, disjoint(kept), tuple(warnings), dropped), required)


def _without_copies(clips: tuple[Clip, ...]) -> tuple[tuple[Clip, ...], tuple[tuple[Path, str], ...]]:
    """Of audio in several splits keep test's, else validation's."""
    home: dict[str, Clip] = {}
    for clip in sorted(clips, key=lambda clip: -SPLITS.index(clip.split)):
        home.setdefault(clip.audio_hash, clip)

    def at_home(clip: Clip) -> bool:
        return clip.silent or home[clip.audio_hash].split == clip.split

    dropped = tuple(
        (
            clip.path,
            f"is in {clip.split} and the same audio as {home[clip.audio_hash].path} in {home[clip.audio_hash].split}",
        )
        for clip in clips
        if not at_home(clip)
    )
    return tuple(clip for clip in clips if at_home(clip)), dropped


def _carve_validation(clips: tuple[Clip, ...], seed: int) -> tuple[Clip, ...]:
    train = [clip for clip in clips if clip.split == "train"]
    parts = draw_splits(train, bound_sets(train), seed, (SHARES[0] + SHARES[2], SHARES[1]))
    split = {clip.path: ("train", "validation")[part] for clip, part in zip(train, parts, strict=True)}
    return tuple(replace(clip, split=split.get(clip.path, clip.split)) for clip in clips)


def _by_speaker(clips: Sequence[Clip], seed: int, required: Sequence[str], warnings: tuple[str, ...]) -> Splitting:
    units = bound_sets(clips)
    _check_possible(clips, units, required)
    parts = draw_splits(clips, units, seed, SHARES, required)
    placed = tuple(replace(clip, split=SPLITS[part]) for clip, part in zip(clips, parts, strict=True))
    return checked(Splitting(placed, _rule(placed), disjoint(placed), (*warnings, *speaker_doubts(clips))), required)


def _rule(clips: Sequence[Clip]) -> str:
    if _own_speakers(clips):
        return "by group" if any(clip.group for clip in clips) else "by clip"
    return "by speaker" if all(clip.speaker for clip in clips) else "by speaker where one is known"


def _check_possible(clips: Sequence[Clip], units: NDArray[np.int64], required: Sequence[str]) -> None:
    for label in required:
        bearers = {int(unit) for unit, clip in zip(units, clips, strict=True) if clip.label == label}
        if len(bearers) < len(SPLITS):
            raise ValueError(
                f"--split speaker: no speaker-disjoint split is possible: {label!r} comes from {len(bearers)} "
                "speaker(s) or source(s), and train, validation and test need one each at least; add speakers, or use "
                "--split random, whose scores are too good"
            )


def _random(clips: Sequence[Clip], seed: int, required: Sequence[str]) -> Splitting:
    parts = draw_splits(clips, np.arange(len(clips)), seed, SHARES, required)
    placed = tuple(replace(clip, split=SPLITS[part]) for clip, part in zip(clips, parts, strict=True))
    warning = "--split random: speakers are not kept apart, so the scores are too good"
    return checked(Splitting(placed, "random", False, (warning,)), required)


def checked(splitting: Splitting, required: Sequence[str]) -> Splitting:
    """A splitting, with a warning where a required label is scarce; where one is missing, a `ValueError`."""
    count = Counter((clip.split, clip.label) for clip in splitting.clips)
    scarce = []
    for split in SPLITS:
        for label in required:
            if not count[split, label]:
                missing = f"split: {split} holds no {label!r} (split {splitting.rule})"
                raise ValueError(f"{missing}; add clips or use another --split")
            if count[split, label] < SCARCE:
                scarce.append(f"{split} {count[split, label]} of {label!r}")
    if not scarce:
        return splitting
    warning = f"fewer than {SCARCE} clips: {', '.join(scarce)}; scores on so few say little"
    return replace(splitting, warnings=(*splitting.warnings, warning))


def _trusted(clips: tuple[Clip, ...]) -> tuple[str, ...]:
    leaks = find_leaks(clips)
    return (f"--split given: trusted although it leaks: {describe_leaks(leaks)}",) if leaks else ()


def _objection(clips: tuple[Clip, ...]) -> str:
    """Why given splits cannot be kept; empty where they can."""
    present = {clip.split for clip in clips}
    missing = [split for split in ("train", "test") if split not in present]
    if missing:
        return f"the given splits have no {' and no '.join(missing)}: all are drawn anew by speaker"
    leaks = tuple(leak for leak in find_leaks(clips) if leak.kind != "audio")
    if leaks:
        named = describe_leaks(leaks)
        return f"the given splits leak and are drawn anew by speaker: {named}; --split given would trust them"
    return ""


def _own_speakers(clips: Sequence[Clip]) -> bool:
    """Whether no two clips are known to share a speaker."""
    known = [clip.speaker for clip in clips if clip.speaker]
    return len(set(known)) == len(known)


def disjoint(clips: Sequence[Clip]) -> bool:
    """Whether no speaker is in two splits for certain."""
    named = all(clip.speaker for clip in clips)
    return named and not _own_speakers(clips) and not any(leak.kind == "speaker" for leak in find_leaks(clips))


def speaker_doubts(clips: Sequence[Clip]) -> tuple[str, ...]:
    """A warning where some or all clips name no speaker."""
    if _own_speakers(clips):
        return ("no two clips name the same speaker: the split may not be speaker-disjoint, and its scores too good",)
    unknown = sum(not clip.speaker for clip in clips)
    if unknown:
        return (f"{unknown} clips name no speaker: the split is speaker-disjoint only among the others",)
    return ()


def draw_splits(
    clips: Sequence[Clip], units: NDArray[np.int64], seed: int, shares: Sequence[float], required: Sequence[str] = ()
) -> NDArray[np.int64]:
    """Part number of every clip: whole units, each label near its `shares`, the same for the same clips and seed.

    Units go one by one, the large first, to the part that brings all labels nearest to their shares; the seed decides
    among units of a size. A required label goes first to parts that lack it once its units become scarce.
    """
    labels, label_of = np.unique([clip.label for clip in clips], return_inverse=True)
    counts = np.zeros((int(units.max()) + 1, len(labels)))
    np.add.at(counts, (units, label_of), 1)
    needed = [int(np.flatnonzero(labels == label)[0]) for label in required if label in labels]
    part_of = np.zeros(len(counts), dtype=np.int64)
    held = np.zeros((len(shares), len(labels)))
    waiting = (counts > 0).sum(axis=0)
    for unit in _draw_order(clips, units, counts, seed):
        part = _best_part(held, counts[unit], counts.sum(axis=0), np.asarray(shares), waiting, needed)
        part_of[unit] = part
        held[part] += counts[unit]
        waiting -= counts[unit] > 0
    return part_of[units]


def _draw_order(
    clips: Sequence[Clip], units: NDArray[np.int64], counts: NDArray[np.float64], seed: int
) -> Sequence[int]:
    # Ties are broken by the unit's own names, so that the order of the files does not matter.
    names: dict[int, str] = {}
    for unit, clip in zip(units.tolist(), clips, strict=True):
        name = f"{clip.speaker}|{clip.group}|{clip.audio_hash}|{clip.path.name}"
        names[unit] = min(name, names.get(unit, name))
    mixed = {unit: hashlib.sha256(f"{seed}|{name}".encode()).hexdigest() for unit, name in names.items()}
    size_class = np.floor(np.log2(counts.sum(axis=1))).astype(int)
    return sorted(range(len(counts)), key=lambda unit: (-size_class[unit], mixed[unit]))


def _best_part(
    held: NDArray[np.float64],
    unit: NDArray[np.float64],
    totals: NDArray[np.float64],
    shares: NDArray[np.float64],
    waiting: NDArray[np.int64],
    needed: Sequence[int],
) -> int:
    allowed = np.ones(len(shares), dtype=bool)
    for label in needed:
        lacking = held[:, label] == 0
        if unit[label] and lacking.any() and waiting[label] <= lacking.sum():
            allowed &= lacking
    # How much nearer the labels drawn so far come to their shares, in summed squares, where the unit goes to a part.
    short = (shares[:, None] * (held.sum(axis=0) + unit) - held) / totals
    gain = ((2 * short - unit / totals) * (unit / totals)).sum(axis=1)
    gain[~allowed if allowed.any() else np.zeros(len(shares), dtype=bool)] = -np.inf
    return int(np.argmax(gain))
