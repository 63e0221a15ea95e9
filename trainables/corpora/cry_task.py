"""The baby-cry task on any corpus: windows of recordings that hold a cry, or none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from spaces.baby_cry import WINDOW_SECONDS
from trainables.corpora import synthesised_cries
from trainables.corpora.corpus import Clip, Corpus, Recording, content_hash
from trainables.corpora.private_captures import TRAIN_ON, joined
from trainables.corpora.sound_layouts import CRY, read_sounds
from trainables.corpora.splits import SplitMode, Splitting, checked, split_clips
from trainables.corpora.unlabelled import LABEL, joining, left_out_doubt, outside_held_out_times
from trainables.corpora.wakeword_task import check_readable, readable_clips, skipped_doubt, task_doubts
from trainables.corpora.windows import cut_into_windows

OTHER = "_other_"
HOP_SECONDS = WINDOW_SECONDS / 2

_CRIES = {"cry", "cries", "crying", "babycry", "babycrying", "cryingbaby"}
_NEGATIONS = {"no", "not", "non", "without"}


def open_cries(
    data_dir: Path | None,
    label: str | None = None,
    task: str | None = None,
    split: SplitMode = "speaker",
    seed: int = 0,
    private: Path | None = None,
    train_on: str = "both",
    sample_rate_hz: int = 16_000,
) -> Corpus:
    """Windows of recordings of a cry (class 1) and of everything else (class 0), split; nothing is in memory yet.

    Without `data_dir`, the corpus of `synthesised_cries`. `label` names the positive class where no label of the data
    is named like a cry. Numbered folds go around with the seed. Captures in `private` join it, see `private_captures`;
    their file names stay out of the corpus's facts. Recordings labelled `_unlabelled_` are in no split, see
    `unlabelled`. What the user must mend is a `ValueError`: a folder, manifest, label or task that is not there, over
    5 % unreadable files, no possible split.
    """
    folder = synthesised_cries.synthesised_folder(seed) if data_dir is None else data_dir.resolve()
    public = _read(folder, label, task)
    splitting = _split(public.clips, split, seed)
    name = "synthesised cries" if data_dir is None else f"{folder.name} {', '.join(public.positives)}"
    doubts = public.doubts + skipped_doubt(public.skipped)
    unlabelled = public.unlabelled if train_on != "private" else ()
    given = len(public.unlabelled)
    if private is not None:
        captures = _read(private.resolve(), label, None, may_lack_labels=True)
        given += len(captures.unlabelled)
        splitting = with_captures(splitting, captures.clips, train_on)
        homes = [clip for clip in splitting.clips if clip.path.is_relative_to(private.resolve())]
        unlabelled += outside_held_out_times(captures.unlabelled, homes) if train_on != "public" else ()
        name, doubts = f"{name} and private captures", doubts + _private_doubt(len(captures.skipped))
    elif train_on != "both":
        raise ValueError(f"--train-on: {train_on} needs captures; name their folder by --private")
    unlabelled = joining(unlabelled, splitting.clips)
    doubts += left_out_doubt(given, len(unlabelled))
    windows = cut_into_windows((*splitting.clips, *unlabelled), WINDOW_SECONDS, HOP_SECONDS)
    return Corpus(
        name=name,
        clips=windows,
        labels=(OTHER, CRY),
        content_hash=content_hash(windows),
        sample_rate_hz=sample_rate_hz,
        split_rule=splitting.rule,
        speaker_disjoint=splitting.speaker_disjoint,
        synthetic=data_dir is None and private is None,
        skipped=(*public.skipped, *splitting.dropped),
        warnings=(*doubts, *splitting.warnings),
    )


def with_captures(splitting: Splitting, captures: Sequence[Clip], train_on: str) -> Splitting:
    """The splits with private captures in them.

    An unknown `train_on`, or a split that is left without a class, is a `ValueError`.
    """
    if train_on not in TRAIN_ON:
        raise ValueError(f"--train-on: {train_on!r} is unknown; use {', '.join(TRAIN_ON)}")
    clips = joined(splitting.clips, captures, train_on)
    rule = f"{splitting.rule}; private captures by time, training on {train_on}"
    return checked(replace(splitting, clips=clips, rule=rule, speaker_disjoint=False), (OTHER, CRY))


@final
@dataclass(frozen=True)
class _Recordings:
    """The readable clips of one folder, labelled or not, with the labels that are cries."""

    clips: tuple[Clip, ...]
    unlabelled: tuple[Clip, ...]
    positives: tuple[str, ...]
    skipped: tuple[tuple[Path, str], ...]
    doubts: tuple[str, ...]


def _read(folder: Path, label: str | None, task: str | None, *, may_lack_labels: bool = False) -> _Recordings:
    recordings, doubts = read_sounds(folder, task)
    told = [recording for recording in recordings if recording.label != LABEL]
    positives = cry_labels(label, told) if told or not may_lack_labels else ()
    clips, skipped = readable_clips(folder, recordings)
    check_readable(skipped, len(recordings))
    labelled = [replace(clip, label=CRY if clip.source_label in positives else OTHER) for clip in clips]
    known, unknown = (tuple(c for c in labelled if (c.source_label == LABEL) is untold) for untold in (False, True))
    return _Recordings(known, unknown, positives, skipped, (*task_doubts(recordings), *doubts))


def _private_doubt(skipped: int) -> tuple[str, ...]:
    # Without their names, as all that reaches run.json.
    return (f"--private: {skipped} files cannot be read and are left out",) if skipped else ()


def cry_labels(label: str | None, recordings: Sequence[Recording]) -> tuple[str, ...]:
    """`label`, or the labels named like a cry; a `ValueError` lists the labels where there is none, or no other."""
    labels = sorted({recording.label for recording in recordings})
    positives = tuple(name for name in labels if (_is_cry(name) if label is None else name == label))
    if not positives:
        wanted = "no label is named like a cry" if label is None else f"the data hold no clip of {label!r}"
        raise ValueError(f"--word: {wanted}; name one of {', '.join(labels)}")
    if len(positives) == len(labels):
        raise ValueError(f"--data: nothing but {', '.join(positives)}; recordings of other sounds are needed as well")
    return positives


def _is_cry(label: str) -> bool:
    words = set(re.split(r"[^a-z]+", label.lower()))
    return bool(words & _CRIES) and not words & _NEGATIONS


def _split(clips: Sequence[Clip], mode: SplitMode, seed: int) -> Splitting:
    placed, rule = _around(clips, seed)
    splitting = split_clips(placed, mode, seed, required=(OTHER, CRY))
    return replace(splitting, rule=rule) if rule and splitting.rule == "given" else splitting


def _around(clips: Sequence[Clip], seed: int) -> tuple[Sequence[Clip], str]:
    """With numbered folds, test on the first and validate on the second, or with another seed on later ones."""
    names = {clip.split for clip in clips}
    folds = sorted((name for name in names if re.fullmatch(r"fold\d+", name)), key=lambda name: int(name[4:]))
    if len(folds) < max(3, len(names)):
        return clips, ""
    test, validation = folds[seed % len(folds)], folds[(seed + 1) % len(folds)]
    split = {**dict.fromkeys(folds, "train"), validation: "validation", test: "test"}
    rule = f"given: {test} for test, {validation} for validation"
    return tuple(replace(clip, split=split[clip.split]) for clip in clips), rule
