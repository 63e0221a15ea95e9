"""TFLM's audio front end: against its wrapper, against TensorFlow's operator, and its INT8 codes against ESPHome's."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymicro_features import MicroFrontend

from export.front_end import features_in_pieces, features_of
from export.micro_front_end import clip_frames
from export.tflite import host_interpreter
from spaces.candidate import Student
from spaces.front_end import micro_front_end
from tests.conftest import spoken
from tests.export.student_folder import made_student
from trainables.conversion import int8_student
from trainables.students import build_student

MICRO = micro_front_end()


def sound(seed: int = 0, seconds: float = 1.5) -> np.ndarray:
    """int16 samples: a word amid noise that swells."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(round(16_000 * seconds)) * np.linspace(0.001, 0.05, round(16_000 * seconds))
    word = spoken("up", seed, 0)
    noise[4000 : 4000 + len(word)] += word
    return np.clip(np.round(noise * 32768), -32768, 32767).astype(np.int16)


def wrapped(samples: np.ndarray, frontend: MicroFrontend | None = None) -> np.ndarray:
    """What the wrapper gives for whole hops, in its own unit."""
    frontend = frontend or MicroFrontend()
    hops = [frontend.process_samples(samples[at : at + 160].tobytes()) for at in range(0, len(samples) - 159, 160)]
    return np.array([hop.features for hop in hops if hop.features])


def integers(features: np.ndarray) -> np.ndarray:
    """Features as the C code's integers."""
    return np.asarray(np.round((features.astype(np.float64) * MICRO.log_std + MICRO.log_mean) * 25.6), np.int64)


def test_features_are_the_wrappers() -> None:
    for seed in range(3):
        found, expected = features_of(sound(seed), MICRO), wrapped(sound(seed))
        assert found.shape == expected.shape == (148, 40)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found * MICRO.log_std + MICRO.log_mean, expected, atol=1e-5)


def test_the_operator_that_micro_wake_word_trains_with_gives_nearly_the_same() -> None:
    operator = pytest.importorskip("tensorflow.lite.experimental.microfrontend.python.ops.audio_microfrontend_op")
    tensorflow = pytest.importorskip("tensorflow")
    samples = sound(7, 3.0)
    expected = operator.audio_microfrontend(
        tensorflow.convert_to_tensor(samples),
        sample_rate=16_000,
        window_size=30,
        window_step=10,
        num_channels=40,
        upper_band_limit=7500,
        lower_band_limit=125,
        enable_pcan=True,
        min_signal_remaining=0.05,
        out_scale=1,
        out_type=tensorflow.uint16,
    ).numpy()
    apart = np.abs(integers(features_of(samples, MICRO)) - expected)
    # Built with another compiler: a window's last bit may differ, and the FFT's rounding with it.
    assert expected.max() > 400
    assert (apart == 0).mean() > 0.99
    assert apart.mean() < 0.1


