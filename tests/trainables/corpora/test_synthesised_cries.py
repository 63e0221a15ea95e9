"""The synthesised cries: pitch by measurement, sources that differ, levels, the same bytes twice."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainables.corpora.corpus import SPLITS
from trainables.corpora.sound_layouts import CRY
from trainables.corpora.sound_makers import CLIP_SAMPLES, MAKERS, cry
from trainables.corpora.synthesised_cries import QUIET, SPEECH, Settings, synthesised_folder

RATE_HZ = 16_000
SMALL = Settings(train=1, validation=1, test=1, babies=2, takes=2)


def made(folder: Path, seed: int) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POTSTILL_CACHE", str(folder))
        return synthesised_folder(seed, SMALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("cries"), 0)


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_kind_has_its_sources_in_every_split(rows: list[dict[str, str]]) -> None:
    counts = Counter((row["label"], row["split"]) for row in rows)
    kinds = {SPEECH, QUIET, *MAKERS}
    assert counts == {(kind, split): 4 if kind == CRY else 2 for kind in kinds for split in SPLITS}
    splits_of_speaker = {
        row["speaker"]: {other["split"] for other in rows if other["speaker"] == row["speaker"]} for row in rows
    }
    assert all(len(splits) == 1 for splits in splits_of_speaker.values())


def test_clips_are_three_seconds_without_clipping(folder: Path, rows: list[dict[str, str]]) -> None:
    for row in rows:
        clip, rate = soundfile.read(folder / row["path"])
        peak, rms = np.abs(clip).max(), np.sqrt(np.mean(np.square(clip)))
        assert (len(clip), rate) == (CLIP_SAMPLES, RATE_HZ)
        assert peak < 0.95
        assert (rms < 10 ** (-50 / 20)) if row["label"] == QUIET else (peak > 10 ** (-31 / 20))


def test_the_same_seed_gives_the_same_samples(tmp_path: Path, folder: Path, rows: list[dict[str, str]]) -> None:
    again, other = made(tmp_path, 0), made(tmp_path, 1)
    for row in rows:
        assert (again / row["path"]).read_bytes() == (folder / row["path"]).read_bytes()
        assert (other / row["path"]).read_bytes() != (folder / row["path"]).read_bytes()


def pitch_hz(window: np.ndarray) -> float:
    """The lag of the highest autocorrelation between 200 and 1200 Hz."""
    spectrum = np.fft.rfft(window * np.hanning(len(window)), 2 * len(window))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)
    lags = np.arange(RATE_HZ // 1200, RATE_HZ // 200)
    return RATE_HZ / float(lags[np.argmax(correlation[lags])])


@pytest.mark.parametrize("source", range(5))
def test_a_cry_is_voiced_in_bursts_at_the_pitch_of_infants(source: int) -> None:
    track = cry(np.random.default_rng([0, source]), np.random.default_rng([1, source]))
    windows = track[: CLIP_SAMPLES // 800 * 800].reshape(-1, 800)
    level = np.sqrt(np.square(windows).mean(axis=1))
    voiced = [pitch_hz(window) for window, rms in zip(windows, level, strict=True) if rms > 0.5 * level.max()]
    assert 270 < np.median(voiced) < 950
    # Pauses hold breath only.
    assert (level < 0.2 * level.max()).mean() > 0.08
    assert np.ptp(np.log2(np.percentile(voiced, [10, 90]))) > 0.03


def test_a_source_sounds_alike_in_all_its_takes() -> None:
    def spectrum(maker: str, source: int, take: int) -> np.ndarray:
        sound = MAKERS[maker](np.random.default_rng([0, source]), np.random.default_rng([1, source, take]))
        power = np.abs(np.fft.rfft(sound)) ** 2
        bands = power[: len(power) // 64 * 64].reshape(64, -1).mean(axis=1)
        return np.asarray(np.log(bands / bands.sum()))

    for maker in MAKERS:
        near = [np.abs(spectrum(maker, s, 0) - spectrum(maker, s, 1)).mean() for s in range(4)]
        far = [np.abs(spectrum(maker, s, 0) - spectrum(maker, s + 1, 0)).mean() for s in range(4)]
        assert np.mean(near) < np.mean(far), maker
