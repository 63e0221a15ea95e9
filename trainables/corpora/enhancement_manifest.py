"""Adapter of manifests that list speech and what it is heard in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trainables.corpora.corpus import Recording
from trainables.corpora.enhancement_sources import NoiseFile, Sources, SpeechFile, pair_key, partners
from trainables.corpora.manifest import MANIFEST, RowReader, columns_of, read_manifest, table_rows

_ROLES = ("clean", "noisy", "noise")


def read_listed(folder: Path, task: str | None = None) -> Sources:
    """What `folder/manifest.csv` lists, in one of two forms.

    A row for each mixture: columns `clean` and `noisy` or `noise`, optional `kind`, `snr` (in decibels, of rows with
    `noise`), `speaker` and `split`. Or a row for each file, `path,label,task` and so on as `read_manifest` reads them:
    the tasks `<task>_clean` and `<task>_noisy` are paired by their file names, `<task>_noise` is noise to be mixed in;
    the label of what is not clean is its kind of noise. What breaks a rule is a `ValueError` that names file, row,
    field, rule and value.
    """
    if "clean" in columns_of(folder / MANIFEST):
        return _mixtures(folder, task)
    recordings = read_manifest(folder)
    task = task or _only_task(folder, recordings)
    clean, noisy, noise = (_of_task(recordings, f"{task}_{role}") for role in _ROLES)
    if not clean or not (noisy or noise):
        tasks = ", ".join(sorted({recording.task for recording in recordings} - {""})) or "none"
        raise ValueError(
            f"--task: {folder / MANIFEST} must hold the tasks {task}_clean and {task}_noisy or {task}_noise; "
            f"there are {tasks}"
        )
    return _pairs(folder, clean, noisy) if noisy else _apart(clean, noise)


def _only_task(folder: Path, recordings: tuple[Recording, ...]) -> str:
    tasks = sorted({r.task.removesuffix("_clean") for r in recordings if r.task.endswith("_clean")})
    if len(tasks) != 1:
        said = f"one of {', '.join(tasks)}" if tasks else "but no task there ends in _clean"
        raise ValueError(f"--task: name the task of {folder / MANIFEST}: {said}")
    return tasks[0]


def _of_task(recordings: tuple[Recording, ...], task: str) -> tuple[Recording, ...]:
    return tuple(recording for recording in recordings if recording.task == task)


def _pairs(folder: Path, clean: tuple[Recording, ...], noisy: tuple[Recording, ...]) -> Sources:
    by_key = [{_key(folder, recording.path): recording for recording in side} for side in (clean, noisy)]
    found, lonely = partners(*({key: r.path for key, r in side.items()} for side in by_key))
    facts = {recording.path: recording for recording in (*clean, *noisy)}
    speech = []
    for path, partner in found:
        one = facts[path]
        noise = NoiseFile(partner, facts[partner].label, one.split, beneath=path)
        speech.append(SpeechFile(path, one.speaker, one.split, noise))
    return Sources(tuple(speech), tuple(one.noise for one in speech if one.noise), skipped=tuple(lonely))


def _key(folder: Path, path: Path) -> str:
    """The path without the folders that tell clean from noisy."""
    parts = [part for part in path.relative_to(folder).parts if part not in _ROLES]
    return pair_key(Path(*parts))


def _apart(clean: tuple[Recording, ...], noise: tuple[Recording, ...]) -> Sources:
    return Sources(
        speech=tuple(SpeechFile(one.path, one.speaker, one.split) for one in clean),
        noises=tuple(NoiseFile(one.path, one.label, one.split) for one in noise),
    )


def _mixtures(folder: Path, task: str | None) -> Sources:
    rows = table_rows(folder / MANIFEST, ("clean",))
    if task is not None:
        if "task" not in rows[0][1]:
            raise ValueError(f"--task: {folder / MANIFEST} has no column 'task'; leave --task out")
        rows = [(number, row) for number, row in rows if row["task"] == task]
    reader = RowReader(folder)
    speech = tuple(_mixture(reader, number, row) for number, row in rows)
    if not speech:
        raise ValueError(f"--task: {folder / MANIFEST} holds no row of task {task!r}")
    # Where rows disagree about the split of a noise, the first is believed.
    noises = {one.noise.path: one.noise for one in reversed(speech) if one.noise}
    return Sources(speech, tuple(noises.values()))


def _mixture(reader: RowReader, number: int, row: Mapping[str, str]) -> SpeechFile:
    clean = reader.path(number, "clean", row["clean"])
    given = [role for role in ("noisy", "noise") if row.get(role)]
    if len(given) != 1:
        raise reader.error(number, "noisy, noise", "one of both must name a file", ", ".join(given))
    path = reader.path(number, given[0], row[given[0]])
    split = reader.split(number, row.get("split", ""))
    noise = NoiseFile(path, row.get("kind", ""), split, clean if given == ["noisy"] else None)
    snr_db = _snr_db(reader, number, row.get("snr", "")) if given == ["noise"] else None
    return SpeechFile(clean, row.get("speaker", ""), split, noise, snr_db)


def _snr_db(reader: RowReader, number: int, value: str) -> float | None:
    try:
        snr_db = float(value) if value else None
    except ValueError:
        snr_db = float("nan")
    if snr_db is not None and not -100 < snr_db < 100:
        raise reader.error(number, "snr", "must be decibels between -100 and 100", value)
    return snr_db
