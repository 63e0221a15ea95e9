"""Layouts without a manifest, and the choice between layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trainables.corpora.corpus import Recording
from trainables.corpora.folders import read_class_folders, read_folder

Record = Callable[..., Path]


def test_speech_commands_names_give_speakers(record: Record) -> None:
    folder = record("yes/0ab1_nohash_0.wav").parent.parent
    record("yes/0ab1_nohash_11.flac")
    record("no/c_d_nohash_0.WAV")
    assert read_class_folders(folder) == (
        Recording(folder / "no/c_d_nohash_0.WAV", "no", "c_d"),
        Recording(folder / "yes/0ab1_nohash_0.wav", "yes", "0ab1"),
        Recording(folder / "yes/0ab1_nohash_11.flac", "yes", "0ab1"),
    )


def test_what_is_no_word_is_passed_over(record: Record) -> None:
    folder = record("yes/a.wav").parent.parent
    for name in ("_background_noise_/hum.wav", ".git/x.wav", "yes/._a.wav", "loose.wav"):
        record(name)
    (folder / "yes" / "notes.txt").write_text("x")
    assert read_class_folders(folder) == (Recording(folder / "yes/a.wav", "yes"),)


def test_speech_commands_lists_give_splits(record: Record) -> None:
    names = [f"yes/{speaker}_nohash_0.wav" for speaker in "abc"]
    paths = [record(name) for name in names]
    folder = paths[0].parent.parent
    (folder / "validation_list.txt").write_text(f"{names[0]}\n")
    assert {r.split for r in read_class_folders(folder)} == {""}
    (folder / "testing_list.txt").write_text(f"{names[1]}\n")
    assert [r.split for r in read_class_folders(folder)] == ["validation", "test", "train"]


def test_manifest_wins_over_file_names(record: Record) -> None:
    folder = record("yes/0ab1_nohash_0.wav").parent.parent
    (folder / "manifest.csv").write_text("path,label\nyes/0ab1_nohash_0.wav,oui\n")
    assert read_folder(folder) == (Recording(folder / "yes/0ab1_nohash_0.wav", "oui"),)


def test_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--data: .*nowhere is not there"):
        read_folder(tmp_path / "nowhere")


def test_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"--data: .*file is no folder"):
        read_folder(tmp_path / "file")


def test_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "yes").mkdir()
    with pytest.raises(
        ValueError, match=r"--data: .* holds neither manifest.csv nor audio as <label>/<clip>, .wav or .flac or .mp3"
    ):
        read_folder(tmp_path)


def test_task_needs_a_manifest(record: Record) -> None:
    folder = record("yes/a.wav").parent.parent
    with pytest.raises(ValueError, match=r"--task: .* has no manifest.csv to pick a task from"):
        read_folder(folder, "wakeword")
