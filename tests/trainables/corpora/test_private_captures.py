"""Private captures: split by time, joined to public recordings, nameless in what a run writes down."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from trainables.corpora.corpus import SPLITS, Corpus
from trainables.corpora.cry_task import open_cries
from trainables.corpora.facts import data_facts

Record = Callable[..., Path]


@pytest.fixture
def folders(record: Record) -> tuple[Path, Path]:
    """Twelve public clips of each class, and twenty captures of each, named by the minute."""
    for number in range(12):
        record(f"public/baby_cry/{number}.wav", samples=16_000)
        record(f"public/rain/{number}.wav", samples=16_000)
    for minute in range(20):
        record(f"home/crying/2026-05-01T10-{minute:02d}.wav", samples=16_000)
        path = record(f"home/other/2026-05-01T11-{minute:02d}.wav", samples=16_000)
    home = path.parent.parent
    return home.parent / "public", home


def minutes(corpus: Corpus, split: str) -> list[int]:
    captured = [clip for clip in corpus.clips if clip.split == split and clip.path.parent.name == "crying"]
    return sorted(int(clip.path.stem[-2:]) for clip in captured)


def test_captures_are_split_by_time(folders: tuple[Path, Path]) -> None:
    corpus = open_cries(folders[0], private=folders[1])
    assert [minutes(corpus, split) for split in SPLITS] == [list(range(14)), [14, 15, 16], [17, 18, 19]]
    assert corpus.split_rule == "by clip; private captures by time, training on both"


@pytest.mark.parametrize(("train_on", "homes"), [("both", {True, False}), ("private", {True}), ("public", {False})])
def test_training_keeps_whom_it_is_told_to(folders: tuple[Path, Path], train_on: str, homes: set[bool]) -> None:
    corpus = open_cries(folders[0], private=folders[1], train_on=train_on)

    def captured(split: str) -> set[bool]:
        return {"home" in clip.path.parts for clip in corpus.clips if clip.split == split}

    assert captured("train") == homes
    assert captured("validation") == captured("test") == {True, False}
    with pytest.raises(ValueError, match="--train-on: 'mine' is unknown; use both, private, public"):
        open_cries(folders[0], private=folders[1], train_on="mine")


def test_training_on_captures_needs_some(folders: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match="--train-on: private needs captures; name their folder by --private"):
        open_cries(folders[0], train_on="private")


def test_copies_of_public_clips_are_left_out(folders: tuple[Path, Path]) -> None:
    public, home = folders
    (home / "crying" / "2026-05-01T10-00.wav").write_bytes((public / "baby_cry" / "3.wav").read_bytes())
    corpus = open_cries(public, private=home)
    assert sum("home" in clip.path.parts for clip in corpus.clips) == 39


def test_facts_name_no_capture(folders: tuple[Path, Path]) -> None:
    public, home = folders
    (home / "crying" / "2026-05-01T10-07.wav").write_bytes(b"")
    corpus = open_cries(public, private=home)
    written = json.dumps([data_facts(corpus, 0), corpus.name, corpus.warnings])
    assert "2026-05-01" not in written
    assert "--private: 1 files cannot be read and are left out" in corpus.warnings
