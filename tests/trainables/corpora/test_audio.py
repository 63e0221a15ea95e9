"""Inspecting and decoding audio files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from trainables.corpora import audio
from trainables.corpora.audio import (
    AudioFile,
    audio_files,
    decode,
    fit_length,
    inspect_audio,
    load_audio,
    resample,
    to_int16,
)
from trainables.corpora.corpus import Clip, Corpus


def write(path: Path, samples: np.ndarray, rate: int = 16_000, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def tone(hz: float, rate: int, seconds: float = 0.5) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def corpus(*paths: Path, rate: int = 16_000) -> Corpus:
    files = inspect_audio(paths[0].parent, paths)
    clips = tuple(Clip(p, "a", "a", "", "", "train", files[p].audio_hash, files[p].seconds, rate) for p in paths)
    return Corpus("c", clips, ("a",), "hash", rate, "given", False)


def test_facts_of_a_readable_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.full((800, 2), 0.25), 8_000)
    facts = inspect_audio(tmp_path, [path])[path]
    assert (facts.frames, facts.sample_rate_hz, facts.channels, facts.seconds) == (800, 8_000, 2, 0.1)
    assert (facts.silent, facts.problem) == (False, "")


def test_same_samples_in_another_container_have_the_same_hash(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(-9000, 9000, 500).astype(np.int16)
    paths = [
        write(tmp_path / "a.wav", noise),
        write(tmp_path / "a.flac", noise),
        write(tmp_path / "b.wav", noise[::-1]),
    ]
    files = inspect_audio(tmp_path, paths)
    hashes = [files[path].audio_hash for path in paths]
    assert hashes[0] == hashes[1] != hashes[2]


def test_silence_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.zeros(100))
    assert inspect_audio(tmp_path, [path])[path].silent


@pytest.mark.parametrize("suffix", audio.SUFFIXES)
def test_every_suffix_loads(suffix: str, tmp_path: Path) -> None:
    samples = tone(440, 16_000)
    soundfile.write(tmp_path / f"a{suffix.upper()}", samples, 16_000)
    soundfile.write(tmp_path / f"._a{suffix}", samples, 16_000)
    (path,) = audio_files(tmp_path.rglob("*"))
    assert inspect_audio(tmp_path, [path])[path].problem == ""
    (heard,) = load_audio(corpus(path), len(samples))
    # MP3 and Vorbis lose a little; MP3 may pad both ends.
    spectrum = np.abs(np.fft.rfft(heard / 32768 * np.hanning(len(heard))))
    assert np.argmax(spectrum) == round(440 * len(samples) / 16_000)
    assert np.sqrt(np.mean(np.square(heard / 32768))) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def truncated_flac(path: Path) -> None:
    write(path.with_suffix(".flac"), np.random.default_rng(0).normal(0, 0.1, 50_000))
    path.write_bytes(path.with_suffix(".flac").read_bytes()[:40_000])


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.write_bytes(b""), "is empty (0 bytes)"),
        (lambda path: path.write_bytes(b"not audio" * 50), "cannot be decoded: "),
        (lambda path: write(path, np.zeros(0)), "holds no samples"),
        (lambda path: write(path, np.array([0.1, np.nan]), subtype="FLOAT"), "holds samples that are not numbers"),
        (lambda path: None, "is no file"),
        (truncated_flac, ""),
    ],
)
def test_unreadable_files_say_why(tmp_path: Path, spoil, problem: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.wav"
    spoil(path)
    facts = inspect_audio(tmp_path, [path])[path]
    assert facts.problem
    assert problem in facts.problem
    assert facts.audio_hash == ""


def test_unchanged_files_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write(tmp_path / name, np.full(50, 0.1)) for name in ("a.wav", "b.wav")]
    before = inspect_audio(tmp_path, paths)
    read: list[Path] = []

    def inspect_again(path: Path) -> AudioFile:
        read.append(path)
        return AudioFile(problem="read again")

    monkeypatch.setattr(audio, "_inspect", inspect_again)
    assert inspect_audio(tmp_path, paths) == before
    write(paths[1], np.full(51, 0.1))
    assert inspect_audio(tmp_path, paths)[paths[1]].problem == "read again"
    assert read == [paths[1]]


def test_damaged_index_is_made_again(tmp_path: Path, own_cache: Path) -> None:
    path = write(tmp_path / "a.wav", np.full(50, 0.1))
    before = inspect_audio(tmp_path, [path])
    (index,) = own_cache.glob("inspected-*.json")
    for content in ("{", "[]", '{"x": 1}', '{"x": [[1], {"nonsense": 2}]}'):
        index.write_text(content)
        assert inspect_audio(tmp_path, [path]) == before


def test_channels_are_averaged(tmp_path: Path) -> None:
    samples, rate = decode(write(tmp_path / "a.wav", np.tile([0.5, 0.25], (10, 1)), 8_000))
    assert rate == 8_000
    np.testing.assert_allclose(samples, np.full(10, 0.375))


def test_resampled_tone_is_the_tone_at_the_other_rate() -> None:
    for from_hz in (8_000, 22_050, 44_100, 48_000):
        out = resample(tone(440, from_hz).astype(np.float32), from_hz, 16_000)
        wanted = tone(440, 16_000)
        assert abs(len(out) - len(wanted)) <= 1
        inside = slice(200, len(wanted) - 200)
        assert np.abs(out[inside] - wanted[inside]).max() < 0.01


def test_resampling_removes_what_the_lower_rate_cannot_hold() -> None:
    out = resample(tone(12_000, 48_000).astype(np.float32), 48_000, 16_000)
    assert np.abs(out[200:-200]).max() < 0.01


@given(st.integers(0, 40), st.integers(1, 40))
def test_fitted_length_is_exact_and_keeps_what_fits(size: int, length: int) -> None:
    samples = np.arange(1, size + 1, dtype=np.float32)
    fitted = fit_length(samples, length)
    assert len(fitted) == length
    assert fitted[fitted > 0].tolist() == (samples if size <= length else samples[-length:]).tolist()


def test_short_audio_is_centred() -> None:
    assert fit_length(np.ones(3, np.float32), 6).tolist() == [0, 1, 1, 1, 0, 0]


def test_of_long_audio_the_loudest_window_is_kept() -> None:
    samples = np.array([0.1, 0.1, 0.9, -0.8, 0.1, 0.2], np.float32)
    assert fit_length(samples, 2).tolist() == samples[2:4].tolist()


def test_int16_undoes_what_reading_does(tmp_path: Path) -> None:
    values = np.array([-32768, -1, 0, 1, 255, 32767], np.int16)
    samples, _ = decode(write(tmp_path / "a.wav", values))
    assert to_int16(samples).tolist() == values.tolist()
    assert to_int16(np.array([2.0, -2.0], np.float32)).tolist() == [32767, -32768]


def test_loaded_clips_have_one_length_and_rate_in_the_corpuss_order(tmp_path: Path) -> None:
    quiet, other_rate = write(tmp_path / "a.wav", np.full(6, 0.25)), write(tmp_path / "b.wav", tone(440, 8_000), 8_000)
    rows = load_audio(corpus(other_rate, quiet), 8_000)
    assert (rows.shape, rows.dtype) == ((2, 8_000), np.dtype(np.int16))
    np.testing.assert_allclose(rows[0, 200:-200] / 32768, tone(440, 16_000)[200:-200], atol=0.01)
    assert rows[1].tolist() == [0] * 3997 + [8192] * 6 + [0] * 3997


def test_loaded_clips_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = corpus(write(tmp_path / "a.wav", np.full(6, 0.25)))
    first = load_audio(ours, 8).tolist()
    monkeypatch.setattr(audio, "decode", lambda path: pytest.fail("decoded again"))
    assert load_audio(ours, 8).tolist() == first
    with pytest.raises(pytest.fail.Exception):
        load_audio(replace(ours, sample_rate_hz=8_000), 8)
