"""Noise and rooms: from folders, from the training split, synthesised; and what must not be among them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainables.corpora.acoustics import RATE_HZ
from trainables.corpora.audio import load_audio
from trainables.corpora.corpus import Corpus
from trainables.corpora.disturbances import Disturbances, background_rows, from_direct_sound, open_disturbances
from trainables.corpora.wakeword_task import open_corpus

Record = Callable[..., Path]


@pytest.fixture
def corpus(speech_folder: Path) -> Corpus:
    return open_corpus(speech_folder, "up")


def opened(corpus: Corpus, noise: Path | None = None, rooms: Path | None = None, seed: int = 0) -> Disturbances:
    train = corpus.indices("train")
    return open_disturbances(corpus, RATE_HZ, seed, train, train[:0], noise, rooms)


def test_recordings_of_noise_are_laid_end_to_end(corpus: Corpus, record: Record) -> None:
    first, second = record("a.wav", samples=700), record("deep/b.wav", samples=350, rate=8_000)
    track = opened(corpus, first.parent).noise
    assert track.dtype == np.int16
    assert len(track) == 700 + 2 * 350
    assert np.array_equal(track[:700], soundfile.read(first, dtype="int16")[0])
    halves = soundfile.read(second, dtype="int16")[0]
    # Every other sample of the resampled one is nearly the recorded one, but for what the low pass took.
    assert np.corrcoef(track[700::2][20:-20], halves[20:-20])[0, 1] > 0.9


@pytest.mark.parametrize("split", ["validation", "test"])
def test_noise_that_is_in_a_held_out_split_is_a_leak(split: str, corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "noise"
    folder.mkdir()
    samples, rate = soundfile.read(corpus.clips[corpus.indices(split)[0]].path, dtype="int16")
    soundfile.write(folder / "copy.flac", samples, rate)
    with pytest.raises(ValueError, match=f"--noise: .*copy.flac is in the {split} split of the data too: a split leak"):
        opened(corpus, folder)


def test_a_window_of_a_held_out_recording_is_a_leak(corpus: Corpus, tmp_path: Path) -> None:
    held = corpus.indices("test")[0]
    windowed = replace(corpus.clips[held], audio_hash=f"{corpus.clips[held].audio_hash}@0.5", start_seconds=0.5)
    cut = replace(corpus, clips=(*corpus.clips[:held], windowed, *corpus.clips[held + 1 :]))
    (tmp_path / "noise").mkdir()
    shutil.copy(windowed.path, tmp_path / "noise" / "copy.wav")
    with pytest.raises(ValueError, match="a split leak"):
        opened(cut, tmp_path / "noise")


def test_noise_that_training_holds_is_no_leak(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "noise").mkdir()
    shutil.copy(corpus.clips[corpus.indices("train")[0]].path, tmp_path / "noise" / "copy.wav")
    assert len(opened(corpus, tmp_path / "noise").noise) == 14_400


@pytest.mark.parametrize("option", ["noise", "rooms"])
def test_folders_that_cannot_be_used_are_named(option: str, corpus: Corpus, tmp_path: Path) -> None:
    def open_as(folder: Path) -> None:
        opened(corpus, **{option: folder})  # type: ignore[arg-type]

    with pytest.raises(ValueError, match=f"--{option}: .*gone is not there"):
        open_as(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=f"--{option}: .*empty holds no .wav or .flac or .mp3 or .ogg"):
        open_as(tmp_path / "empty")
    (tmp_path / "empty" / "a.wav").write_bytes(b"")
    with pytest.raises(ValueError, match=rf"--{option}: .*a.wav is empty \(0 bytes\)"):
        open_as(tmp_path / "empty")


def test_rooms_begin_at_their_direct_sound(corpus: Corpus, tmp_path: Path) -> None:
    responses = {"a": [0.0, 0.0, 0.1, -0.8, 0.4, 0.2], "b": [0.5, 0.25]}
    for name, taps in responses.items():
        soundfile.write(tmp_path / f"{name}.wav", np.array(taps, np.float32), RATE_HZ, subtype="FLOAT")
    np.testing.assert_allclose(opened(corpus, rooms=tmp_path).rooms, [[1, -0.5, -0.25], [1, 0.5, 0]], rtol=1e-6)


def test_a_room_is_cut_to_a_second(corpus: Corpus, record: Record) -> None:
    folder = record("long.wav", samples=3 * RATE_HZ).parent
    assert opened(corpus, rooms=folder).rooms.shape[1] <= RATE_HZ


def test_a_silent_room_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(100), RATE_HZ)
    with pytest.raises(ValueError, match=r"--rooms: .*a.wav holds nothing but zeros"):
        opened(corpus, rooms=tmp_path)


def test_the_direct_sound_may_be_negative() -> None:
    np.testing.assert_allclose(from_direct_sound(np.array([0.1, -2.0, 1.0], np.float32)), [1.0, -0.5])


def test_synthesised_ones_depend_on_the_seed_alone(corpus: Corpus) -> None:
    first, again, other = opened(corpus), opened(corpus), opened(corpus, seed=1)
    assert first.content_hash == again.content_hash != other.content_hash
    assert np.array_equal(first.noise, again.noise)
    assert not np.array_equal(first.rooms, other.rooms)
    assert np.abs(first.rooms).argmax(axis=1).tolist() == [0] * len(first.rooms)


def test_what_the_data_call_noise_joins_the_synthesised(speech_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(speech_folder, tmp_path / "data")
    for speaker in range(12):
        path = tmp_path / "data" / "_noise_" / f"n{speaker}_nohash_0.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.random.default_rng(speaker).normal(0, 0.1, RATE_HZ), RATE_HZ)
    corpus = open_corpus(tmp_path / "data", "up")
    rows = background_rows(corpus)
    assert {(corpus.clips[row].source_label, corpus.clips[row].split) for row in rows} == {("_noise_", "train")}
    made = open_disturbances(corpus, RATE_HZ, 0, np.setdiff1d(corpus.indices("train"), rows), rows)
    assert np.array_equal(made.noise[-len(rows) * RATE_HZ :].reshape(-1, RATE_HZ), load_audio(corpus, RATE_HZ)[rows])
    assert made.name == f"synthesised noise and {len(rows)} training clips; synthesised rooms"


def test_data_without_speech_get_noise_without_babble(corpus: Corpus) -> None:
    nobody = corpus.indices("train")[:0]
    assert len(open_disturbances(corpus, RATE_HZ, 0, nobody, nobody).noise) == 4 * 20 * RATE_HZ
    assert len(opened(corpus).noise) == 5 * 20 * RATE_HZ
