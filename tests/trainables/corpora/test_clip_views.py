"""Views of training clips: noise at the SNR that was drawn, rooms that move nothing, other splits untouched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import fftconvolve

from trainables.corpora import views
from trainables.corpora.acoustics import mix
from trainables.corpora.audio import load_audio
from trainables.corpora.corpus import Corpus
from trainables.corpora.disturbances import Disturbances, open_disturbances
from trainables.corpora.views import ClipView, Rule, clip_views, disturbed, reverberant
from trainables.corpora.wakeword_task import open_corpus

SAMPLES = 16_000
NOISE_ALONE = Rule(noise_share=1.0, room_share=0.0)


def noise(seed: int, length: int, level: float = 0.05) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(length)).astype(np.float32)


def around(seed: int = 0, length: int = 3000, taps: int = 200) -> Disturbances:
    response = noise(seed + 1, taps, 0.1)
    response[0] = 1.0
    return Disturbances((noise(seed, length, 0.1) * 32768).astype(np.int16), response[None], "made up", f"{seed}")


@pytest.fixture
def corpus(speech_folder: Path) -> Corpus:
    return open_corpus(speech_folder, "up")


@pytest.fixture
def surroundings(corpus: Corpus) -> Disturbances:
    return open_disturbances(corpus, SAMPLES, 0, corpus.indices("train"), corpus.indices("train")[:0])


@given(seed=st.integers(0, 99), snr_db=st.floats(-20, 40), level=st.floats(1e-3, 1.0))
def test_noise_is_added_as_torchaudio_does(seed: int, snr_db: float, level: float) -> None:
    clip, added = noise(seed, 800, level), noise(seed + 1, 800)
    expected = torchaudio.functional.add_noise(
        torch.from_numpy(clip)[None], torch.from_numpy(added)[None], torch.tensor([snr_db])
    )
    np.testing.assert_allclose(mix(clip, added, slice(None), snr_db), expected[0].numpy(), rtol=1e-3, atol=1e-6)


@given(seed=st.integers(0, 99), low=st.floats(0, 30), width=st.floats(0, 20), level=st.floats(1e-3, 0.1))
def test_the_snr_lies_in_the_rules_range(seed: int, low: float, width: float, level: float) -> None:
    clip, rule = noise(seed, 1000, level), replace(NOISE_ALONE, snr_db=(low, low + width))
    heard = disturbed(clip, around(), rule, np.random.default_rng(seed))
    powers = (np.square(part, dtype=np.float64).mean() for part in (clip, heard - clip))
    snr_db = 10 * np.log10(next(powers) / next(powers))
    assert low - 0.05 <= snr_db <= low + width + 0.05


@given(seed=st.integers(0, 99), taps=st.integers(1, 400))
def test_a_room_is_its_convolution_at_the_clips_rms(seed: int, taps: int) -> None:
    clip, response = noise(seed, 500), around(seed, taps=taps).rooms[0]
    wet = fftconvolve(clip.astype(np.float64), response)[: len(clip)]
    expected = wet * np.sqrt(np.square(clip, dtype=np.float64).mean() / np.square(wet).mean())
    np.testing.assert_allclose(reverberant(clip, response), expected, atol=1e-5)


def test_a_room_does_not_move_what_is_said() -> None:
    click = np.zeros(1000, np.float32)
    click[400] = 0.5
    heard = reverberant(click, around().rooms[0])
    assert np.abs(heard[:400]).max() < 1e-6
    assert np.abs(heard).argmax() == 400


def test_silence_stays_silence() -> None:
    silence = np.zeros(500, np.float32)
    assert not disturbed(silence, around(), Rule(), np.random.default_rng(0)).any()


@given(seed=st.integers(0, 99), level=st.floats(0.5, 1.0))
def test_nothing_is_clipped(seed: int, level: float) -> None:
    clip = np.sign(noise(seed, 500)) * np.float32(level)
    assert np.abs(disturbed(clip, around(), Rule(), np.random.default_rng(seed))).max() <= 1


def test_shares_are_those_of_the_rule() -> None:
    clip, rule = noise(0, 300), Rule(noise_share=0.5, room_share=0.25)
    same = [np.array_equal(disturbed(clip, around(), rule, np.random.default_rng(s)), clip) for s in range(800)]
    assert np.mean(same) == pytest.approx(0.5 * 0.75, abs=0.06)


def test_every_training_clip_changes_and_no_other(corpus: Corpus, surroundings: Disturbances) -> None:
    clean = load_audio(corpus, SAMPLES)
    first, second = (view.audio() for view in clip_views(corpus, SAMPLES, surroundings, 2, seed=0))
    training = np.isin(np.arange(len(clean)), corpus.indices("train"))
    for view in (first, second):
        assert np.array_equal((view != clean).any(axis=1), training)
    assert (first[training] != second[training]).any(axis=1).all()


def test_a_view_depends_on_the_clip_and_not_on_its_neighbours(corpus: Corpus, surroundings: Disturbances) -> None:
    turned = replace(corpus, clips=corpus.clips[::-1])
    forth, back = (clip_views(c, SAMPLES, surroundings, 1, seed=3)[0].audio() for c in (corpus, turned))
    assert np.array_equal(forth, back[::-1])


def test_another_seed_noise_or_rule_is_another_view(corpus: Corpus, surroundings: Disturbances) -> None:
    made = {
        clip_views(corpus, SAMPLES, noises, 1, seed, rule)[0].key
        for noises in (surroundings, around())
        for seed in (0, 1)
        for rule in (Rule(), NOISE_ALONE)
    }
    assert len(made) == 8


def test_views_are_made_once(corpus: Corpus, surroundings: Disturbances, monkeypatch: pytest.MonkeyPatch) -> None:
    first = clip_views(corpus, SAMPLES, surroundings, 2, seed=0)
    monkeypatch.setattr(views, "disturbed", None)
    assert clip_views(corpus, SAMPLES, surroundings, 2, seed=0) == first
    with pytest.raises(TypeError):
        clip_views(corpus, SAMPLES, surroundings, 3, seed=0)


def test_a_cache_without_the_view_says_so() -> None:
    with pytest.raises(RuntimeError, match="cache: view-0 is not there; the driver makes it"):
        ClipView("view-0", "audio-0").audio()
