"""Speech and noise that can be mixed, split so that no speaker and no recording of noise is in two splits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np

from trainables.corpora.audio import AudioFile, inspect_audio
from trainables.corpora.corpus import SPLITS, Clip
from trainables.corpora.enhancement_sources import NoiseFile, Sources, SpeechFile
from trainables.corpora.splits import SplitMode, Splitting, split_clips

SPEECH = "speech"
MAX_UNUSABLE = 0.05

# Of fewer kinds none is kept for test alone: training would hear too few.
_FEWEST_KINDS = 4
_TEST_ONLY_SHARE = 0.25


@final
@dataclass(frozen=True)
class Noise:
    """A recording of noise in its split; `audio_hash` covers what is taken away from it as well."""

    file: NoiseFile
    split: str
    audio_hash: str

    @property
    def kind(self) -> str:
        """What the noise is, or "unknown"."""
        return self.file.kind or "unknown"


@final
@dataclass(frozen=True)
class Parted:
    """Clips of clean speech and recordings of noise, each in its split.

    `own` holds what the data mix a clean file with, by its path: the noise, and the SNR in decibels, or None where it
    is to be measured or drawn.
    """

    speech: tuple[Clip, ...]
    noises: tuple[Noise, ...]
    own: Mapping[Path, tuple[tuple[Noise, float | None], ...]]
    rooms: tuple[Path, ...]
    room_hashes: tuple[str, ...]
    rule: str
    speaker_disjoint: bool
    skipped: tuple[tuple[Path, str], ...]
    warnings: tuple[str, ...]


def part(folder: Path, sources: Sources, mode: SplitMode, seed: int) -> Parted:
    """Leave out what cannot be mixed, and split the rest; over 5 % left out, or an empty split, is a `ValueError`.

    Noise of a pair follows its speech. Of four or more kinds of noise whose recordings have no given splits, a quarter
    is kept for test alone.
    """
    files = _inspected(folder, sources)
    usable, skipped = _usable(sources, files)
    speech = split_clips([_clip(one, files[one.path]) for one in usable.speech], mode, seed, required=(SPEECH,))
    home = {clip.path: clip.split for clip in speech.clips}
    noises, free = _noises(usable, files, home, mode, seed)
    own, moved = _own(usable.speech, noises, home)
    faulty = tuple((path, _fault(files[path])) for path in usable.rooms if _fault(files[path]))
    rooms = [path for path in usable.rooms if not _fault(files[path])]
    return Parted(
        speech=tuple({clip.path: clip for clip in speech.clips}.values()),
        noises=tuple(noises.values()),
        own=own,
        rooms=tuple(rooms),
        room_hashes=tuple(files[path].audio_hash for path in rooms),
        rule=speech.rule,
        speaker_disjoint=speech.speaker_disjoint,
        skipped=(*sources.skipped, *skipped, *faulty, *speech.dropped, *free.dropped),
        warnings=(
            *_left_out([*sources.skipped, *skipped, *faulty]),
            *speech.warnings,
            *free.warnings,
            *_doubts(noises.values(), speech.rule),
            *moved,
            *_slow(usable, files),
        ),
    )


def _inspected(folder: Path, sources: Sources) -> dict[Path, AudioFile]:
    paths = {one.path for one in sources.speech} | {one.path for one in sources.noises} | set(sources.rooms)
    return inspect_audio(folder, sorted(paths))


def _usable(sources: Sources, files: Mapping[Path, AudioFile]) -> tuple[Sources, tuple[tuple[Path, str], ...]]:
    doubted = [(one, _doubt(one, files)) for one in sources.speech]
    skipped = [(one.path, why) for one, why in doubted if why]
    owned = {one.noise.path for one in sources.speech if one.noise}
    free = [noise for noise in sources.noises if noise.path not in owned]
    bad = {noise.path: why for noise in free if (why := _fault(files[noise.path]))}
    skipped += bad.items()
    total = len(sources.speech) + len(free) + len(sources.skipped)
    _check_share([*sources.skipped, *skipped], total)
    speech = tuple(one for one, why in doubted if not why)
    kept = {one.noise.path for one in speech if one.noise}
    noises = tuple(n for n in sources.noises if n.path in kept or n.path not in owned | bad.keys())
    return replace(sources, speech=speech, noises=noises), tuple(skipped)


def _doubt(one: SpeechFile, files: Mapping[Path, AudioFile]) -> str:
    """Why a recording of speech, or what it is heard in, cannot be used; empty where it can."""
    clean = files[one.path]
    if _fault(clean) or one.noise is None:
        return _fault(clean)
    other, name = files[one.noise.path], one.noise.path
    if _fault(other):
        return f"comes with {name}, which {_fault(other)}"
    if one.noise.beneath is None:
        return ""
    if other.sample_rate_hz != clean.sample_rate_hz:
        return f"has {clean.sample_rate_hz} Hz, and its noisy partner {name} {other.sample_rate_hz} Hz"
    if other.frames != clean.frames:
        return f"has {clean.frames} samples, and its noisy partner {name} {other.frames}"
    return f"is the same audio as its noisy partner {name}" if other.audio_hash == clean.audio_hash else ""


def _fault(file: AudioFile) -> str:
    return file.problem or ("is silent: it has no level" if file.silent else "")


def _check_share(skipped: Sequence[tuple[Path, str]], total: int) -> None:
    if len(skipped) > MAX_UNUSABLE * total:
        listed = "; ".join(f"{path} {why}" for path, why in skipped[:5])
        more = "; ..." if len(skipped) > 5 else ""
        raise ValueError(
            f"--data: {len(skipped)} of {total} recordings or pairs cannot be mixed, more than {MAX_UNUSABLE:.0%}: "
            f"{listed}{more}"
        )


def _left_out(skipped: Sequence[tuple[Path, str]]) -> tuple[str, ...]:
    if not skipped:
        return ()
    path, why = skipped[0]
    return (f"{len(skipped)} recordings or pairs cannot be used and are left out, such as {path}: {why}",)


def _slow(sources: Sources, files: Mapping[Path, AudioFile]) -> tuple[str, ...]:
    paths = [*(one.path for one in sources.speech), *(one.path for one in sources.noises)]
    slow = [path for path in paths if files[path].sample_rate_hz < 16_000]
    if not slow:
        return ()
    rate = files[slow[0]].sample_rate_hz
    return (f"{len(slow)} recordings have less than 16000 Hz and nothing above, such as {slow[0]}: {rate} Hz",)


def _clip(one: SpeechFile, file: AudioFile) -> Clip:
    return Clip(
        path=one.path,
        label=SPEECH,
        source_label=SPEECH,
        speaker=one.speaker,
        group="",
        split=one.split,
        audio_hash=file.audio_hash,
        seconds=file.seconds,
        sample_rate_hz=file.sample_rate_hz,
    )


def _noises(
    sources: Sources, files: Mapping[Path, AudioFile], home: Mapping[Path, str], mode: SplitMode, seed: int
) -> tuple[dict[Path, Noise], Splitting]:
    """Every usable noise by its path, and how those that follow no speech were split."""
    following = {one.path: one for one in sources.noises if one.beneath in home}
    free = [one for one in sources.noises if one.beneath is None]
    parted = _split_noises(free, files, mode, seed) if free else Splitting((), "", False)
    split = {clip.path: clip.split for clip in parted.clips}
    split |= {path: home[one.beneath] for path, one in following.items() if one.beneath}
    by_path = {one.path: one for one in sources.noises}
    noises = {path: Noise(by_path[path], where, _identity(by_path[path], files)) for path, where in split.items()}
    for name in SPLITS:
        if all(noise.split != name for noise in noises.values()):
            raise ValueError(f"--data: {name} holds no recording of noise; {len(noises)} recordings in all, add some")
    return noises, parted


def _identity(one: NoiseFile, files: Mapping[Path, AudioFile]) -> str:
    beneath = files[one.beneath].audio_hash if one.beneath else ""
    return f"{files[one.path].audio_hash}-{beneath}"


def _split_noises(free: Sequence[NoiseFile], files: Mapping[Path, AudioFile], mode: SplitMode, seed: int) -> Splitting:
    clips = [replace(_clip(SpeechFile(one.path), files[one.path]), label=one.kind, split=one.split) for one in free]
    given = all(clip.split for clip in clips)
    held = frozenset() if given or mode == "random" else _test_only(clips, seed)
    shared = [clip for clip in clips if clip.label not in held]
    parted = split_clips(shared, "random" if mode == "random" else "speaker" if not given else mode, seed)
    alone = tuple(replace(clip, split="test") for clip in clips if clip.label in held)
    # What splits say of speakers does not apply to noise.
    dropped = f"{len(parted.dropped)} recordings of noise are left out: the same audio is in another split"
    return replace(parted, clips=(*parted.clips, *alone), warnings=(dropped,) if parted.dropped else ())


def _test_only(clips: Sequence[Clip], seed: int) -> frozenset[str]:
    kinds = sorted({clip.label for clip in clips if clip.label})
    if len(kinds) < _FEWEST_KINDS:
        return frozenset()
    count = max(1, round(_TEST_ONLY_SHARE * len(kinds)))
    return frozenset(np.random.default_rng([seed, 21]).choice(kinds, count, replace=False).tolist())


def _doubts(noises: Collection[Noise], rule: str) -> tuple[str, ...]:
    """What the noises of the splits leave open, as sentences."""
    kinds = {split: {noise.kind for noise in noises if noise.split == split} for split in SPLITS}
    doubts = []
    if not kinds["test"] - kinds["train"]:
        doubts.append("test has no kind of noise, by its name, that training lacks: unseen kinds are not measured")
    if rule != "given" and any(noise.file.beneath for noise in noises):
        doubts.append("pairs do not name their recordings of noise: splits drawn here may share some of them")
    return tuple(doubts)


def _own(
    speech: Sequence[SpeechFile], noises: Mapping[Path, Noise], home: Mapping[Path, str]
) -> tuple[dict[Path, tuple[tuple[Noise, float | None], ...]], tuple[str, ...]]:
    """What each clean file is heard in by the data, where that is in its split."""
    own: dict[Path, tuple[tuple[Noise, float | None], ...]] = {}
    moved = 0
    for one in speech:
        noise = noises.get(one.noise.path) if one.noise else None
        if noise is not None and noise.split == home.get(one.path):
            own[one.path] = (*own.get(one.path, ()), (noise, one.snr_db))
        else:
            moved += one.noise is not None
    doubt = f"{moved} mixtures name noise that is in another split than their speech; they get other noise"
    return own, (doubt,) if moved else ()
