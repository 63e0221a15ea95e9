"""Synthetic clips: what the GAN hears, what is kept, and what the report says of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from spaces.front_end import FrontEnd
from trainables import synthetic_clips as module
from trainables.conditional_gan import GanSettings
from trainables.corpora.arousal_task import open_music
from trainables.corpora.corpus import Corpus
from trainables.features import corpus_features
from trainables.synthetic_clips import feature_range, heard_rows, synthetic_clips
from trainables.synthetic_rows import quality_rows

FRONT_END = FrontEnd(clip_seconds=0.5, hop_samples=320, mels=20)
QUICK = GanSettings(epochs=1)
SPLITS = ("train",) * 3 + ("validation", "test")


def corpus_in(folder: Path, held_out: int) -> Corpus:
    """Noises whose level is their arousal; those for validation and test depend on `held_out`."""
    folder.mkdir()
    rows = ["path,valence,arousal,group,split"]
    for number in range(60):
        split = SPLITS[number % 5]
        random = np.random.default_rng([number, 0 if split == "train" else held_out])
        valence, arousal = random.uniform(-1, 1, 2)
        sound = random.standard_normal(8000) * 0.1 * 4**arousal
        soundfile.write(folder / f"{number}.wav", np.clip(sound, -1, 1), 16_000)
        rows.append(f"{number}.wav,{valence:.3f},{arousal:.3f},g{number},{split}")
    (folder / "manifest.csv").write_text("\n".join(rows))
    return open_music(folder)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return corpus_in(tmp_path_factory.mktemp("gan") / "a", 1)


def test_clips_look_like_features_and_conditions_are_even(corpus: Corpus) -> None:
    made = synthetic_clips(corpus, FRONT_END, 250, 0, QUICK)
    assert made.features.shape == (250, FRONT_END.frames, 20)
    assert made.features.dtype == made.values.dtype == np.float32
    assert made.values.shape == (250, 2)
    np.testing.assert_allclose(
        np.quantile(made.values, [0, 0.25, 0.5, 0.75, 1], axis=0).T[0], [-1, -0.5, 0, 0.5, 1], atol=0.15
    )
    low, high = feature_range(corpus, FRONT_END)
    assert made.features.min() >= low - 1e-4
    assert made.features.max() <= high + 1e-4


def test_held_out_clips_change_nothing(corpus: Corpus, tmp_path: Path) -> None:
    other = corpus_in(tmp_path / "b", 2)
    assert other.content_hash != corpus.content_hash
    for split in ("validation", "test"):
        ours, theirs = (c.clips[c.indices(split)[0]].audio_hash for c in (corpus, other))
        assert ours != theirs
    before, after = (synthetic_clips(c, FRONT_END, 20, 0, QUICK) for c in (corpus, other))
    np.testing.assert_array_equal(before.features, after.features)
    np.testing.assert_array_equal(before.values, after.values)


def test_training_clips_change_what_is_made(corpus: Corpus) -> None:
    train = corpus.indices("train")[0]
    clips = tuple(replace(c, values=(0.0, 0.0)) if at == train else c for at, c in enumerate(corpus.clips))
    changed = replace(corpus, clips=clips, content_hash="changed")
    before, after = (synthetic_clips(c, FRONT_END, 20, 0, QUICK) for c in (corpus, changed))
    assert not np.array_equal(before.features, after.features)


def test_the_gan_is_trained_once_and_fewer_clips_are_the_first_of_more(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = synthetic_clips(corpus, FRONT_END, 150, 3, QUICK)

    def again(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(module, "trained_generator", again)
    for count in (150, 40):
        fewer = synthetic_clips(corpus, FRONT_END, count, 3, QUICK)
        np.testing.assert_array_equal(fewer.features, made.features[:count])
        np.testing.assert_array_equal(fewer.values, made.values[:count])
    with pytest.raises(AssertionError, match="trained again"):
        synthetic_clips(corpus, FRONT_END, 150, 4, QUICK)


def test_only_training_clips_are_heard_and_not_too_many(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    assert heard_rows(corpus).tolist() == corpus.indices("train").tolist()
    monkeypatch.setattr(module, "MOST_CLIPS", 10)
    few = heard_rows(corpus)
    assert len(few) == 10
    assert set(few) < set(corpus.indices("train"))


def test_waveforms_are_refused(corpus: Corpus) -> None:
    raw = replace(FRONT_END, kind="waveform", window_samples=320)
    with pytest.raises(ValueError, match="a GAN of log-mels makes no waveform; use synthetic_clips=0"):
        synthetic_clips(corpus, raw, 10, 0)


def test_the_report_compares_what_is_learnt(corpus: Corpus) -> None:
    made = synthetic_clips(corpus, FRONT_END, 50, 0, QUICK)
    # Clips that are real ones: the regression must read them as well as it reads those.
    train = corpus.indices("train")
    ideal = made._replace(features=np.asarray(corpus_features(corpus, FRONT_END)[train]), values=corpus.values()[train])
    learnt, spectra, _ = quality_rows(corpus, FRONT_END, ideal)
    real, synthetic, both = learnt["rows"]
    assert [line[0] for line in learnt["rows"]] == ["real", "synthetic", "both"]
    assert [line[1] for line in learnt["rows"]] == [36, 36, 72]
    assert real[2:] == synthetic[2:]
    ccc, low, high, on_synthetic = both[6:10]
    assert low <= ccc <= high
    assert min(ccc, on_synthetic, real[6]) > 0.8
    assert real[2] < 0.6
    assert all(len(line) == len(learnt["columns"]) for line in learnt["rows"])
    for line in spectra["rows"]:
        assert line[1::2] == line[2::2]
    assert spectra["rows"][0][0] == "0-2"
