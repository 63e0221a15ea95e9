"""The speech-emotion task on any corpus: which emotion a clip is spoken in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from trainables.corpora import espeak_emotions
from trainables.corpora.audio import audio_files
from trainables.corpora.corpus import Clip, Corpus, Recording, content_hash
from trainables.corpora.emotion_names import EMOTIONS, UnknownEmotionError, emotion_of, recording_of
from trainables.corpora.folders import read_class_folders, read_folder
from trainables.corpora.manifest import MANIFEST
from trainables.corpora.splits import Splitting, split_clips
from trainables.corpora.wakeword_task import check_readable, readable_clips, skipped_doubt, task_doubts
from trainables.corpora.word_splits import split_by_word, split_two_speakers

EmotionSplit = Literal["speaker", "word", "random", "given"]
MODES: tuple[EmotionSplit, ...] = ("speaker", "word", "random", "given")


def open_emotions(
    data_dir: Path | None, task: str | None = None, split: str = "speaker", seed: int = 0, sample_rate_hz: int = 16_000
) -> Corpus:
    """Clips labelled with their emotion, split; nothing is decoded to memory yet.

    Without `data_dir`, the corpus synthesised by `espeak_emotions`, whose own splits `speaker` keeps. A manifest.csv
    wins over file names, and names that `emotion_names` knows over a folder per class. What the user must mend is a
    `ValueError`: a folder, manifest or task that is not there, a single class, over 5 % unreadable files, no possible
    split.
    """
    if split not in MODES:
        raise ValueError(f"--split: {split!r} is unknown; use {', '.join(MODES)}")
    folder = espeak_emotions.synthesised_folder(seed) if data_dir is None else data_dir.resolve()
    recordings, doubts = read_emotions(folder, task)
    _check_classes(folder, recordings)
    clips, skipped = readable_clips(folder, recordings)
    check_readable(skipped, len(recordings))
    labels = in_order({clip.label for clip in clips})
    splitting = split_emotions(clips, split, seed, labels)
    return Corpus(
        name="espeak-ng emotions" if data_dir is None else folder.name,
        clips=splitting.clips,
        labels=labels,
        content_hash=content_hash(splitting.clips),
        sample_rate_hz=sample_rate_hz,
        split_rule=splitting.rule,
        speaker_disjoint=splitting.speaker_disjoint,
        synthetic=data_dir is None,
        skipped=(*skipped, *splitting.dropped),
        warnings=(*task_doubts(recordings), *doubts, *skipped_doubt(skipped), *splitting.warnings),
    )


def read_emotions(folder: Path, task: str | None = None) -> tuple[tuple[Recording, ...], tuple[str, ...]]:
    """The recordings of a folder with their emotions as labels, and doubts about it as sentences."""
    if not folder.is_dir() or (folder / MANIFEST).is_file() or task is not None:
        return read_folder(folder, task), ()
    named = [(path, recording_of(path)) for path in audio_files(folder.rglob("*"))]
    if not any(recording for _, recording in named):
        return tuple(replace(r, label=_spelled(r.label)) for r in read_class_folders(folder)), ()
    # Archives of TESS hold a second copy of every file in a folder within the folder.
    known = {path.name: recording for path, recording in reversed(named) if recording}
    recordings = tuple(sorted(known.values(), key=lambda recording: recording.path.as_posix()))
    return recordings, _unnamed_doubt([path for path, recording in named if not recording])


def in_order(labels: set[str]) -> tuple[str, ...]:
    """Classes in the order of `EMOTIONS`, others after them by name."""
    return tuple(sorted(labels, key=lambda label: (EMOTIONS.index(label) if label in EMOTIONS else 99, label)))


def split_emotions(clips: Sequence[Clip], mode: EmotionSplit, seed: int, labels: Sequence[str]) -> Splitting:
    """As `split_clips`, and by what is said; two speakers are parted into train and test, as TESS's need to be."""
    if mode == "word":
        return split_by_word(clips, seed, labels)
    speakers = {clip.speaker for clip in clips}
    if mode == "speaker" and not any(clip.split for clip in clips) and len(speakers) == 2 and "" not in speakers:
        return split_two_speakers(clips, seed, labels)
    return split_clips(clips, mode, seed, labels)


def _spelled(label: str) -> str:
    try:
        return emotion_of(label)
    except UnknownEmotionError:
        return label


def _unnamed_doubt(paths: Sequence[Path]) -> tuple[str, ...]:
    if not paths:
        return ()
    return (f"{len(paths)} files name no emotion and are left out, such as {paths[0].name}",)


def _check_classes(folder: Path, recordings: Sequence[Recording]) -> None:
    labels = sorted({recording.label for recording in recordings})
    if len(labels) < 2:
        raise ValueError(f"--data: {folder} holds one class only, {labels[0]!r}; two or more are needed")
