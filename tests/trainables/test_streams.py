"""A student's decisions all along a stream, against clips cut out of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from export.front_end import features_of
from export.streaming import Int8Stream, int8_outputs
from spaces.candidate import Student
from spaces.front_end import FrontEnd, micro_front_end
from trainables.conversion import int8_student
from trainables.corpora.audio import load_audio
from trainables.corpora.running import Piece, Running, negatives
from trainables.corpora.wakeword_task import open_corpus
from trainables.features import clip_features, log_mel
from trainables.streams import after_stream, int8_decisions, stream_features, windows
from trainables.students import build_student

FRONT_END = FrontEnd(mels=20, hop_samples=320)


def noise(folder: Path, seconds: float, seed: int = 0) -> Piece:
    path = folder / f"{seed}.wav"
    samples = np.random.default_rng(seed).standard_normal(round(seconds * 16_000)) * 0.1
    soundfile.write(path, samples, 16_000, subtype="PCM_16")
    return Piece(path, str(seed), 16_000, 0, len(samples))


@pytest.fixture
def stream(tmp_path: Path) -> Running:
    return Running((noise(tmp_path, 31.3), noise(tmp_path, 29.1, 1)), 16_000)


def student(kind: str, arguments: dict[str, int], features: np.ndarray) -> bytes:
    torch.manual_seed(0)
    network = build_student(Student(kind, arguments), FRONT_END, 2).eval()
    clips = np.array(windows(features, FRONT_END, FRONT_END.frames))
    return int8_student(network, clips[:32])


def test_a_stream_is_its_pieces_end_to_end(stream: Running) -> None:
    expected = np.concatenate([soundfile.read(piece.path, dtype="int16")[0] for piece in stream.pieces])
    assert np.array_equal(stream.audio(), expected)
    assert stream.hours * 3600 == pytest.approx(60.4)


def test_windows_of_a_stream_are_clips_of_it(stream: Running) -> None:
    audio = torch.from_numpy(stream.audio().astype(np.float32) / 32768)
    clips = windows(stream_features(stream, FRONT_END), FRONT_END, 5)
    for at in (0, 7, len(clips) - 1):
        clip = audio[at * 1600 : at * 1600 + 16_000]
        assert np.abs(clips[at] - log_mel(clip[None], FRONT_END)[0].numpy()).max() < 1e-4
    assert not clips.flags.owndata


def test_a_front_end_that_remembers_runs_on_through_the_stream(
    stream: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainables.streams.CHUNK_FRAMES", 700)
    front_end = micro_front_end()
    features = stream_features(stream, front_end)
    assert features.shape == (1 + (stream.samples - 480) // 160, 40)
    np.testing.assert_array_equal(features, features_of(np.array(stream.audio()), front_end))
    # A clip of it by itself has another past.
    at = 3000
    alone = clip_features(np.array(stream.audio()[None, at * 160 : at * 160 + 16_000]), front_end)[0]
    assert not np.array_equal(alone, features[at : at + 98])
    assert np.abs(alone - features[at : at + 98])[60:].mean() < 0.1


def test_a_student_of_whole_clips_decides_on_windows(stream: Running) -> None:
    features = stream_features(stream, FRONT_END)
    model = student("ds_cnn", {"width": 8, "depth": 1, "second_stride": 2}, features)
    clips = np.array(windows(features, FRONT_END, FRONT_END.new_frames_per_decision))
    every = int8_outputs(model, clips)
    decisions = int8_decisions(model, features, FRONT_END)
    assert len(decisions) == len(clips)
    heard = (decisions == every).all(axis=1)
    repeated = (decisions == decisions[np.arange(len(clips)) // 4 * 4]).all(axis=1)
    assert heard[::4].all()
    assert (heard | repeated).all()
    score = every[:, 1] - every[:, 0]
    high = np.flatnonzero(score[::4] >= np.quantile(score[::4], 0.7)) * 4
    beside = np.unique(np.clip(high[:, None] + np.arange(-3, 4), 0, len(clips) - 1))
    assert heard[beside].all()
    assert not heard.all()


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [("gru", {"hidden": 8, "depth": 1}), ("mixednet", {"width": 8, "depth": 2, "stride": 2})],
)
def test_a_step_runs_on_through_the_stream(kind: str, arguments: dict[str, int], stream: Running) -> None:
    features = stream_features(stream, FRONT_END)
    model = student(kind, arguments, features)
    decisions = int8_decisions(model, features, FRONT_END)
    # One lane from the first frame to the last is how the device runs it.
    alone = Int8Stream(model, batch=1)
    whole = len(features) // alone.frames_per_step(20) * alone.frames_per_step(20)
    steps = alone.running(features[None, :whole])[0]
    ends = np.arange(1, len(decisions) + 1) * FRONT_END.new_frames_per_decision
    expected = steps[ends // alone.frames_per_step(20) - 1]
    assert len(decisions) > 0.9 * len(features) / FRONT_END.new_frames_per_decision
    assert np.abs(decisions - expected).mean() < 0.01 * np.ptp(expected)


def test_a_step_with_a_short_memory_decides_as_on_clips(stream: Running) -> None:
    features = stream_features(stream, FRONT_END)
    # Its convolutions reach back 15 steps of two frames; a clip has 24.
    model = student("mixednet", {"width": 8, "depth": 2, "stride": 2}, features)
    decisions = int8_decisions(model, features, FRONT_END)
    ends = np.arange(1, len(decisions) + 1) * FRONT_END.new_frames_per_decision
    whole = (ends >= FRONT_END.frames) & (ends % 2 == 0)
    clips = np.stack([features[end - FRONT_END.frames : end] for end in ends[whole]])
    assert np.array_equal(decisions[whole], int8_outputs(model, clips))
    assert np.array_equal(after_stream(model, clips[:9], features, FRONT_END), decisions[whole][:9])


def test_what_came_before_a_clip_changes_what_a_step_with_a_long_memory_hears(stream: Running) -> None:
    features = stream_features(stream, FRONT_END)
    # So short that it does not fill the memory of an untrained student.
    clips = np.array(windows(features, FRONT_END, 300))[:, :4]
    recurrent = student("gru", {"hidden": 8, "depth": 1}, features)
    warm = after_stream(recurrent, clips, features, FRONT_END)
    before = np.linspace(0, len(features) - 200, len(clips)).astype(int)
    by_hand = [np.concatenate([features[at : at + 200], clip]) for at, clip in zip(before, clips, strict=True)]
    assert np.array_equal(warm, Int8Stream(recurrent, batch=1).outputs(np.stack(by_hand)))
    assert not np.array_equal(warm, int8_outputs(recurrent, clips))


def test_negatives_are_each_used_once(speech_folder: Path) -> None:
    corpus = open_corpus(speech_folder, "up")
    for split in ("validation", "test"):
        used = negatives(corpus, split)
        clips = [corpus.clips[at] for at in corpus.indices(split) if corpus.clips[at].label != "up"]
        assert {piece.audio_hash for piece in used} == {clip.audio_hash for clip in clips}
        assert len({piece.audio_hash for piece in used}) == len(used)
        stream = Running(used, corpus.sample_rate_hz)
        assert stream.samples == sum(round(clip.seconds * 16_000) for clip in clips)
    assert load_audio(corpus, 16_000).shape[1] == 16_000
