"""Adapters of collections of speech and noise: DNS-Challenge folders, VoiceBank-DEMAND and other folders of pairs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from trainables.corpora.audio import SUFFIXES, audio_files

LAYOUTS = "manifest.csv; clean*/ with noisy*/ of the same file names; clean*/ with noise*/"

_SPEAKER = re.compile(r"(?:^|_)(reader_\d+|p\d{3})(?=_)")
_FILE_ID = re.compile(r"fileid_\d+")
_SPLITS = {"train": "train", "val": "validation", "validation": "validation", "dev": "validation", "test": "test"}
_NAMED_SPLITS = {"train": "train", "valid": "validation", "test": "test"}
_ROOM_FOLDERS = ("impulse_responses*", "rir*", "RIR*")
# Folders with fewer members than this are taken for collections, not for speakers.
_FEWEST_SPEAKERS = 3


@final
@dataclass(frozen=True)
class NoiseFile:
    """One recording of noise; with `beneath`, clean speech, it is what is left of `path` without that speech."""

    path: Path
    kind: str = ""
    split: str = ""
    beneath: Path | None = None


@final
@dataclass(frozen=True)
class SpeechFile:
    """One recording of clean speech, with the noise that it came in, if any, and that mixture's SNR where it is given.

    Of a pair, clean and noisy, the SNR is measured.
    """

    path: Path
    speaker: str = ""
    split: str = ""
    noise: NoiseFile | None = None
    snr_db: float | None = None


@final
@dataclass(frozen=True)
class Sources:
    """What a collection holds; `skipped` pairs files that have no partner with the reason."""

    speech: tuple[SpeechFile, ...]
    noises: tuple[NoiseFile, ...]
    rooms: tuple[Path, ...] = ()
    skipped: tuple[tuple[Path, str], ...] = ()


def read_sources(folder: Path) -> Sources:
    """Speech and noise of a folder by the names in it; a folder of no known layout is a `ValueError`.

    Pairs win over separate noise. `train`, `validation` and `test` as folders, or in the names of folders of pairs, are
    splits. Speakers are `reader_<n>` and `p<nnn>` in file names, as in DNS-Challenge and VoiceBank, else folders.
    """
    pairs = _pair_folders(folder)
    if pairs:
        return _paired(folder, pairs)
    for root in (folder, folder / "datasets", folder / "datasets_fullband"):
        clean, noise = _first(root, "clean*"), _first(root, "noise*")
        if clean and noise:
            return _separate(root, clean, noise)
    raise ValueError(f"--data: {folder} holds none of these: {LAYOUTS}")


def _first(folder: Path, pattern: str) -> Path | None:
    return next((path for path in sorted(folder.glob(pattern)) if path.is_dir()), None)


def _pair_folders(folder: Path) -> list[tuple[Path, Path]]:
    clean = sorted(path for path in (*folder.glob("clean*"), *folder.glob("*/clean*")) if path.is_dir())
    partners = [(path, path.with_name(path.name.replace("clean", "noisy", 1))) for path in clean]
    return [pair for pair in partners if pair[1].is_dir()]


def _paired(folder: Path, pairs: Sequence[tuple[Path, Path]]) -> Sources:
    kinds = _logged_kinds(folder)
    speech: list[SpeechFile] = []
    skipped: list[tuple[Path, str]] = []
    for clean, noisy in pairs:
        split = _split_in_name(clean.relative_to(folder).as_posix())
        found, lonely = partners(_by_key(clean), _by_key(noisy))
        skipped += lonely
        for path, partner in found:
            noise = NoiseFile(partner, kinds.get(path.stem, ""), split, beneath=path)
            speech.append(SpeechFile(path, _speaker(path.stem), split, noise))
    if not speech:
        raise ValueError(f"--data: no file of {pairs[0][0]} has a namesake in {pairs[0][1]}; {len(skipped)} files seen")
    return Sources(tuple(speech), tuple(one.noise for one in speech if one.noise), skipped=tuple(skipped))


def partners(
    clean: Mapping[str, Path], noisy: Mapping[str, Path]
) -> tuple[list[tuple[Path, Path]], list[tuple[Path, str]]]:
    """Clean and noisy files of the same key, and those without a partner with the reason."""
    both = [(clean[key], noisy[key]) for key in sorted(clean.keys() & noisy.keys())]
    lonely = [(clean[key], "has no noisy partner") for key in sorted(clean.keys() - noisy.keys())]
    lonely += [(noisy[key], "has no clean partner") for key in sorted(noisy.keys() - clean.keys())]
    return both, lonely


def pair_key(path: Path) -> str:
    """What a clean and a noisy file of one pair have in common: `fileid_<n>` as DNS-Challenge writes, or their path."""
    numbered = _FILE_ID.search(path.stem)
    return numbered[0] if numbered else path.with_suffix("").as_posix()


def _by_key(folder: Path) -> dict[str, Path]:
    return {pair_key(path.relative_to(folder)): path for path in files_under(folder)}


def files_under(folder: Path) -> tuple[Path, ...]:
    """The recordings under a folder, ascending."""
    return tuple(audio_files(folder.rglob("*")))


def _logged_kinds(folder: Path) -> dict[str, str]:
    """Kinds of noise by file name, from VoiceBank-DEMAND's log_*.txt: `p232_001 bus 17.5`."""
    lines = [line.split() for path in sorted(folder.glob("log_*.txt")) for line in path.read_text("utf-8").splitlines()]
    return {words[0]: words[1] for words in lines if len(words) >= 2}


def _split_in_name(name: str) -> str:
    return next((split for part, split in _NAMED_SPLITS.items() if part in name.lower()), "")


def _speaker(stem: str) -> str:
    named = _SPEAKER.search(stem)
    return named[1] if named else ""


def _separate(root: Path, clean: Path, noise: Path) -> Sources:
    rooms = (path for pattern in _ROOM_FOLDERS for path in root.glob(pattern) if path.is_dir())
    sources = Sources(
        speech=tuple(_speech_files(clean)),
        noises=tuple(_noise_files(noise)),
        rooms=tuple(path for folder in sorted(rooms) for path in files_under(folder)),
    )
    for folder, found in ((clean, sources.speech), (noise, sources.noises)):
        if not found:
            raise ValueError(f"--data: {folder} holds no {' or '.join(SUFFIXES)}")
    return sources


def _speech_files(folder: Path) -> Iterable[SpeechFile]:
    placed = [(path, *_placed(folder, path)) for path in files_under(folder)]
    telling = len({(split, name) for _, split, name in placed}) >= _FEWEST_SPEAKERS
    for path, split, name in placed:
        yield SpeechFile(path, _speaker(path.stem) or (name if telling else ""), split)


def _noise_files(folder: Path) -> Iterable[NoiseFile]:
    for path in files_under(folder):
        split, name = _placed(folder, path)
        yield NoiseFile(path, name, split)


def _placed(folder: Path, path: Path) -> tuple[str, str]:
    """The split that a file's folders name, and the name of the folder that it lies in, if they name more."""
    parts = path.relative_to(folder).parts[:-1]
    split = _SPLITS.get(parts[0], "") if parts else ""
    rest = parts[1:] if split else parts
    return split, rest[-1] if rest else ""