@given(cuts=st.lists(st.integers(0, 24_000), max_size=12))
@settings(deadline=None, max_examples=20)
def test_how_sound_is_cut_changes_nothing(cuts: list[int]) -> None:
    hearing = features_in_pieces(MICRO)
    pieces = [hearing.hear(piece) for piece in np.split(sound(), sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(pieces), features_of(sound(), MICRO))


def test_less_than_a_window_has_no_frame() -> None:
    assert features_of(np.zeros(479, np.int16), MICRO).shape == (0, 40)
    assert features_of(np.zeros(480, np.int16), MICRO).shape == (1, 40)


@pytest.mark.parametrize("seconds", [1.0, 1.5])
def test_a_clip_is_led_into_by_itself_backwards(seconds: float) -> None:
    front_end = micro_front_end(seconds)
    clips = np.stack([sound(seed)[: front_end.clip_samples] for seed in range(3)])
    found = clip_frames(clips, front_end)
    assert found.shape == (3, front_end.frames, 40)
    for clip, frames in zip(clips, found, strict=True):
        heard = wrapped(np.concatenate([clip[::-1], clip]))[-front_end.frames :]
        np.testing.assert_allclose(frames * front_end.log_std + front_end.log_mean, heard, atol=1e-5)


def test_led_into_a_clip_is_nearer_to_what_a_device_hears() -> None:
    """The same noise goes on before and under the clip, as where a device stands."""
    nearer = []
    for seed in range(8):
        noise = np.random.default_rng([seed, 1]).standard_normal(64_000) * 0.02
        noise[51_000 : 51_000 + 12_000] += spoken("hat", seed, 1)[:12_000]
        running = np.round(noise * 32767).astype(np.int16)
        clip = running[-16_000:]
        device = features_of(running, MICRO)[-98:]
        led, from_silence = clip_frames(clip[None], MICRO)[0], features_of(clip, MICRO)
        distances = [np.abs(found - device)[:30].mean() for found in (led, from_silence)]
        nearer.append(distances[0] < 0.6 * distances[1])
    assert sum(nearer) >= 7


def test_int8_codes_are_esphomes() -> None:
    """Every integer that its C code can give, beside ((v * 256) + 333) / 666 - 128 of its runtime."""
    value = np.arange(0, 2000)
    esphome = np.clip((value * 256 + 333) // 666 - 128, -128, 127)
    bounds = MICRO.int8_range
    assert bounds is not None
    low, high = bounds
    scale = (high - low) / 255
    zero = round(-128 - low / scale)
    assert (scale, zero) == (1 / 64, -88)
    features = ((value / 25.6 - MICRO.log_mean) / MICRO.log_std).astype(np.float32)
    codes = np.clip(np.round(features / scale) + zero, -128, 127).astype(int)
    np.testing.assert_array_equal(codes, esphome)


def test_micro_wake_words_own_scale_is_a_little_wider() -> None:
    # Its models are calibrated over 0-26 in 255 steps, and fed by the formula above.
    theirs, fed = 26 / 255, MICRO.log_std / 64
    assert theirs / fed - 1 == pytest.approx(0.0033, abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("ds_cnn", {"width": 8, "depth": 1, "second_stride": 2}),
        ("gru", {"hidden": 8, "depth": 1}),
        ("mixednet", {"width": 8, "depth": 2, "stride": 3}),
    ],
)
def test_students_hear_esphomes_codes_whatever_they_were_calibrated_on(kind: str, arguments: dict[str, int]) -> None:
    student = build_student(Student(kind, arguments), MICRO, 2).eval()
    clips = clip_frames(np.stack([sound(seed)[:16_000] for seed in range(8)]), MICRO)
    # Of half the range: by calibration alone a step would be half of ESPHome's.
    assert np.ptp(0.5 * clips) < 0.6 * 255 / 64
    model = int8_student(student, 0.5 * clips, None, MICRO.int8_range)
    assert host_interpreter(model).get_input_details()[0]["quantization"] == (1 / 64, -88)


def test_an_exported_student_hears_it_without_torch(tmp_path: Path) -> None:
    front_end = micro_front_end(0.5)
    student = build_student(Student("gru", {"hidden": 8, "depth": 1}), front_end, 2).eval()
    folder = made_student(tmp_path, "steps", front_end=asdict(front_end))
    clips = clip_frames(np.stack([sound(seed)[:8000] for seed in range(8)]), front_end)
    (folder / "student.int8.tflite").write_bytes(int8_student(student, clips, None, front_end.int8_range))
    np.save(tmp_path / "sound.npy", sound(1, 3.0))
    program = (
        "import sys, json, numpy as np, pathlib\n"
        "from export.exported import open_student\n"
        "from export.listening import Listener\n"
        f"listener = Listener(open_student(pathlib.Path({str(folder)!r})))\n"
        f"sound = np.load({str(tmp_path / 'sound.npy')!r})\n"
        "pieces = [listener.hear(piece)[1] for piece in np.split(sound, [7, 9000, 30001])]\n"
        "print(json.dumps([np.concatenate(pieces).tolist(), 'torch' in sys.modules]))\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    scores, has_torch = json.loads(said.splitlines()[-1])
    assert not has_torch
    assert len(scores) == 25
    assert np.ptp(scores) > 0
