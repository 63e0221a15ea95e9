# ruff: noqa: T201
"""Enhancers that packages ship, beside the noisy input: every measure of test mixtures at each SNR.

`python -m tests.benchmarks.bench_enhancement [--data DIR] [--task NAME] [--seed N]`

Spectral gating by `noisereduce` and RNNoise by `pyrnnoise`, as far as installed (`pip install 'potstill[enhancers]'`).
An enhancer's delay is taken out as a whole number of samples, the same for all clips.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import correlate

from trainables.corpora.audio import resample
from trainables.corpora.enhancement_task import open_enhancement
from trainables.corpora.mixtures import RATE_HZ, Mixtures
from trainables.quality_rows import NOISY, heard

Clips = NDArray[np.float32]

RNNOISE_HZ = 48_000
MOST_DELAY = 1600


def main() -> None:
    """Print a table for each SNR, and each enhancer's delay and time."""
    given = arguments()
    torch.set_num_threads(1)
    mixtures = open_enhancement(given.data, given.task, seed=given.seed)
    rows = mixtures.rows("test")
    noisy, clean = np.array(mixtures.noisy()[rows]), np.array(mixtures.clean()[rows])
    signals = {NOISY: noisy}
    for name, enhance in enhancers().items():
        started = time.process_time()
        made = np.stack([enhance(clip) for clip in noisy])
        seconds = time.process_time() - started
        delay = common_delay(made, noisy)
        signals[name] = np.stack([advanced(clip, delay) for clip in made])
        took = seconds / (noisy.size / RATE_HZ)
        print(f"{name}: delay {delay / RATE_HZ * 1000:.1f} ms taken out, {took:.4f} s of processor per second of sound")
    print(described(mixtures))
    for table in heard(clean, mixtures.snrs_db()[rows], signals).rows():
        print(f"\n{table['title']}")
        for line in [table["columns"], *table["rows"]]:
            print(" | ".join(line))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--task")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def described(mixtures: Mixtures) -> str:
    """What was measured on."""
    rows = mixtures.rows("test")
    clips = len({mixtures.facts[row].clip for row in rows})
    return f"{mixtures.corpus.name}: {clips} clips of test in {len(rows)} mixtures; {mixtures.corpus.split_rule}"


def enhancers() -> dict[str, Callable[[Clips], Clips]]:
    """Those whose package is installed."""
    found: dict[str, Callable[[Clips], Clips]] = {}
    if importlib.util.find_spec("noisereduce"):
        gate: Any = importlib.import_module("noisereduce")
        found["noisereduce, stationary"] = lambda clip: gate.reduce_noise(clip, RATE_HZ, stationary=True)
        found["noisereduce"] = lambda clip: gate.reduce_noise(clip, RATE_HZ, stationary=False)
    package = importlib.util.find_spec("pyrnnoise")
    if package is not None and package.submodule_search_locations:
        found["RNNoise"] = rnnoise(Path(package.submodule_search_locations[0]) / "rnnoise.py")
    return found


def rnnoise(path: Path) -> Callable[[Clips], Clips]:
    """RNNoise through its binding alone: the package around it would import a player and a plotter."""
    spec = importlib.util.spec_from_file_location("rnnoise_binding", path)
    assert spec is not None and spec.loader is not None
    binding: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(binding)

    def enhance(clip: Clips) -> Clips:
        wide = resample(clip, RATE_HZ, RNNOISE_HZ).clip(-1, 1)
        state, size = binding.create(), binding.FRAME_SIZE
        frames = [wide[at : at + size] for at in range(0, len(wide), size)]
        made = np.concatenate([binding.process_mono_frame(state, frame)[0] for frame in frames])
        binding.destroy(state)
        return resample(made.astype(np.float32) / np.float32(32768), RNNOISE_HZ, RATE_HZ)[: len(clip)]

    return enhance


def common_delay(made: Clips, noisy: Clips) -> int:
    """By how many samples the enhanced clips lag behind the noisy ones: the median of the best correlations."""
    delays = []
    for ours, theirs in zip(made, noisy, strict=True):
        correlation = correlate(ours, theirs, method="fft")[len(theirs) - 1 :][:MOST_DELAY]
        delays.append(int(np.argmax(correlation)))
    return int(np.median(delays))


def advanced(clip: Clips, delay: int) -> Clips:
    """The clip that much earlier, with zeros behind it."""
    return np.pad(clip[delay:], (0, delay))


if __name__ == "__main__":
    main()
