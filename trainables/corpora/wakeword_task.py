"""The wake-word task on any corpus: one word against everything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trainables.corpora import espeak
from trainables.corpora.audio import AudioFile, inspect_audio
from trainables.corpora.corpus import Clip, Corpus, Recording, content_hash
from trainables.corpora.folders import read_folder
from trainables.corpora.splits import SplitMode, split_clips

OTHER = "_other_"
MAX_UNREADABLE = 0.05


def open_corpus(
    data_dir: Path | None,
    word: str | None = None,
    task: str | None = None,
    split: SplitMode = "speaker",
    seed: int = 0,
    sample_rate_hz: int = 16_000,
) -> Corpus:
    """Clips of `word` (class 1) and of everything else (class 0), split; nothing is decoded to memory yet.

    Without `data_dir`, the corpus synthesised by `espeak`, with its default word unless one is named. `seed` draws the
    splits, or the synthesised audio, whose own splits are kept whatever `split` says. What the user must mend is a
    `ValueError`: a folder, manifest, word or task that is not there, over 5 % unreadable files, no possible split.
    """
    if data_dir is None:
        word = word or espeak.DEFAULT_WORD
        folder = espeak.synthesised_folder(word, seed)
        synthetic = _split_corpus(folder, read_folder(folder, task), word, "given", seed, sample_rate_hz)
        return replace(synthetic, name=f"espeak-ng {word}", synthetic=True)
    # A worker runs in another folder than the user.
    data_dir = data_dir.resolve()
    recordings = read_folder(data_dir, task)
    word = checked_word(word, recordings)
    return _split_corpus(data_dir, recordings, word, split, seed, sample_rate_hz)


def readable_clips(
    folder: Path, recordings: Sequence[Recording]
) -> tuple[tuple[Clip, ...], tuple[tuple[Path, str], ...]]:
    """Clips labelled as the data in `folder` say, and the files that cannot be read with the reason."""
    paths = [recording.path for recording in recordings]
    files = inspect_audio(folder, paths)
    clips = tuple(_clip(r, files[r.path]) for r in recordings if not files[r.path].problem)
    return clips, tuple((path, files[path].problem) for path in paths if files[path].problem)


def check_readable(skipped: Sequence[tuple[Path, str]], total: int) -> None:
    """Raise a `ValueError` that lists unreadable files where they are more than 5 %."""
    if len(skipped) > MAX_UNREADABLE * total:
        listed = "; ".join(f"{path} {problem}" for path, problem in skipped[:5])
        raise ValueError(
            f"--data: {len(skipped)} of {total} files cannot be read, more than {MAX_UNREADABLE:.0%}: {listed}"
            f"{'; ...' if len(skipped) > 5 else ''}"
        )


def as_wakeword(clips: Sequence[Clip], word: str) -> tuple[Clip, ...]:
    """The clips with their labels reduced to `word` and `OTHER`."""
    return tuple(replace(clip, label=word if clip.source_label == word else OTHER) for clip in clips)


def checked_word(word: str | None, recordings: Sequence[Recording]) -> str:
    """The word, if the recordings hold it among others; else a `ValueError` that lists the words there are."""
    labels = sorted({recording.label for recording in recordings})
    listed = ", ".join(label for label in labels if not label.startswith("_")) or "none"
    if word is None:
        raise ValueError(f"--word: name the wake word; the data hold {listed}")
    if word not in labels:
        raise ValueError(f"--word: the data hold no clip of {word!r}; there are {listed}")
    if labels == [word]:
        raise ValueError(f"--word: the data hold nothing but {word!r}; clips of other sounds are needed as well")
    return word


def _clip(recording: Recording, file: AudioFile) -> Clip:
    return Clip(
        path=recording.path,
        label=recording.label,
        source_label=recording.label,
        speaker=recording.speaker,
        group=recording.group,
        split=recording.split,
        audio_hash=file.audio_hash,
        seconds=file.seconds,
        sample_rate_hz=file.sample_rate_hz,
        silent=file.silent,
        text=recording.text,
        values=recording.values,
    )


def _split_corpus(
    folder: Path, recordings: Sequence[Recording], word: str, mode: SplitMode, seed: int, sample_rate_hz: int
) -> Corpus:
    clips, skipped = readable_clips(folder, recordings)
    check_readable(skipped, len(recordings))
    splitting = split_clips(as_wakeword(clips, word), mode, seed, required=(OTHER, word))
    return Corpus(
        name=f"{folder.resolve().name} {word}",
        clips=splitting.clips,
        labels=(OTHER, word),
        content_hash=content_hash(splitting.clips),
        sample_rate_hz=sample_rate_hz,
        split_rule=splitting.rule,
        speaker_disjoint=splitting.speaker_disjoint,
        skipped=(*skipped, *splitting.dropped),
        warnings=(*task_doubts(recordings), *skipped_doubt(skipped), *splitting.warnings),
    )


def skipped_doubt(skipped: Sequence[tuple[Path, str]]) -> tuple[str, ...]:
    """A warning where files cannot be read."""
    return (
        (f"{len(skipped)} files cannot be read and are left out, such as {skipped[0][0]}: {skipped[0][1]}",)
        if skipped
        else ()
    )


def task_doubts(recordings: Sequence[Recording]) -> tuple[str, ...]:
    """A warning where recordings of several tasks are mixed."""
    tasks = sorted({recording.task for recording in recordings})
    return (f"the manifest mixes the tasks {', '.join(tasks)}; --task picks one",) if len(tasks) > 1 else ()
