"""A search over private captures as a person runs it: nothing that it leaves holds their sound or their names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from export.__main__ import main
from tests.conftest import spoken
from tests.search.studies import ROOT

RATE_HZ = 16_000
EXCERPT = slice(6_000, 6_064)


def captures(speech: Path, folder: Path) -> tuple[Path, Path]:
    """Public recordings, a folder per class, and as many captures by other voices, named by the minute."""
    public, home = folder / "public", folder / "home"
    for label, word in (("baby_cry", "up"), ("other", "down")):
        (public / label).mkdir(parents=True)
        (home / label).mkdir(parents=True)
        for path in sorted((speech / word).glob("*.wav"))[:24]:
            (public / label / path.name).write_bytes(path.read_bytes())
        for minute in range(12):
            whole = np.tile(spoken(word, 20 + minute, 0), 2)[:RATE_HZ]
            soundfile.write(home / label / f"nursery-{word}-10h{minute:02d}.wav", whole, RATE_HZ, subtype="PCM_16")
    return public, home


def excerpts(home: Path) -> Iterator[bytes]:
    """Four milliseconds of every capture, as samples of 16 bits and as floats."""
    for path in home.rglob("*.wav"):
        samples, _ = soundfile.read(path, dtype="int16")
        yield samples[EXCERPT].tobytes()
        yield (samples[EXCERPT].astype(np.float32) / 32768).tobytes()


@pytest.mark.slow
def test_captures_reach_neither_results_nor_wandb_nor_exports(tmp_path: Path, speech_folder: Path) -> None:
    public, home = captures(speech_folder, tmp_path)
    results = tmp_path / "results"
    small = ["--trials", "1", "--epochs", "1", "--cpus", "1", "--word", "baby_cry", "--results", str(results)]
    done = subprocess.run(
        [sys.executable, "-m", "search", "baby_cry", "--data", str(public), "--private", str(home), *small],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert main([str(results), "--formats", "tflite,onnx,torchscript,c,hf"]) == 0
    files = [path for path in results.rglob("*") if path.is_file()]
    assert {"report.html", "student.int8.tflite", "model.onnx", "README.md"} & {path.name for path in files}
    assert any(path.suffix == ".wandb" for path in files)
    assert not [path for path in files if path.suffix in (".wav", ".flac", ".mp3", ".ogg")]
    forbidden = [*excerpts(home), b"nursery-"]
    # The excerpt is one that would be found.
    captured = next(home.rglob("*.wav"))
    assert any(part in captured.read_bytes() for part in forbidden)
    for path in files:
        content = path.read_bytes()
        assert not any(part in content for part in forbidden), path
    assert "nursery-" not in done.stdout + done.stderr
