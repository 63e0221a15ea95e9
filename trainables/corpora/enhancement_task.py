"""The speech-enhancement task on any corpus: noisy clips and the clean speech in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np

from trainables.corpora import espeak_in_noise
from trainables.corpora.corpus import SPLITS, Clip, Corpus, content_hash
from trainables.corpora.enhancement_manifest import read_listed
from trainables.corpora.enhancement_sources import Sources, read_sources
from trainables.corpora.enhancement_splits import SPEECH, Noise, Parted, part
from trainables.corpora.manifest import MANIFEST
from trainables.corpora.mixtures import (
    RATE_HZ,
    Mixing,
    Mixture,
    Mixtures,
    fill_mixtures,
    measured_powers,
    mixtures_key,
    random_of,
    scaled_down,
)
from trainables.corpora.windows import cut_into_windows

if TYPE_CHECKING:
    from trainables.corpora.splits import SplitMode

# A window this far below the loudest of its recording is a pause.
_PAUSE_DB = -40.0
# A pair whose noise lies further from its speech than this has none to speak of.
_MOST_SNR_DB = 60.0


def open_enhancement(
    data: Path | None,
    task: str | None = None,
    split: SplitMode = "speaker",
    seed: int = 0,
    mixing: Mixing | None = None,
) -> Mixtures:
    """Mixtures of speech and noise at 16 kHz, split by speaker and by recording of noise, their samples in the cache.

    Without `data`, the corpus of `espeak_in_noise`, whose own splits are kept. A manifest.csv wins over the names of
    folders, see `enhancement_manifest` and `enhancement_sources`. Recordings are cut into clips of one length, and
    short ones padded with zeros. Speech that the data give in a noise is heard in it, first as given in training and
    at the SNRs of the test in validation and test. What the user must mend is a `ValueError`: a folder or manifest that
    is not there or of no known layout, over 5 % that cannot be mixed, no possible split.
    """
    mixing = mixing or Mixing()
    folder = espeak_in_noise.synthesised_folder(seed, mixing.clip_seconds) if data is None else data.resolve()
    parted = part(folder, _read(folder, task), "given" if data is None else split, seed)
    clips, warnings = _clips(parted, mixing, seed)
    facts = tuple(_plan(parted, clips, mixing, seed))
    key = mixtures_key(facts, parted.room_hashes, mixing.samples)
    fill_mixtures(key, facts, parted.rooms, mixing.samples)
    rows = tuple(_row(fact) for fact in facts)
    scaled = scaled_down(key)
    warnings += (f"{scaled} of {len(facts)} mixtures are scaled down so as not to be clipped",) if scaled else ()
    corpus = Corpus(
        name="espeak-ng in noise" if data is None else folder.name,
        clips=rows,
        labels=tuple(sorted({row.label for row in rows})),
        content_hash=content_hash(rows),
        sample_rate_hz=RATE_HZ,
        split_rule=parted.rule,
        speaker_disjoint=parted.speaker_disjoint,
        synthetic=data is None,
        skipped=parted.skipped,
        warnings=(*parted.warnings, *warnings),
    )
    return Mixtures(corpus, facts, key)


def _read(folder: Path, task: str | None) -> Sources:
    if not folder.is_dir():
        raise ValueError(f"--data: {folder} is {'no folder' if folder.exists() else 'not there'}")
    if (folder / MANIFEST).is_file():
        return read_listed(folder, task)
    if task is not None:
        raise ValueError(f"--task: {folder} has no {MANIFEST} to pick a task from; leave --task out")
    return read_sources(folder)


def _clips(parted: Parted, mixing: Mixing, seed: int) -> tuple[tuple[Clip, ...], tuple[str, ...]]:
    """Clips of clean speech of one length, without pauses, and what was left out to keep within the bounds."""
    windows = cut_into_windows(parted.speech, mixing.clip_seconds, mixing.clip_seconds)
    most = dict.fromkeys(SPLITS, mixing.most_held_out) | {"train": mixing.most_mixtures // mixing.views}
    kept: list[Clip] = []
    warnings: list[str] = []
    for number, split in enumerate(SPLITS):
        found = [window for window in windows if window.split == split]
        chosen = np.sort(np.random.default_rng([seed, 23, number]).permutation(len(found))[: most[split]])
        if len(chosen) < len(found):
            warnings.append(f"{split}: {len(chosen)} of {len(found)} clips of speech are used, drawn by the seed")
        kept += [found[at] for at in chosen]
    spoken = _without_pauses(kept, mixing)
    if len(spoken) < len(kept):
        warnings.append(f"{len(kept) - len(spoken)} of {len(kept)} clips of speech are pauses and are left out")
    return spoken, tuple(warnings)


def _without_pauses(clips: Sequence[Clip], mixing: Mixing) -> tuple[Clip, ...]:
    powers = measured_powers(clips, [None] * len(clips), mixing.samples)
    loudest: dict[Path, float] = {}
    for clip, power in zip(clips, powers, strict=True):
        loudest[clip.path] = max(loudest.get(clip.path, 0.0), power)
    floor = 10 ** (_PAUSE_DB / 10)
    return tuple(c for c, power in zip(clips, powers, strict=True) if power > floor * loudest[c.path])


@final
@dataclass(frozen=True)
class _Choice:
    """What mixtures are drawn from."""

    noises: dict[str, tuple[Noise, ...]]
    train_kinds: frozenset[str]
    rooms: int
    mixing: Mixing
    seed: int


def _plan(parted: Parted, clips: Sequence[Clip], mixing: Mixing, seed: int) -> Iterator[Mixture]:
    noises = {split: tuple(noise for noise in parted.noises if noise.split == split) for split in SPLITS}
    choice = _Choice(noises, frozenset(n.kind for n in noises["train"]), len(parted.rooms), mixing, seed)
    given = _given_snrs(parted, clips, mixing)
    for number, clip in enumerate(clips):
        own = [(noise, given[clip.audio_hash, noise.audio_hash]) for noise, _ in parted.own.get(clip.path, ())]
        yield from (
            _training(choice, number, clip, own)
            if clip.split == "train"
            else _held_out(choice, number, clip, [noise for noise, _ in own])
        )


def _given_snrs(parted: Parted, clips: Sequence[Clip], mixing: Mixing) -> dict[tuple[str, str], float | None]:
    """SNR of every clip in the noise it came in, by their audio: as stated, as measured, or None."""
    stated = [(clip, noise, snr) for clip in clips for noise, snr in parted.own.get(clip.path, ())]
    pairs = [(clip, noise) for clip, noise, _ in stated if noise.file.beneath is not None]
    found = {(clip.audio_hash, noise.audio_hash): snr for clip, noise, snr in stated}
    if not pairs:
        return found
    clean = measured_powers([clip for clip, _ in pairs], [None] * len(pairs), mixing.samples)
    noisy = measured_powers([clip for clip, _ in pairs], [noise for _, noise in pairs], mixing.samples)
    for (clip, noise), ours, theirs in zip(pairs, clean, noisy, strict=True):
        snr_db = 10 * np.log10(ours / max(theirs, 1e-20))
        found[clip.audio_hash, noise.audio_hash] = float(snr_db) if abs(snr_db) < _MOST_SNR_DB else None
    return found


def _training(choice: _Choice, number: int, clip: Clip, own: Sequence[tuple[Noise, float | None]]) -> Iterator[Mixture]:
    for view in range(choice.mixing.views):
        drawn = _drawn(choice, number, clip, view)
        if view < len(own):
            noise, snr_db = own[view]
            kept = replace(drawn, noise=noise, noise_place=_place_of(noise, drawn))
            drawn = kept if snr_db is None else replace(kept, snr_db=snr_db, room=None)
        yield drawn


def _held_out(choice: _Choice, number: int, clip: Clip, own: Sequence[Noise]) -> Iterator[Mixture]:
    drawn = _drawn(choice, number, clip, 0)
    noises = own or [drawn.noise]
    for at, noise in enumerate(noises):
        for step, snr_db in enumerate(choice.mixing.test_snrs_db):
            yield replace(
                drawn,
                view=at * len(choice.mixing.test_snrs_db) + step,
                noise=noise,
                noise_place=_place_of(noise, drawn),
                snr_db=snr_db,
                level_dbfs=choice.mixing.test_level_dbfs,
                room=None,
                unseen=noise.kind not in choice.train_kinds,
            )


def _place_of(noise: Noise, drawn: Mixture) -> float | None:
    """Beside the speech for the noise of a pair; drawn for a recording of its own."""
    beside = noise.file.beneath is not None and noise.file.beneath == drawn.speech.path
    return None if beside else drawn.noise_place


def _drawn(choice: _Choice, number: int, clip: Clip, view: int) -> Mixture:
    random, mixing = random_of(choice.seed, view, clip), choice.mixing
    among = choice.noises[clip.split]
    noise = among[int(random.integers(len(among)))]
    snr_db, level = random.uniform(*mixing.train_snr_db), random.uniform(*mixing.train_level_dbfs)
    place, in_room, room = random.random(), random.random() < mixing.room_share, random.random()
    return Mixture(
        speech=clip,
        clip=number,
        view=view,
        noise=noise,
        snr_db=float(snr_db),
        level_dbfs=float(level),
        noise_place=float(place),
        room=int(room * choice.rooms) if choice.rooms and in_room else None,
        unseen=noise.kind not in choice.train_kinds,
    )


def _row(fact: Mixture) -> Clip:
    """A mixture as a clip of the corpus."""
    name = f"{fact.speech.audio_hash}+{fact.noise.audio_hash}@{fact.snr_db:.4f}/{fact.view}"
    return replace(fact.speech, label=fact.noise.kind, source_label=SPEECH, audio_hash=name)
