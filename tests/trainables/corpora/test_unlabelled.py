"""Unlabelled recordings: beside the splits, in both layouts, kept away from what is held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.corpora.corpus import SPLITS, UNLABELLED, Clip, Corpus
from trainables.corpora.cry_task import open_cries
from trainables.corpora.facts import data_facts
from trainables.corpora.unlabelled import joining

Record = Callable[..., Path]


@pytest.fixture
def public(record: Record) -> Path:
    """Twelve clips of each class, and five of which nobody knows, the last a copy of a cry."""
    for number in range(12):
        record(f"public/baby_cry/{number}.wav", samples=16_000)
        record(f"public/rain/{number}.wav", samples=16_000)
    for number in range(5):
        path = record(f"public/_unlabelled_/{number}.wav", samples=32_000)
    path.write_bytes((path.parent.parent / "baby_cry" / "3.wav").read_bytes())
    return path.parent.parent


@pytest.fixture
def home(record: Record) -> Path:
    """Twenty captures of each kind by the minute, and unlabelled ones from every second minute."""
    for minute in range(20):
        record(f"home/crying/T{minute:02d}.wav", samples=16_000)
        record(f"home/other/T{minute:02d}.wav", samples=16_000)
    for minute in range(0, 24, 2):
        path = record(f"home/_unlabelled_/T{minute:02d}b.wav", samples=16_000)
    return path.parent.parent


def untold(corpus: Corpus) -> set[str]:
    return {clip.path.stem for clip in corpus.clips if clip.split == UNLABELLED}


def test_they_are_in_no_split(public: Path) -> None:
    corpus = open_cries(public)
    assert untold(corpus) == {"0", "1", "2", "3"}
    # Two seconds hold three windows.
    assert len(corpus.indices(UNLABELLED)) == 4 * 3
    in_splits = {corpus.clips[row].source_label for split in SPLITS for row in corpus.indices(split)}
    assert in_splits == {"baby_cry", "rain"}
    assert any(warning.startswith("1 of 5 unlabelled recordings are left out: ") for warning in corpus.warnings)
    assert sum(sum(counts.values()) for counts in data_facts(corpus, 0)["clips"].values()) == 24


def test_they_change_neither_the_splits_nor_their_order(public: Path) -> None:
    with_them = open_cries(public).clips
    for path in (public / "_unlabelled_").iterdir():
        path.unlink()
    assert tuple(clip for clip in with_them if clip.split != UNLABELLED) == open_cries(public).clips


def test_a_manifest_labels_them_so(public: Path) -> None:
    rows = ["path,label,split,group"]
    splits = ["train"] * 6 + ["validation"] * 3 + ["test"] * 3
    for number, split in enumerate(splits):
        rows += [f"{kind}/{number}.wav,{kind},{split},g{number}" for kind in ("baby_cry", "rain")]
    placed = [
        "0.wav,_unlabelled_,,",
        "1.wav,_unlabelled_,train,g1",
        "2.wav,_unlabelled_,,g7",
        "3.wav,_unlabelled_,test,",
    ]
    rows += [f"_unlabelled_/{row}" for row in placed]
    (public / "manifest.csv").write_text("\n".join(rows))
    # The third is of a group that validation holds, the fourth was meant for test.
    assert untold(open_cries(public)) == {"0", "1"}


def test_captures_from_the_times_of_held_out_ones_are_left_out(public: Path, home: Path) -> None:
    captured = {name for name in untold(open_cries(public, private=home)) if name.startswith("T")}
    # Of twenty minutes the last six are for validation and test.
    assert captured == {f"T{minute:02d}b" for minute in (0, 2, 4, 6, 8, 10, 12, 20, 22)}
    assert untold(open_cries(public, private=home, train_on="private")) == captured
    assert untold(open_cries(public, private=home, train_on="public")) == {"0", "1", "2", "3"}


def test_captures_may_be_unlabelled_altogether(public: Path, home: Path) -> None:
    for kind in ("crying", "other"):
        for path in (home / kind).iterdir():
            path.unlink()
    captured = {name for name in untold(open_cries(public, private=home)) if name.startswith("T")}
    assert len(captured) == 12
    with pytest.raises(ValueError, match="--word: no label is named like a cry; name one of"):
        open_cries(home)


def clip(audio: str, split: str, speaker: str = "", group: str = "") -> Clip:
    return Clip(Path(f"{audio}.wav"), "_other_", "x", speaker, group, split, audio, 1.0, 16_000)


NAMES = st.sampled_from(["", "a", "b"])


@given(
    st.lists(st.builds(clip, st.sampled_from("pqrs"), st.sampled_from(SPLITS), NAMES, NAMES), max_size=6),
    st.lists(st.builds(clip, st.sampled_from("rstu"), st.sampled_from(["", *SPLITS]), NAMES, NAMES), max_size=6),
)
def test_nothing_that_joins_touches_what_is_held_out(labelled: list[Clip], unlabelled: list[Clip]) -> None:
    found = joining(unlabelled, labelled)
    assert len({one.audio_hash for one in found}) == len(found)
    for one in found:
        assert one.split == UNLABELLED
        assert {replace(one, split=split) for split in ("", "train")} & set(unlabelled)
        for other in labelled:
            assert one.audio_hash != other.audio_hash
            if other.split != "train":
                assert not one.speaker or one.speaker != other.speaker
                assert not one.group or one.group != other.group
