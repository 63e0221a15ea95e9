"""Layouts of enhancement data: DNS-Challenge, VoiceBank-DEMAND, folders of pairs, files without a partner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trainables.corpora.enhancement_sources import NoiseFile, SpeechFile, read_sources

Record = Callable[..., Path]


@pytest.mark.parametrize("suffix", ["", "_fullband"])
@pytest.mark.parametrize("root", ["", "datasets/", "datasets_fullband/"])
def test_dns_challenge_has_speech_noise_and_rooms_apart(record: Record, tmp_path: Path, root: str, suffix: str) -> None:
    book = record(f"{root}clean{suffix}/read_speech/book_00000_chp_0009_reader_06709_0_seg_1.wav")
    song = record(f"{root}clean{suffix}/singing/p225_003.wav")
    noise = record(f"{root}noise{suffix}/-0d1ZXJ.wav")
    room = record(f"{root}impulse_responses/SLR26/small/Room001-00001.wav")
    (tmp_path / "data" / root / f"clean{suffix}" / "._junk.wav").write_bytes(b"x")
    sources = read_sources(tmp_path / "data")
    assert sources.speech == (SpeechFile(book, "reader_06709"), SpeechFile(song, "p225"))
    assert sources.noises == (NoiseFile(noise),)
    assert sources.rooms == (room,)


def test_folders_name_splits_speakers_and_kinds(record: Record, tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        record(f"clean/{split}/anna-{split}/1.wav")
        record(f"noise/{split}/rain/1.flac")
    sources = read_sources(tmp_path / "data")
    splits = {"train": "train", "val": "validation", "test": "test"}
    assert {(one.speaker, one.split) for one in sources.speech} == {(f"anna-{s}", splits[s]) for s in splits}
    assert {(one.kind, one.split) for one in sources.noises} == {("rain", splits[s]) for s in splits}


def test_a_single_folder_of_speech_is_a_collection_and_no_speaker(record: Record, tmp_path: Path) -> None:
    record("clean/read_speech/1.wav")
    record("clean/read_speech/2.wav")
    record("noise/1.wav")
    assert {one.speaker for one in read_sources(tmp_path / "data").speech} == {""}


def test_voicebank_demand_pairs_by_name_with_speakers_splits_and_logged_kinds(record: Record, tmp_path: Path) -> None:
    for split, name in (("train", "p226_001"), ("test", "p232_005")):
        folder = f"{split}set_28spk_wav" if split == "train" else "testset_wav"
        clean, noisy = record(f"clean_{folder}/{name}.wav"), record(f"noisy_{folder}/{name}.wav")
        (tmp_path / "data" / f"log_{split}set.txt").write_text(f"{name} bus 17.5\n")
        noise = NoiseFile(noisy, "bus", split, beneath=clean)
        assert SpeechFile(clean, name[:4], split, noise) in read_sources(tmp_path / "data").speech


def test_pairs_in_folders_per_split_and_files_of_other_containers(record: Record, tmp_path: Path) -> None:
    clean, noisy = record("train/clean/a/1.wav"), record("train/noisy/a/1.flac")
    numbered = record("test/clean/clean_fileid_3.wav"), record("test/noisy/book_snr5_tl-20_fileid_3.wav")
    lonely = record("test/clean/9.wav"), record("test/noisy/8.wav")
    sources = read_sources(tmp_path / "data")
    assert [(one.path, one.noise.path, one.split) for one in sources.speech if one.noise] == [
        (*numbered, "test"),
        (clean, noisy, "train"),
    ]
    assert sources.skipped == ((lonely[0], "has no noisy partner"), (lonely[1], "has no clean partner"))


def test_folders_without_a_layout_or_audio_are_refused(record: Record, tmp_path: Path) -> None:
    record("happy/1.wav")
    with pytest.raises(ValueError, match=r"--data: .*data holds none of these: manifest.csv; clean\*/ with noisy\*/"):
        read_sources(tmp_path / "data")
    record("clean/1.wav")
    (tmp_path / "data" / "noise").mkdir()
    with pytest.raises(ValueError, match=r"--data: .*noise holds no .wav or .flac"):
        read_sources(tmp_path / "data")
    record("noisy/2.wav")
    with pytest.raises(ValueError, match=r"--data: no file of .*clean has a namesake in .*noisy; 2 files seen"):
        read_sources(tmp_path / "data")
