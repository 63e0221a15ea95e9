"""Music with ratings as people have it: manifests, DEAM's layout, windows, splits by group."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from trainables.corpora.arousal_task import open_music, quadrant
from trainables.corpora.audio import load_audio
from trainables.corpora.corpus import SPLITS, Corpus
from trainables.corpora.facts import data_facts
from trainables.corpora.leaks import find_leaks

Record = Callable[..., Path]
HEADER = "path,valence,arousal,group"
FIRST = "annotations/annotations averaged per song/song_level/static_annotations_averaged_songs_1_2000.csv"
LAST = FIRST.replace("1_2000", "2000_2058")


def write_manifest(folder: Path, rows: Sequence[str], header: str = HEADER) -> None:
    (folder / "manifest.csv").write_text("\n".join([header, *rows]))


@pytest.fixture
def folder(record: Record, tmp_path: Path) -> Path:
    """Twelve artists with two songs each, ratings on a grid."""
    rows = []
    for number in range(24):
        record(f"songs/{number}.wav", samples=1600)
        rows.append(f"songs/{number}.wav,{number / 12 - 1:g},{(number * 5 % 24) / 12 - 1:g},artist{number // 2}")
    write_manifest(tmp_path / "data", rows)
    return tmp_path / "data"


@pytest.fixture
def deam(record: Record, tmp_path: Path) -> Path:
    """Thirty MP3s and their two tables, as the archives unpack."""
    folder = tmp_path / "data"
    (folder / "MEMD_audio").mkdir(parents=True)
    for number in (*range(2, 30), 2001, 2002):
        soundfile.write(folder / f"MEMD_audio/{number}.mp3", 0.1 * noise(number, 8_000), 16_000)
    (folder / FIRST).parent.mkdir(parents=True)
    rows = "\n".join(f"{number}, {1 + number / 4}, 1.2, {9 - number / 4}, 0.9" for number in range(2, 30))
    (folder / FIRST).write_text(f"song_id, valence_mean, valence_std, arousal_mean, arousal_std\n{rows}\n")
    more = "2001, 5, 0, 7, 2, 7.4, 0, 8, 6\n2002, 3, 0, 4, 2, 2.2, 0, 3, 2\n"
    columns = "song_id, valence_mean, valence_std, valence_ max_mean, valence_min_mean, arousal_mean, arousal_std"
    (folder / LAST).write_text(f"{columns}, arousal_max_mean, arousal_min_mean\n{more}")
    return folder


def noise(seed: int, samples: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, samples)


def by_name(corpus: Corpus) -> dict[str, tuple[float, ...]]:
    return {clip.path.name: clip.values for clip in corpus.clips}


def test_a_manifest_gives_values_in_the_order_of_the_labels(folder: Path) -> None:
    corpus = open_music(folder)
    assert corpus.labels == ("valence", "arousal")
    assert by_name(corpus)["3.wav"] == (-0.75, 0.25)
    assert corpus.values().shape == (24, 2)
    assert corpus.values().dtype == np.float32
    np.testing.assert_allclose(corpus.values()[4], corpus.clips[4].values, rtol=1e-6)


def test_groups_stay_together_and_every_split_has_songs(folder: Path) -> None:
    corpus = open_music(folder)
    assert corpus.split_rule == "by group"
    assert corpus.warnings == ()
    assert not find_leaks(corpus.clips)
    assert {clip.split for clip in corpus.clips} == set(SPLITS)
    other = open_music(folder, seed=1)
    assert [clip.split for clip in other.clips] != [clip.split for clip in corpus.clips]
    assert open_music(folder) == corpus


def test_values_decide_the_content_hash(folder: Path) -> None:
    before = open_music(folder).content_hash
    text = (folder / "manifest.csv").read_text()
    (folder / "manifest.csv").write_text(text.replace("songs/3.wav,-0.75", "songs/3.wav,-0.74"))
    assert open_music(folder).content_hash != before


def test_copies_of_a_song_are_in_one_split(folder: Path) -> None:
    rows = (folder / "manifest.csv").read_text().splitlines()[1:]
    for number in range(8):
        shutil.copy(folder / f"songs/{number}.wav", folder / f"songs/copy{number}.wav")
        rows.append(f"songs/copy{number}.wav,0.5,0.5,other{number}")
    write_manifest(folder, rows)
    assert not find_leaks(open_music(folder).clips)


def test_windows_of_a_song_are_one_unit(record: Record, tmp_path: Path) -> None:
    for number in range(8):
        record(f"{number}.wav", samples=3 * 8000 + 100, rate=8000)
    write_manifest(tmp_path / "data", [f"{n}.wav,{n / 8:g},{-n / 8:g}," for n in range(8)])
    corpus = open_music(tmp_path / "data", window_seconds=1.0)
    assert len(corpus.clips) == 24
    assert [clip.start_seconds for clip in corpus.clips[:3]] == [0.0, 1.0, 2.0]
    for path in {clip.path for clip in corpus.clips}:
        assert len({(clip.split, clip.values) for clip in corpus.clips if clip.path == path}) == 1
    assert corpus.warnings == (
        "songs name no group such as their artist: one may be in two splits, and the scores too good",
    )
    assert corpus.split_rule == "by song"
    assert load_audio(corpus, 16_000).shape == (24, 16_000)


def test_given_splits_are_kept(record: Record, tmp_path: Path) -> None:
    splits = ["train"] * 6 + ["val", "validation", "test", "test"]
    for number in range(10):
        record(f"{number}.wav")
    rows = [f"{n}.wav,{n / 10:g},{-n / 10:g},g{n},{split}" for n, split in enumerate(splits)]
    write_manifest(tmp_path / "data", rows, f"{HEADER},split")
    corpus = open_music(tmp_path / "data")
    counts = Counter(clip.split for clip in corpus.clips)
    assert counts == {"train": 6, "validation": 2, "test": 2}
    assert corpus.split_rule == "given"


def test_facts_count_quadrants(folder: Path) -> None:
    counts = data_facts(open_music(folder), 0)["clips"]
    assert sum(sum(split.values()) for split in counts.values()) == 24
    assert set(counts["train"]) <= {"Q1", "Q2", "Q3", "Q4"}


@given(st.integers(0, 3), st.floats(0.01, 1.55), st.floats(0.1, 1))
def test_quadrants_are_counted_against_the_clock(number: int, angle: float, radius: float) -> None:
    turned = angle + number * np.pi / 2
    assert quadrant((radius * np.cos(turned), radius * np.sin(turned))) == f"Q{number + 1}"


def test_deam_is_read_as_it_unpacks(deam: Path) -> None:
    corpus = open_music(deam, window_seconds=1.0)
    values = by_name(corpus)
    assert len(corpus.clips) == 30
    assert values["2.mp3"] == (-0.875, 0.875)
    assert values["28.mp3"] == pytest.approx((0.75, -0.75))
    # On a table of its own, with other columns between.
    assert values["2002.mp3"] == pytest.approx((-0.5, -0.7))
    assert load_audio(corpus, 16_000).any(axis=1).all()


def test_songs_and_annotations_without_each_other_are_counted(deam: Path) -> None:
    (deam / "MEMD_audio/2.mp3").unlink()
    shutil.copy(deam / "MEMD_audio/3.mp3", deam / "MEMD_audio/77.mp3")
    corpus = open_music(deam, window_seconds=1.0)
    assert "1 songs have no annotation and are left out, such as 77" in corpus.warnings
    assert "1 annotated songs have no audio and are left out, such as 2" in corpus.warnings
    assert len(corpus.clips) == 29


def test_ratings_beyond_the_scale_are_clipped(deam: Path) -> None:
    with (deam / LAST).open("a") as file:
        file.write("3000, 9.5, 0, 0, 0, 0.5, 0, 0, 0\n")
    shutil.copy(deam / "MEMD_audio/3.mp3", deam / "MEMD_audio/3000.mp3")
    assert by_name(open_music(deam))["3000.mp3"] == (1.0, -1.0)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2003, five, 0, 0, 0, 5, 0, 0, 0", "row 4, field valence_mean: must be a number from 1 to 9, not 'five'"),
        ("2003, 5, 0, 0, 0, , 0, 0, 0", "row 4, field arousal_mean: must be a number from 1 to 9, not ''"),
        ("2003.5, 5, 0, 0, 0, 5, 0, 0, 0", "row 4, field song_id: must be a whole number, not '2003.5'"),
        (
            "2002, 5, 0, 0, 0, 5, 0, 0, 0",
            "row 4, field song_id: must not be annotated twice, and otherwise, not '2002'",
        ),
    ],
)
def test_wrong_annotations_are_named(deam: Path, row: str, message: str) -> None:
    with (deam / LAST).open("a") as file:
        file.write(row)
    with pytest.raises(ValueError, match=f"2000_2058.csv, {message}"):
        open_music(deam)


def test_an_annotation_table_without_its_columns_is_named(deam: Path) -> None:
    (deam / LAST).write_text("song_id, valence_mean\n2001, 5\n")
    with pytest.raises(ValueError, match="must include song_id, valence_mean and arousal_mean; arousal_mean missing"):
        open_music(deam)


def test_missing_parts_of_deam_are_named(deam: Path) -> None:
    shutil.rmtree(deam / "MEMD_audio")
    with pytest.raises(ValueError, match=r"has no songs such as MEMD_audio/2.mp3"):
        open_music(deam)
    shutil.rmtree(deam / "annotations")
    with pytest.raises(ValueError, match=r"holds neither manifest.csv nor DEAM's static_annotations"):
        open_music(deam)


def test_a_song_in_two_formats_is_refused(deam: Path) -> None:
    soundfile.write(deam / "MEMD_audio/5.wav", noise(5, 800), 16_000)
    with pytest.raises(ValueError, match="song 5 is there twice"):
        open_music(deam)


def test_songs_of_other_numbers_are_refused(deam: Path) -> None:
    for path in list((deam / "MEMD_audio").iterdir()):
        path.rename(path.with_stem(f"9{path.stem}"))
    with pytest.raises(ValueError, match=r"none of the 30 songs in .* is one of the 30 annotated"):
        open_music(deam)


@pytest.mark.parametrize("value", ["1.5", "-1.01", "nan", "", "happy"])
def test_manifest_values_beyond_their_range_are_named(folder: Path, value: str) -> None:
    text = (folder / "manifest.csv").read_text()
    (folder / "manifest.csv").write_text(text.replace("songs/3.wav,-0.75", f"songs/3.wav,{value}"))
    with pytest.raises(
        ValueError, match=rf"manifest.csv, row 5, field valence: must be a number in \[-1, 1\], not '{value}'"
    ):
        open_music(folder)


def test_a_manifest_without_ratings_is_named(folder: Path) -> None:
    write_manifest(folder, ["songs/1.wav,happy"], "path,label")
    with pytest.raises(ValueError, match="must include path, valence and arousal; valence, arousal missing"):
        open_music(folder)


def test_ratings_that_never_vary_are_refused(folder: Path) -> None:
    write_manifest(folder, [f"songs/{number}.wav,0.25,{number / 24:g},g{number}" for number in range(24)])
    with pytest.raises(ValueError, match=r"valence is 0\.25 for every song; there is nothing to learn"):
        open_music(folder)


def test_two_groups_are_too_few(folder: Path) -> None:
    write_manifest(
        folder, [f"songs/{number}.wav,{number / 24:g},{-number / 24:g},g{number % 2}" for number in range(24)]
    )
    with pytest.raises(ValueError, match=r"split: \w+ holds no song \(split by group\); three groups are needed"):
        open_music(folder)


def test_a_missing_folder_and_a_task_without_manifest_are_named(deam: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--data: .*nowhere is not there"):
        open_music(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"--task: .* has no manifest.csv to pick a task from"):
        open_music(deam, task="music")


def test_unreadable_songs_are_counted_or_refused(folder: Path) -> None:
    (folder / "songs/3.wav").write_bytes(b"RIFF")
    corpus = open_music(folder)
    assert len(corpus.clips) == 23
    assert any("1 files cannot be read" in warning for warning in corpus.warnings)
    (folder / "songs/4.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match="2 of 24 files cannot be read, more than 5%"):
        open_music(folder)


def test_values_are_asked_of_clips_that_have_them(folder: Path) -> None:
    corpus = open_music(folder)
    bare = replace(corpus, clips=(replace(corpus.clips[0], values=()), *corpus.clips[1:]))
    with pytest.raises(ValueError, match=r"0\.wav has 0 values, not 2 \(valence, arousal\)"):
        bare.values()
