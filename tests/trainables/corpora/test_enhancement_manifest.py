"""Manifests of mixtures: both forms, and what breaks their rules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trainables.corpora.enhancement_manifest import read_listed
from trainables.corpora.enhancement_sources import NoiseFile, SpeechFile

Record = Callable[..., Path]


@pytest.fixture
def folder(record: Record, tmp_path: Path) -> Path:
    for name in ("c/1", "c/2", "n/1", "x/2"):
        record(f"{name}.wav")
    return tmp_path / "data"


def listed(folder: Path, *rows: str) -> Path:
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_a_row_for_each_mixture(folder: Path) -> None:
    rows = (
        "clean,noisy,noise,kind,snr,speaker,split",
        "c/1.wav,n/1.wav,,bus,3,a,train",
        "c/2.wav,,x/2.wav,,-4.5,b,val",
    )
    sources = read_listed(listed(folder, *rows))
    pair = NoiseFile(folder / "n/1.wav", "bus", "train", beneath=folder / "c/1.wav")
    noise = NoiseFile(folder / "x/2.wav", "", "validation")
    # The SNR of a pair is measured, whatever is said of it.
    assert sources.speech == (
        SpeechFile(folder / "c/1.wav", "a", "train", pair),
        SpeechFile(folder / "c/2.wav", "b", "validation", noise, -4.5),
    )
    assert set(sources.noises) == {pair, noise}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("c/1.wav,,,,", "row 2, field noisy, noise: one of both must name a file, not ''"),
        ("c/1.wav,n/1.wav,x/2.wav,,", "row 2, field noisy, noise: one of both must name a file, not 'noisy, noise'"),
        ("c/1.wav,,x/2.wav,loud,", "row 2, field snr: must be decibels between -100 and 100, not 'loud'"),
        ("c/1.wav,,x/2.wav,inf,", "row 2, field snr: must be decibels between -100 and 100, not 'inf'"),
        ("c/1.wav,,x/9.wav,0,", "row 2, field noise: must be a file in .*data, not 'x/9.wav'"),
        (",,x/2.wav,0,", "row 2, field clean: must not be empty, not ''"),
        ("c/1.wav,n/1.wav,,,later", "row 2, field split: must be train, validation, test or foldN, not 'later'"),
    ],
)
def test_broken_rules_name_row_field_rule_and_value(folder: Path, row: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_listed(listed(folder, "clean,noisy,noise,snr,split", row))


def test_rows_of_a_task(folder: Path) -> None:
    rows = ("task,clean,noisy", "a,c/1.wav,n/1.wav", "b,c/2.wav,x/2.wav")
    assert [one.path.name for one in read_listed(listed(folder, *rows), "b").speech] == ["2.wav"]
    with pytest.raises(ValueError, match=r"--task: .*manifest.csv holds no row of task 'c'"):
        read_listed(folder, "c")
    with pytest.raises(ValueError, match=r"--task: .*manifest.csv has no column 'task'; leave --task out"):
        read_listed(listed(folder, "clean,noisy", "c/1.wav,n/1.wav"), "b")


def test_a_row_for_each_file_pairs_by_task(record: Record, folder: Path) -> None:
    record("e/clean/1.wav")
    record("e/noisy/1.wav")
    rows = (
        "path,label,task,split,speaker",
        "e/clean/1.wav,rain,speech_clean,test,anna",
        "e/noisy/1.wav,rain,speech_noisy,test,anna",
        "c/1.wav,word,wakeword,train,",
    )
    sources = read_listed(listed(folder, *rows))
    noise = NoiseFile(folder / "e/noisy/1.wav", "rain", "test", beneath=folder / "e/clean/1.wav")
    assert sources.speech == (SpeechFile(folder / "e/clean/1.wav", "anna", "test", noise),)
    assert read_listed(folder, "speech") == sources
    with pytest.raises(ValueError, match="must hold the tasks wakeword_clean and wakeword_noisy or wakeword_noise; th"):
        read_listed(folder, "wakeword")


def test_a_row_for_each_file_with_noise_apart(folder: Path) -> None:
    rows = ("path,label,task,speaker", "c/1.wav,speech,s_clean,anna", "x/2.wav,rain,s_noise,")
    sources = read_listed(listed(folder, *rows))
    assert sources.speech == (SpeechFile(folder / "c/1.wav", "anna"),)
    assert sources.noises == (NoiseFile(folder / "x/2.wav", "rain"),)


def test_the_task_must_be_named_where_it_is_not_clear(folder: Path) -> None:
    listed(folder, "path,label,task", "c/1.wav,x,a_clean", "c/2.wav,x,b_clean")
    with pytest.raises(ValueError, match=r"--task: name the task of .*manifest.csv: one of a, b"):
        read_listed(folder)
    listed(folder, "path,label", "c/1.wav,x")
    with pytest.raises(ValueError, match=r"manifest.csv: but no task there ends in _clean"):
        read_listed(folder)
