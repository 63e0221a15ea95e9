"""Streams of distinct recordings: what joins them, what is left out, and what the splits share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.corpora.corpus import Corpus
from trainables.corpora.espeak import held_out_cast
from trainables.corpora.espeak_running import PIECE_SECONDS, Amount, running_folder
from trainables.corpora.running import Piece, Running, _halves, recordings
from trainables.corpora.wakeword_streams import open_streams
from trainables.corpora.wakeword_task import open_corpus

RATE_HZ = 16_000


def write(path: Path, seconds: float, seed: int, rate_hz: int = RATE_HZ) -> Path:
    samples = 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * rate_hz), 1))
    soundfile.write(path, samples, rate_hz)
    return path


@pytest.fixture
def corpus(speech_folder: Path) -> Corpus:
    return open_corpus(speech_folder, "up")


def test_files_are_shared_out_whole_and_evenly(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for number, seconds in enumerate((20, 9, 8, 3)):
        write(tmp_path / ("deep" if number % 2 else ".") / f"{number}.flac", seconds, number)
    halves, warnings = recordings(tmp_path, corpus)
    assert {split: sorted(piece.seconds for piece in half) for split, half in halves.items()} == {
        "validation": [20.0],
        "test": [3.0, 8.0, 9.0],
    }
    assert warnings == ()
    assert recordings(tmp_path, corpus)[0] == halves


def test_a_single_recording_is_cut_in_the_middle(corpus: Corpus, tmp_path: Path) -> None:
    path = write(tmp_path / "one.wav", 31.0, 0, rate_hz=8_000)
    halves, _ = recordings(tmp_path, corpus)
    ends = [(piece.first, piece.last) for half in halves.values() for piece in half]
    assert ends == [(0, 124_000), (124_000, 248_000)]
    stream = Running(halves["test"], RATE_HZ)
    assert stream.hours * 3600 == pytest.approx(15.5)
    second = soundfile.read(path)[0][124_000:]
    # At twice the rate every second sample is the recording's own, but for the low-pass filter.
    assert np.corrcoef(stream.audio()[200:-200:2], second[100:-100])[0, 1] > 0.99


def test_what_cannot_be_used_is_named_and_left_out(corpus: Corpus, tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / f"{number}.wav", 12, number)
    (tmp_path / "copy.wav").write_bytes((tmp_path / "0.wav").read_bytes())
    (tmp_path / "known.wav").write_bytes(corpus.clips[0].path.read_bytes())
    (tmp_path / "torn.wav").write_bytes(b"RIFF")
    soundfile.write(tmp_path / "still.wav", np.zeros(RATE_HZ), RATE_HZ)
    halves, warnings = recordings(tmp_path, corpus)
    assert sorted(piece.path.name for half in halves.values() for piece in half) == ["0.wav", "1.wav"]
    reasons = {text.split(" is left out: ")[0].rpartition("/")[2]: text.split(" is left out: ")[1] for text in warnings}
    assert reasons["copy.wav"] == reasons["known.wav"] == "the same audio is in use already"
    assert reasons["still.wav"] == "it is silent"
    assert reasons["torn.wav"].startswith("it cannot be decoded")


def test_a_folder_without_recordings_is_named(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"--streams: .* no recording to use \(\.wav, \.flac, \.mp3, \.ogg\); 0 files seen"
    ):
        recordings(tmp_path, corpus)


@given(seconds=st.lists(st.integers(1, 1000), min_size=2, max_size=30))
@settings(deadline=None)
def test_halves_share_nothing_and_lose_nothing(seconds: list[int]) -> None:
    pieces = [Piece(Path(str(at)), str(at), 1, 0, length) for at, length in enumerate(seconds)]
    halves = _halves(pieces)
    both = [piece for half in halves.values() for piece in half]
    assert sorted(piece.audio_hash for piece in both) == sorted(piece.audio_hash for piece in pieces)
    sums = [sum(piece.seconds for piece in half) for half in halves.values()]
    assert abs(sums[0] - sums[1]) <= max(seconds)


def test_too_little_sound_makes_no_stream(corpus: Corpus, tmp_path: Path) -> None:
    write(tmp_path / "short.wav", 9, 0)
    streams, warnings = open_streams(corpus, tmp_path, 0)
    assert streams == {}
    assert "streams: validation holds under 10 s without the word" in warnings[-1]


def test_running_speech_is_of_held_out_voices_and_always_the_same() -> None:
    amount = Amount(minutes=1.0)
    folder = running_folder("computer", 3, amount)
    files = {split: sorted((folder / split).glob("*.wav")) for split in ("validation", "test")}
    assert [len(members) for members in files.values()] == [3, 3]
    audio = [soundfile.read(path)[0] for members in files.values() for path in members]
    assert {len(samples) for samples in audio} == {int(PIECE_SECONDS * RATE_HZ)}
    assert len({samples.tobytes() for samples in audio}) == 6
    cast = held_out_cast(3)
    names = [{voice.name for voice in voices} for voices in cast.values()]
    assert not names[0] & names[1] and not names[1] & names[2] and not names[0] & names[2]
