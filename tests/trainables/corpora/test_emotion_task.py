"""Emotion corpora as people have them: names, folders, copies, splits by speaker, word and chance."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from trainables.corpora.corpus import SPLITS
from trainables.corpora.emotion_task import in_order, open_emotions

Record = Callable[..., Path]
WORDS = tuple(f"word{chr(97 + number)}" for number in range(12))
FOLDERS = {"angry": "{}_angry", "ps": "{}_Pleasant_surprised", "sad": "{}_Sad"}


@pytest.fixture
def tess(record: Record, tmp_path: Path) -> Path:
    """Two actresses, 12 words, three emotions, folders spelled as in the archive."""
    for speaker in ("OAF", "YAF"):
        for emotion, folder in FOLDERS.items():
            for word in WORDS:
                record(f"{folder.format(speaker)}/{speaker}_{word}_{emotion}.wav")
    return tmp_path / "data"


def texts(corpus_folder: Path, split: str, mode: str, seed: int = 0) -> set[str]:
    corpus = open_emotions(corpus_folder, split=mode, seed=seed)
    return {corpus.clips[row].text for row in corpus.indices(split)}


def test_tess_is_read_by_its_names(tess: Path) -> None:
    corpus = open_emotions(tess)
    assert corpus.labels == ("angry", "ps", "sad")
    assert len(corpus.clips) == 72
    assert {clip.speaker for clip in corpus.clips} == {"OAF", "YAF"}


def test_two_speakers_are_parted_into_train_and_test(tess: Path) -> None:
    corpus = open_emotions(tess)
    assert corpus.speakers("test") == {"YAF"}
    assert corpus.speakers("train") == corpus.speakers("validation") == {"OAF"}
    assert not texts(tess, "train", "speaker") & texts(tess, "validation", "speaker")
    assert corpus.split_rule == "test by speaker, validation by word"
    assert not corpus.speaker_disjoint
    assert any("two speakers: YAF is for test alone" in warning for warning in corpus.warnings)
    assert open_emotions(tess, seed=1).speakers("test") == {"OAF"}


def test_a_split_by_word_shares_no_word(tess: Path) -> None:
    parts = [texts(tess, split, "word") for split in SPLITS]
    assert set.union(*parts) == set(WORDS)
    assert sum(map(len, parts)) == len(WORDS)
    corpus = open_emotions(tess, split="word")
    assert all(corpus.speakers(split) == {"OAF", "YAF"} for split in SPLITS)
    assert any("--split word: speakers are not kept apart" in warning for warning in corpus.warnings)


def test_a_random_split_keeps_nobody_apart(tess: Path) -> None:
    corpus = open_emotions(tess, split="random")
    assert all(corpus.speakers(split) == {"OAF", "YAF"} for split in SPLITS)
    assert "--split random: speakers are not kept apart, so the scores are too good" in corpus.warnings


def test_the_copy_within_the_archive_is_read_once(tess: Path) -> None:
    shutil.copytree(tess, tess / "TESS copy")
    assert len(open_emotions(tess).clips) == 72


def test_files_of_other_names_are_left_out_and_counted(tess: Path, record: Record) -> None:
    record("OAF_angry/notes from the session.wav")
    corpus = open_emotions(tess)
    assert len(corpus.clips) == 72
    assert "1 files name no emotion and are left out, such as notes from the session.wav" in corpus.warnings


def test_a_folder_per_class_is_spelled_as_the_emotion_it_names(record: Record, tmp_path: Path) -> None:
    for folder in ("Happiness", "OAF_Fear", "shouting"):
        for number in range(6):
            record(f"{folder}/voice{number}_nohash_0.wav")
    assert open_emotions(tmp_path / "data").labels == ("fear", "happy", "shouting")


def test_a_manifest_wins_over_names(tess: Path) -> None:
    rows = [f"OAF_angry/OAF_{word}_angry.wav,loud,{number % 6},{word}" for number, word in enumerate(WORDS)]
    rows += [f"OAF_Sad/OAF_{word}_sad.wav,quiet,{number % 6},{word}" for number, word in enumerate(WORDS)]
    (tess / "manifest.csv").write_text("\n".join(["path,label,speaker,text", *rows]))
    corpus = open_emotions(tess)
    assert corpus.labels == ("loud", "quiet")
    assert corpus.speaker_disjoint


def test_splits_that_need_texts_say_so(record: Record, tmp_path: Path) -> None:
    for label in ("sad", "happy"):
        for number in range(8):
            record(f"{label}/voice{number}_nohash_0.wav")
    with pytest.raises(
        ValueError, match=r"--split word: nothing says what is spoken in .*; name it in the column text"
    ):
        open_emotions(tmp_path / "data", split="word")


def test_one_class_is_refused(record: Record, tmp_path: Path) -> None:
    record("sad/a_nohash_0.wav")
    with pytest.raises(ValueError, match="holds one class only, 'sad'; two or more are needed"):
        open_emotions(tmp_path / "data")


def test_an_unknown_split_lists_those_there_are(tess: Path) -> None:
    with pytest.raises(ValueError, match="--split: 'fair' is unknown; use speaker, word, random, given"):
        open_emotions(tess, split="fair")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere is not there"):
        open_emotions(tmp_path / "nowhere")


def test_classes_come_in_one_order() -> None:
    assert in_order({"zeal", "sad", "angry", "calm", "awe"}) == ("angry", "sad", "calm", "awe", "zeal")
