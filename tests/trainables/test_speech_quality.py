"""Measures of enhanced speech: by hand, by least squares, beside the packages' own paths, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables import mean_opinion, speech_quality
from trainables.corpora.audio import decode
from trainables.corpora.espeak_in_noise import Settings, synthesised_folder
from trainables.speech_quality import SDR_FILTER, available, estoi, left_out, quality, sdr_db, si_sdr_db

RATE_HZ = 16_000
FEW = Settings(
    speakers={"train": 2, "validation": 1, "test": 1},
    clips={"train": 1, "validation": 1, "test": 1},
    recordings={"train": 1, "validation": 1, "test": 1},
    kinds=("rain",),
    test_kinds=(),
)


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POTSTILL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    folder = synthesised_folder(0, 2.0, FEW)
    return np.stack([decode(path)[0] for path in sorted(folder.glob("clean/train/*/*.wav"))])


def noise_like(clips: np.ndarray, seed: int) -> np.ndarray:
    return np.asarray(np.random.default_rng(seed).normal(0, 1, clips.shape), np.float32)


def at_snr(clips: np.ndarray, snr_db: float) -> np.ndarray:
    noise = noise_like(clips, 1)
    level = np.sqrt((clips**2).mean(axis=1) / (noise**2).mean(axis=1)) * 10 ** (-snr_db / 20)
    return np.asarray(clips + level[:, None] * noise, np.float32)


@given(st.integers(0, 50), st.floats(0.1, 10), st.floats(-20, 20))
@settings(max_examples=20)
def test_si_sdr_by_its_definition_and_blind_to_scale(seed: int, scale: float, snr_db: float) -> None:
    random = np.random.default_rng(seed)
    clean = random.normal(0, 1, (1, 500))
    noise = random.normal(0, 1, (1, 500)) * 10 ** (-snr_db / 20)
    estimate = scale * (clean + noise)
    target = (estimate @ clean.T) / (clean @ clean.T) * clean
    by_hand = 10 * math.log10((target**2).sum() / ((estimate - target) ** 2).sum())
    assert si_sdr_db(estimate, clean)[0] == pytest.approx(by_hand, abs=1e-3)


def test_sdr_is_what_least_squares_over_512_shifts_leave() -> None:
    random = np.random.default_rng(0)
    clean, room = random.normal(0, 1, 2000), random.normal(0, 1, 30) * 0.5 ** np.arange(30)
    estimate = np.convolve(clean, room)[:2000] + 0.3 * random.normal(0, 1, 2000)
    padded = np.concatenate([clean, np.zeros(SDR_FILTER - 1)])
    shifts = np.stack([np.roll(padded, n) for n in range(SDR_FILTER)], axis=1)
    wanted = np.concatenate([estimate, np.zeros(SDR_FILTER - 1)])
    target = shifts @ np.linalg.lstsq(shifts, wanted, rcond=None)[0]
    by_hand = 10 * np.log10((target**2).sum() / ((wanted - target) ** 2).sum())
    assert sdr_db(estimate[None], clean[None])[0] == pytest.approx(by_hand, abs=0.01)


def test_noise_at_an_snr_has_about_that_sdr(speech: np.ndarray) -> None:
    for snr_db in (-5.0, 0.0, 5.0):
        noisy = at_snr(speech, snr_db)
        assert si_sdr_db(noisy, speech) == pytest.approx(snr_db, abs=0.2)
        assert sdr_db(noisy, speech) == pytest.approx(snr_db, abs=0.6)


def test_less_noise_scores_higher_by_every_measure_and_clean_speech_highest(speech: np.ndarray) -> None:
    scored = [quality(clips, speech) for clips in (at_snr(speech, -5), at_snr(speech, 15), speech)]
    for name in available():
        noisy, better, clean = (scores[name] for scores in scored)
        assert noisy.shape == (len(speech),)
        assert (noisy < better).all() and (better < clean).all(), name
    assert scored[2]["estoi"] == pytest.approx(1.0, abs=1e-6)


def test_clips_without_speech_have_no_intelligibility() -> None:
    silent = np.zeros((1, 4000), np.float32)
    silent[0, :10] = 0.1
    assert np.isnan(estoi(noise_like(silent, 0), silent)).all()


@pytest.mark.skipif("pesq" not in available(), reason="no PESQ here: pip install pesq")
def test_pesq_reaches_the_top_of_its_scale_and_needs_a_quarter_second(speech: np.ndarray) -> None:
    assert quality(speech, speech, ["pesq"])["pesq"] == pytest.approx(4.64, abs=0.01)
    assert np.isnan(quality(speech[:, 9000:10_000], speech[:, 9000:10_000], ["pesq"])["pesq"]).all()


def test_ratios_are_bounded_and_silence_has_the_lowest(speech: np.ndarray) -> None:
    for measure in (sdr_db, si_sdr_db):
        assert measure(np.zeros_like(speech), speech).tolist() == [-60.0, -60.0]
        assert measure(speech, speech).tolist() == [60.0, 60.0]


@pytest.mark.skipif(mean_opinion.model_path() is None, reason="no DNSMOS here: pip install speechmos onnxruntime")
def test_a_short_clip_is_said_again_until_the_network_has_enough(speech: np.ndarray) -> None:
    short = mean_opinion.opinions(speech[:1])
    # 2 s become 16 s, in which seven whole windows begin a second apart.
    by_hand = [mean_opinion.opinions(np.roll(np.tile(speech[0], 8), -n * RATE_HZ)[None, :144_160]) for n in range(7)]
    for name, score in short.items():
        assert score[0] == pytest.approx(np.mean([one[name][0] for one in by_hand]), abs=1e-4)
        assert 1 <= score[0] <= 5


def test_scores_are_kept_by_the_samples_of_both(speech: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = at_snr(speech, 3.0)
    first = quality(noisy, speech, ["si_sdr_db"])

    def never(estimate: np.ndarray, clean: np.ndarray) -> np.ndarray:
        raise AssertionError("computed again")

    monkeypatch.setitem(speech_quality.MEASURES, "si_sdr_db", speech_quality.Measure("SI-SDR", never))
    assert quality(noisy.copy(), speech.copy(), ["si_sdr_db"])["si_sdr_db"].tolist() == first["si_sdr_db"].tolist()
    with pytest.raises(AssertionError, match="computed again"):
        quality(speech, noisy, ["si_sdr_db"])


def test_what_is_not_installed_is_left_out_with_a_word(monkeypatch: pytest.MonkeyPatch, speech: np.ndarray) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert available() == ("sdr_db", "si_sdr_db", "estoi")
    assert left_out() == (
        "DNSMOS overall is left out: pip install 'potstill[dnsmos]' brings its network",
        "PESQ-WB is left out: pip install 'potstill[pesq]' builds it, with a C compiler",
    )
    with pytest.raises(ValueError, match="quality: pesq cannot be computed: pip install"):
        quality(speech, speech, ["pesq"])


def test_other_shapes_and_unknown_measures_are_refused(speech: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"must be \[clips, samples\] alike, not \(1, 32000\) and \(2, "):
        quality(speech[:1], speech)
    with pytest.raises(ValueError, match="quality: 'mos' is unknown; use sdr_db, si_sdr_db, estoi, dnsmos, pesq"):
        quality(speech, speech, ["mos"])
