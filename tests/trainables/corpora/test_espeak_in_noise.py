"""The embedded corpus of speech and noise: what is in which split, and the same samples twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainables.corpora.espeak_in_noise import Settings, synthesised_folder

COUNTS = {"train": 2, "validation": 1, "test": 1}
SMALL = Settings(speakers=COUNTS, clips=COUNTS, recordings=COUNTS, kinds=("rain", "babble"), test_kinds=("alarm",))


def names(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.wav")}


def test_splits_share_no_voice_and_test_has_noise_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = synthesised_folder(0, 1.0, SMALL)
    found = names(folder)
    speakers = {s: {name.split("/")[2] for name in found if name.startswith(f"clean/{s}/")} for s in COUNTS}
    assert {split: len(them) for split, them in speakers.items()} == COUNTS
    assert not speakers["train"] & speakers["test"] and not speakers["train"] & speakers["validation"]
    kinds = {s: sorted({name.split("/")[2] for name in found if name.startswith(f"noise/{s}/")}) for s in COUNTS}
    assert kinds == {"train": ["babble", "rain"], "validation": ["babble", "rain"], "test": ["alarm", "babble", "rain"]}
    assert len(set(found.values())) == len(found)
    for name in found:
        samples, rate = soundfile.read(folder / name)
        assert rate == 16_000 and 0.4 < np.abs(samples).max() < 0.6
        if name.startswith("clean/"):
            # Phrases with short pauses fill the clip.
            assert len(samples) == 16_000
            assert np.square(samples.reshape(2, -1)).mean(axis=1).min() > 1e-5
    monkeypatch.setenv("POTSTILL_CACHE", str(tmp_path / "another"))
    assert names(synthesised_folder(0, 1.0, SMALL)) == found
    assert names(synthesised_folder(1, 1.0, SMALL)) != found
