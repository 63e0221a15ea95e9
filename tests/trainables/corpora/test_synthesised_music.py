"""The synthesised music: controls that are heard, ratings that follow them, timbres held out, the same bytes twice."""

from __future__ import annotations

import csv
from dataclasses import astuple, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from trainables.corpora.arousal_task import open_music
from trainables.corpora.instruments import HELD_OUT, INSTRUMENTS, SHARED, note
from trainables.corpora.music_controls import MODES, Controls, draw_controls, rated
from trainables.corpora.synthesised_music import CLIP_SECONDS, Settings, synthesised_folder

RATE_HZ = 16_000
SMALL = Settings(train=8, validation=8, test=8, takes=2)
MIDDLE = Controls(0, 0, 0, 0, 0, 0)


def made(folder: Path, seed: int) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POTSTILL_CACHE", str(folder))
        return synthesised_folder(seed, SMALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("music"), 0)


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_pieces_and_held_out_timbres_are_in_one_split(rows: list[dict[str, str]]) -> None:
    assert len(rows) == 48
    splits_of_piece = {
        row["group"]: {other["split"] for other in rows if other["group"] == row["group"]} for row in rows
    }
    assert len(splits_of_piece) == 24
    assert all(len(splits) == 1 for splits in splits_of_piece.values())
    heard = {
        split: {row["label"] for row in rows if row["split"] == split} for split in ("train", "validation", "test")
    }
    assert heard["train"] <= set(SHARED)
    for split, timbres in HELD_OUT.items():
        assert heard[split] <= {*SHARED, *timbres}
        assert heard[split] & set(timbres)
        assert heard[split] & set(SHARED)


def test_clips_have_the_level_of_their_controls(folder: Path, rows: list[dict[str, str]]) -> None:
    for row in rows:
        clip, rate = soundfile.read(folder / row["path"])
        assert (len(clip), rate) == (CLIP_SECONDS * RATE_HZ, RATE_HZ)
        level = 20 * np.log10(np.sqrt(np.mean(np.square(clip))))
        assert level == pytest.approx(-24 + 9 * float(row["loudness"]), abs=2.3)


def test_brightness_is_heard_in_the_spectrum(folder: Path, rows: list[dict[str, str]]) -> None:
    def centroid_octaves(path: str) -> float:
        power = np.abs(np.fft.rfft(soundfile.read(folder / path)[0])) ** 2
        return float(np.log2(power @ np.fft.rfftfreq(round(CLIP_SECONDS * RATE_HZ), 1 / RATE_HZ) / power.sum()))

    heard = np.array([centroid_octaves(row["path"]) for row in rows])
    controls = np.array([[float(row["brightness"]), float(row["register"])] for row in rows])
    slopes = np.linalg.lstsq(np.c_[controls, np.ones(len(rows))], heard, rcond=None)[0]
    assert slopes[0] > 0.1
    assert slopes[1] > 0.3


def test_the_same_seed_gives_the_same_samples(tmp_path: Path, folder: Path, rows: list[dict[str, str]]) -> None:
    again, other = made(tmp_path, 0), made(tmp_path, 1)
    assert (again / "manifest.csv").read_bytes() == (folder / "manifest.csv").read_bytes()
    assert (other / "manifest.csv").read_bytes() != (folder / "manifest.csv").read_bytes()
    for row in rows:
        assert (again / row["path"]).read_bytes() == (folder / row["path"]).read_bytes()


@pytest.mark.parametrize("name", sorted(INSTRUMENTS))
@pytest.mark.parametrize("pitch_hz", [131.0, 262.0, 523.0])
def test_an_instrument_plays_the_pitch(name: str, pitch_hz: float) -> None:
    tone = note(INSTRUMENTS[name], pitch_hz, 1.0, -9.0, np.random.default_rng(0))
    assert len(tone) == round(1.03 * RATE_HZ)
    power = np.abs(np.fft.rfft(tone * np.hanning(len(tone)), 1 << 16)) ** 2
    hz = np.fft.rfftfreq(1 << 16, 1 / RATE_HZ)
    near = power[(hz > pitch_hz * 0.98) & (hz < pitch_hz * 1.02)].sum()
    # Below every partial there is next to nothing.
    assert near > 0.05 * power.sum()
    assert power[hz < 0.45 * pitch_hz].sum() < 0.01 * power.sum()


def test_modes_grow_brighter_by_one_semitone_at_a_time() -> None:
    scales = [np.array(scale) for scale in MODES.values()]
    assert all((after - before).sum() == 1 and (after >= before).all() for before, after in pairwise(scales))


@pytest.mark.parametrize(
    ("control", "valence", "arousal"),
    [("mode", 1, 0), ("register", 1, 0), ("tempo", 1, 1), ("loudness", -1, 1), ("articulation", 1, 1)],
)
def test_ratings_follow_the_controls(control: str, valence: int, arousal: int) -> None:
    low, high = (rated(replace(MIDDLE, **{control: value}), np.random.default_rng(0)) for value in (-0.5, 0.5))
    assert np.sign(np.round(np.subtract(high, low), 3)).tolist() == [valence, arousal]


@given(st.integers(0, 2**32 - 1))
def test_controls_and_ratings_keep_their_range(seed: int) -> None:
    random = np.random.default_rng(seed)
    controls = draw_controls(random)
    assert all(-1 <= value <= 1 for value in (*astuple(controls), *rated(controls, random)))
    assert 59 < controls.beats_per_minute < 183
    assert 0.29 < controls.held < 1.01
    assert len(controls.scale) == 7


def test_the_corpus_is_opened_with_its_own_splits(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.corpora.synthesised_music.Settings", lambda: SMALL)
    corpus = open_music(None)
    assert corpus.synthetic
    assert corpus.warnings == ()
    assert corpus.split_rule == "given"
    assert [len(corpus.indices(split)) for split in ("train", "validation", "test")] == [16, 16, 16]
    assert np.ptp(corpus.values(), axis=0).min() > 0.8
