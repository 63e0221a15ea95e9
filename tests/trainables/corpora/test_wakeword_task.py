"""One word against the rest: what is opened, and each refusal."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from trainables.corpora import espeak
from trainables.corpora.corpus import SPLITS, content_hash
from trainables.corpora.espeak import Settings
from trainables.corpora.wakeword_task import OTHER, open_corpus

Record = Callable[..., Path]


@pytest.fixture
def folder(record: Record) -> Path:
    """Ten speakers who say three words twice each."""
    paths = [
        record(f"{word}/s{s}_nohash_{n}.wav") for word in ("yes", "no", "maybe") for s in range(10) for n in range(2)
    ]
    return paths[0].parent.parent


def test_labels_become_the_word_against_the_rest(folder: Path) -> None:
    corpus = open_corpus(folder, "yes")
    assert (corpus.labels, corpus.speaker_disjoint, corpus.split_rule) == ((OTHER, "yes"), True, "by speaker")
    assert {(c.label, c.source_label) for c in corpus.clips} == {("yes", "yes"), (OTHER, "no"), (OTHER, "maybe")}
    assert corpus.targets().tolist() == [int(c.source_label == "yes") for c in corpus.clips]
    assert sorted(i for split in SPLITS for i in corpus.indices(split).tolist()) == list(range(60))
    assert not corpus.speakers("train") & corpus.speakers("test")
    assert (corpus.sample_rate_hz, corpus.synthetic, corpus.name) == (16_000, False, "data yes")


def test_hash_ignores_where_the_data_lie_and_nothing_else(folder: Path, record: Record, tmp_path: Path) -> None:
    before = open_corpus(folder, "yes").content_hash
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    assert open_corpus(moved, "yes").content_hash == before
    assert open_corpus(folder, "no").content_hash != before
    assert open_corpus(folder, "yes", seed=1).content_hash != before
    record("no/s0_nohash_0.wav", seed=1)
    assert open_corpus(folder, "yes").content_hash != before


def test_hash_covers_every_label(folder: Path) -> None:
    clips = open_corpus(folder, "yes").clips
    first = clips[0]
    changed = [
        replace(first, label="x"),
        replace(first, source_label="x"),
        replace(first, speaker="x"),
        replace(first, group="x"),
        replace(first, split="x"),
        replace(first, audio_hash="x"),
    ]
    hashes = {content_hash((other, *clips[1:])) for other in changed}
    assert len(hashes | {content_hash(clips), content_hash(clips[::-1])}) == 8


def test_unknown_word_lists_those_there_are(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"--word: the data hold no clip of 'Yes'; there are maybe, no, yes$"):
        open_corpus(folder, "Yes")


def test_word_is_needed_with_data(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"--word: name the wake word; the data hold maybe, no, yes$"):
        open_corpus(folder)


def test_word_needs_other_clips_beside_it(record: Record) -> None:
    with pytest.raises(ValueError, match=r"--word: the data hold nothing but 'yes'"):
        open_corpus(record("yes/a.wav").parent.parent, "yes")


def test_one_speaker_of_the_word_is_refused_unless_split_at_random(record: Record) -> None:
    paths = [record(f"{word}/anna_nohash_{n}.wav") for word in ("yes", "no") for n in range(20)]
    folder = paths[0].parent.parent
    with pytest.raises(ValueError, match=r"no speaker-disjoint split is possible: .* comes from 1 .*--split random"):
        open_corpus(folder, "yes")
    corpus = open_corpus(folder, "yes", split="random")
    assert not corpus.speaker_disjoint
    assert corpus.warnings[0].startswith("--split random")


def test_few_unreadable_files_are_skipped_and_listed(folder: Path) -> None:
    (folder / "yes" / "s0_nohash_0.wav").write_bytes(b"")
    (folder / "no" / "s3_nohash_1.wav").write_bytes(b"RIFF, but no more")
    corpus = open_corpus(folder, "yes")
    assert len(corpus.clips) == 58
    assert {path.relative_to(folder).as_posix() for path, _ in corpus.skipped} == {
        "yes/s0_nohash_0.wav",
        "no/s3_nohash_1.wav",
    }
    assert corpus.warnings[0].startswith("2 files cannot be read and are left out, such as")


def test_more_than_five_per_cent_unreadable_are_refused(folder: Path) -> None:
    for speaker in range(4):
        (folder / "yes" / f"s{speaker}_nohash_0.wav").write_bytes(b"")
    message = r"--data: 4 of 60 files cannot be read, more than 5%: .*s0_nohash_0.wav is empty \(0 bytes\); "
    with pytest.raises(ValueError, match=message):
        open_corpus(folder, "yes")


def test_mixed_tasks_are_warned_about(folder: Path) -> None:
    rows = [
        f"{p.relative_to(folder).as_posix()},{p.parent.name},{p.stem[:2]},{p.parent.name == 'no'}"
        for p in folder.rglob("*.wav")
    ]
    (folder / "manifest.csv").write_text("path,label,speaker,task\n" + "\n".join(rows))
    assert open_corpus(folder, "yes").warnings[0] == "the manifest mixes the tasks False, True; --task picks one"
    corpus = open_corpus(folder, "yes", task="False")
    assert {c.source_label for c in corpus.clips} == {"yes", "maybe"}


def test_without_data_the_synthesised_corpus_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    small = Settings(train=80, validation=40, test=40)
    make = espeak.synthesised_folder
    monkeypatch.setattr(espeak, "synthesised_folder", lambda word, seed: make(word, seed, small))
    corpus = open_corpus(None)
    assert (corpus.labels, corpus.synthetic, corpus.speaker_disjoint) == ((OTHER, espeak.DEFAULT_WORD), True, True)
    assert [len(corpus.indices(split)) for split in SPLITS] == [80, 40, 40]
    assert {c.source_label for c in corpus.clips} == {espeak.DEFAULT_WORD, "_confusable_", "_speech_", "_noise_"}
