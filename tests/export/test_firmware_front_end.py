"""The front end in C against the features that students are trained on, under the sanitizers of a host's compiler."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from export.c_front_end import Step, check_front_end, factors, sparse_mels, waveform_borders, window_of
from export.carried import CannotCarryError
from export.firmware_host import FIRMWARE, HOST_PROGRAM, heard
from export.front_end import compressed, features_of, mel_filters
from export.golden_sound import as_int16, golden_sound
from export.overlap_add import log_powers, masked_sound
from spaces.front_end import FrontEnd
from tests.conftest import GLIDES, spoken
from tests.export.firmware_programs import COMPILER, DRIVERS, NO_COMPILER, front_end_sources, program
from trainables.features import log_mel
from trainables.spectra import enhanced, log_power, spectra

needs_compiler = pytest.mark.skipif(COMPILER is None, reason=NO_COMPILER)
STEP = Step(0.03, -11)
ENHANCEMENT = FrontEnd(kind="log_power", window_samples=320, hop_samples=160, n_fft=320)
FRONT_ENDS = {
    "as trained": FrontEnd(),
    "magnitudes": FrontEnd(spectrum_power=1, window_samples=512),
    "yamnet": FrontEnd(mels=64, low_hz=125.0, high_hz=7500.0, log_floor=1e-3),
    "long windows": FrontEnd(sample_rate_hz=22_050, window_samples=2048, hop_samples=512, n_fft=2048, high_hz=8000.0),
    "short windows, empty mels": FrontEnd(window_samples=64, hop_samples=32, n_fft=64, mels=26),
    "windows apart": FrontEnd(window_samples=200, hop_samples=450, n_fft=256),
    "tiny": FrontEnd(window_samples=4, hop_samples=3, n_fft=4, mels=1),
    "waveform": FrontEnd(kind="waveform", window_samples=16, hop_samples=16),
    "waveform of one sample": FrontEnd(kind="waveform", window_samples=1, hop_samples=1),
    "spectra": ENHANCEMENT,
    "spectra, factors 3 and 5": FrontEnd(kind="log_power", window_samples=450, hop_samples=225, n_fft=450),
}


def sounds() -> dict[str, np.ndarray]:
    """int16 sounds of a second and a bit: words, noise at full scale, nothing, and what a broken microphone gives."""
    rng = np.random.default_rng(4)
    said = np.concatenate([spoken(word, 3, 1) for word in GLIDES])[:18_000]
    return {
        "words": np.round(said * 32767).astype(np.int16),
        "noise": rng.integers(-32768, 32768, 18_000).astype(np.int16),
        "faint": rng.integers(-3, 4, 18_000).astype(np.int16),
        "silence": np.zeros(18_000, np.int16),
        "extremes": np.where(np.arange(18_000) // 40 % 2, 32767, -32768).astype(np.int16),
        "golden": golden_sound(18_000),
    }


def trained_on(samples: np.ndarray, front_end: FrontEnd) -> np.ndarray:
    """Features [frames, values] as training computes them."""
    if front_end.kind == "waveform":
        whole = len(samples) // front_end.hop_samples * front_end.hop_samples
        return compressed(samples[:whole]).reshape(-1, front_end.hop_samples)
    audio = torch.from_numpy(samples.astype(np.float32) / 32768)[None]
    if front_end.kind == "log_mel":
        return log_mel(audio, front_end)[0].numpy()
    return log_power(spectra(audio, front_end), front_end)[0].numpy()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@needs_compiler
@pytest.mark.parametrize("name", FRONT_ENDS)
def test_c_features_are_those_of_training(name: str, shared: Path, tmp_path: Path) -> None:
    front_end = FRONT_ENDS[name]
    built = program(tmp_path, shared, front_end_sources(front_end, STEP), FIRMWARE / HOST_PROGRAM)
    for sound, samples in sounds().items():
        expected = trained_on(samples, front_end)
        found = heard(built, samples, front_end)
        codes = np.clip(np.round(expected / STEP.scale) + STEP.zero_point, -128, 127).astype(int)
        assert found.codes.shape == codes.shape
        if front_end.kind == "waveform":
            np.testing.assert_array_equal(found.codes, codes, sound)
            continue
        assert found.features is not None
        # Alternating extremes and full-scale noise leave bins near the floor, where float32 transforms differ most.
        np.testing.assert_allclose(found.features, expected, atol=1e-3, err_msg=sound)
        assert np.abs(found.features - expected).mean() < 2e-5, sound
        assert np.abs(found.codes - codes).max() <= 1
        assert (found.codes != codes).mean() < 0.005


@pytest.fixture(scope="module")
def in_pieces(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, bytes]]:
    """A front end with windows that overlap and one with windows apart, each with what it makes of a sound at once."""
    made = {}
    for name in ("as trained", "windows apart"):
        folder = tmp_path_factory.mktemp("pieces")
        built = program(folder, shared, front_end_sources(FRONT_ENDS[name], STEP), FIRMWARE / HOST_PROGRAM)
        made[name] = (built, output(built, [1499]))
    return made


def output(built: Path, pieces: list[int]) -> bytes:
    sound = golden_sound(6_000).tobytes()
    return subprocess.run([str(built), *map(str, pieces)], input=sound, capture_output=True, check=True).stdout


@needs_compiler
@pytest.mark.parametrize("name", ["as trained", "windows apart"])
@given(pieces=st.lists(st.integers(0, 1499), min_size=1, max_size=6))
@settings(deadline=None, max_examples=15)
def test_how_sound_is_cut_changes_nothing(
    in_pieces: dict[str, tuple[Path, bytes]], name: str, pieces: list[int]
) -> None:
    built, whole = in_pieces[name]
    assert output(built, pieces) == whole


@needs_compiler
@pytest.mark.parametrize("length", [4, 6, 8, 10, 12, 30, 60, 90, 320, 480, 512, 750, 1024, 2048])
def test_fft_transforms_there_and_back(length: int, shared: Path, tmp_path: Path) -> None:
    front_end = FrontEnd(
        kind="log_power", sample_rate_hz=48_000, window_samples=length, hop_samples=length // 2, n_fft=length
    )
    built = program(tmp_path, shared, front_end_sources(front_end, STEP), DRIVERS / "fft_driver.c")
    samples = np.random.default_rng(length).standard_normal((3, length)).astype(np.float32)
    done = subprocess.run([str(built)], input=samples.tobytes(), capture_output=True, check=True)
    rows = np.frombuffer(done.stdout, np.float32).reshape(3, -1)
    found = rows[:, : length + 2].copy().view(np.complex64)
    expected = np.fft.rfft(samples.astype(np.float64))
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())
    np.testing.assert_allclose(rows[:, length + 2 :], samples, atol=2e-6)


@given(st.integers(1, 4096))
def test_factors_are_those_that_the_fft_has(length: int) -> None:
    left = length
    for factor in (2, 3, 5):
        while left % factor == 0:
            left //= factor
    if left == 1:
        assert int(np.prod(factors(length))) == length
        assert set(factors(length)) <= {2, 3, 4, 5}
    else:
        with pytest.raises(CannotCarryError, match=f"{2 * length} samples have {left}"):
            factors(length)


@pytest.mark.parametrize("front_end", [FrontEnd(), FRONT_ENDS["short windows, empty mels"]])
def test_sparse_mels_are_the_dense_ones(front_end: FrontEnd) -> None:
    starts, counts, weights = sparse_mels(front_end)
    dense = np.zeros((front_end.mels, front_end.n_fft // 2 + 1), np.float32)
    at = 0
    for mel, (first, count) in enumerate(zip(starts, counts, strict=True)):
        dense[mel, first : first + count] = weights[at : at + count]
        at += count
    np.testing.assert_array_equal(dense.T, mel_filters(front_end))


def test_windows_are_those_of_training() -> None:
    np.testing.assert_allclose(window_of(FrontEnd()), torch.hann_window(400).numpy(), rtol=0, atol=3e-7)
    np.testing.assert_allclose(window_of(ENHANCEMENT), torch.hann_window(320).sqrt().numpy(), rtol=0, atol=3e-7)


def test_features_in_numpy_are_those_of_training_for_spectra_too() -> None:
    for sound, samples in sounds().items():
        expected = trained_on(samples, ENHANCEMENT)
        np.testing.assert_allclose(features_of(samples, ENHANCEMENT), expected, atol=1e-3, err_msg=sound)
        np.testing.assert_array_equal(log_powers(samples, ENHANCEMENT), features_of(samples, ENHANCEMENT))
    assert features_of(np.zeros(319, np.int16), ENHANCEMENT).shape == (0, 161)


def test_sound_of_masks_in_numpy_is_that_of_training() -> None:
    samples = sounds()["words"]
    masks = np.random.default_rng(0).random(features_of(samples, ENHANCEMENT).shape).astype(np.float32)
    audio = torch.from_numpy(samples.astype(np.float32) / 32768)[None]
    expected = enhanced(audio, torch.from_numpy(masks)[None], ENHANCEMENT)[0].numpy()
    np.testing.assert_allclose(masked_sound(samples, masks, ENHANCEMENT)[160:], expected, atol=1e-6)
    assert as_int16(np.array([2.0, -2.0, 0.5], np.float32)).tolist() == [32767, -32768, 16384]


@given(scale=st.floats(1e-4, 1.0), zero=st.integers(-128, 127))
@settings(max_examples=20, deadline=None)
def test_borders_give_every_sample_its_code(scale: float, zero: int) -> None:
    step = Step(float(np.float32(scale)), zero)
    samples = np.arange(-32768, 32768)
    codes = np.clip(np.round(compressed(samples.astype(np.int16)) / step.scale) + zero, -128, 127)
    np.testing.assert_array_equal(np.searchsorted(waveform_borders(step), samples, "right") - 128, codes)


def test_what_the_firmware_does_not_compute_is_refused_with_the_reason() -> None:
    strange = FrontEnd()
    object.__setattr__(strange, "kind", "mfcc")
    with pytest.raises(CannotCarryError, match=r"front ends log_mel, waveform, log_power, micro, not mfcc"):
        check_front_end(strange)
    with pytest.raises(CannotCarryError, match="at least 4 samples, not n_fft=2"):
        check_front_end(FrontEnd(window_samples=2, hop_samples=2, n_fft=2))
    with pytest.raises(CannotCarryError, match="up to 65535, not 80000"):
        check_front_end(FrontEnd(kind="waveform", window_samples=1, hop_samples=1, clip_seconds=5.0))
