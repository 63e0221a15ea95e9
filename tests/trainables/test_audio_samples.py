"""Sounds of a trial: one clip for each SNR, as files that hold the samples."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from trainables.audio_samples import RATE_HZ, SECONDS, audio_samples


def test_one_clip_for_each_snr_in_every_signal() -> None:
    random = np.random.default_rng(0)
    signals = {name: random.uniform(-0.9, 0.9, (6, 48_000)).astype(np.float32) for name in ("noisy input", "clean")}
    rows, files = audio_samples(
        signals, np.tile([5.0, -5.0, 0.0], 2), {1: "rain, anna", 3: "bus, bert", 4: "sea, bert"}
    )
    assert [row["title"] for row in rows] == ["Test clip at -5 dB: rain, anna", "Test clip at 5 dB: bus, bert"]
    assert rows[0] == {
        "type": "audio",
        "title": "Test clip at -5 dB: rain, anna",
        "clips": [
            {"name": "noisy input", "file": "noisy_input_-5dB.flac"},
            {"name": "clean", "file": "clean_-5dB.flac"},
        ],
    }
    assert len(files) == 4
    samples, rate = soundfile.read(io.BytesIO(files["clean_5dB.flac"]), dtype="float32")
    assert rate == RATE_HZ and len(samples) == SECONDS * RATE_HZ
    assert np.abs(samples - signals["clean"][3][: len(samples)]).max() <= 0.5 / 32768 + 1e-7
