"""The synthesised emotions: their prosody by measurement, levels that tell nothing, splits, the same bytes twice."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainables.corpora import espeak_emotions
from trainables.corpora.corpus import SPLITS
from trainables.corpora.emotion_names import EMOTIONS, recording_of
from trainables.corpora.emotion_task import open_emotions
from trainables.corpora.espeak_emotions import PROSODY, WORDS, Settings, synthesised_folder

SMALL = Settings(train=2, validation=1, test=1, takes=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POTSTILL_CACHE", str(tmp_path_factory.mktemp("emotions")))
        return synthesised_folder(0, SMALL)


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def samples(folder: Path, row: dict[str, str]) -> np.ndarray:
    found: np.ndarray = soundfile.read(folder / row["path"], dtype="float32")[0]
    return found


def test_every_voice_says_every_emotion(rows: list[dict[str, str]]) -> None:
    assert set(Counter((row["speaker"], row["label"]) for row in rows).values()) == {SMALL.takes}
    speakers = {split: {row["speaker"] for row in rows if row["split"] == split} for split in SPLITS}
    assert [len(speakers[split]) for split in SPLITS] == [6, 3, 3]
    assert len(set.union(*speakers.values())) == 12
    assert tuple(PROSODY) == EMOTIONS[:7]


def test_names_are_tess(folder: Path, rows: list[dict[str, str]]) -> None:
    for row in rows:
        assert Path(row["path"]).parent.name == f"{row['speaker']}_{row['label']}"
        assert row["text"] in WORDS
        named = recording_of(folder / row["path"])
        assert named is not None
        assert (named.label, named.speaker, named.text) == (row["label"], row["speaker"].upper(), row["text"])


def test_clips_are_two_seconds_and_level_tells_no_emotion(folder: Path, rows: list[dict[str, str]]) -> None:
    levels = defaultdict(list)
    for row in rows:
        clip = samples(folder, row)
        assert len(clip) == 32_000
        levels[row["label"]].append(20 * np.log10(np.sqrt(np.mean(clip**2))))
    everyone = np.concatenate(list(levels.values()))
    # Less than clipping takes away of 26 dB below full scale, 3 dB about it.
    assert -29.5 < everyone.min() < everyone.max() < -22.5
    means = [np.mean(values) for values in levels.values()]
    assert np.ptp(means) < 3


def spoken_seconds(clip: np.ndarray) -> float:
    frames = np.sqrt((clip[: len(clip) // 400 * 400].reshape(-1, 400) ** 2).mean(1))
    loud = np.flatnonzero(frames > 0.15 * frames.max())
    return float((loud[-1] - loud[0] + 1) * 400 / 16_000)


def pitch_hz(clip: np.ndarray) -> float:
    """Median over loud windows of the lag with the highest normalised autocorrelation."""
    found = []
    for start in range(0, len(clip) - 1024, 512):
        window = clip[start : start + 1024] * np.hanning(1024)
        spectrum = np.abs(np.fft.rfft(window, 4096)) ** 2
        lags = np.fft.irfft(spectrum)[:400]
        if np.sqrt(np.mean(window**2)) > np.sqrt(np.mean(clip**2)):
            found.append(16_000 / (32 + int(np.argmax(lags[32:360]))))
    return float(np.median(found))


def test_prosody_is_audible(folder: Path, rows: list[dict[str, str]]) -> None:
    by_emotion = defaultdict(list)
    for row in rows:
        clip = samples(folder, row)
        by_emotion[row["label"]].append((spoken_seconds(clip), pitch_hz(clip)))
    length, pitch = (
        {emotion: float(np.median([figures[axis] for figures in values])) for emotion, values in by_emotion.items()}
        for axis in (0, 1)
    )
    assert length["sad"] > length["neutral"] > length["fear"]
    assert pitch["fear"] > pitch["neutral"] > pitch["disgust"]


def test_the_same_seed_gives_the_same_samples(
    folder: Path, rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POTSTILL_CACHE", str(tmp_path))
    again, other = synthesised_folder(0, SMALL), synthesised_folder(1, SMALL)
    assert again != folder
    assert all((again / row["path"]).read_bytes() == (folder / row["path"]).read_bytes() for row in rows)
    assert (other / "manifest.csv").read_bytes() != (folder / "manifest.csv").read_bytes()


def test_without_a_folder_the_corpus_is_synthesised(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak_emotions, "synthesised_folder", lambda seed: folder)
    corpus = open_emotions(None)
    assert (corpus.name, corpus.synthetic, corpus.speaker_disjoint) == ("espeak-ng emotions", True, True)
    assert corpus.labels == EMOTIONS[:7]
    assert corpus.split_rule == "given"
