"""A cache of its own for each test, and small recordings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

Record = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "own-cache"
    monkeypatch.setenv("POTSTILL_CACHE", str(folder))
    return folder


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Write `tmp_path/data/<path>`: noise drawn from `seed`, different in every file unless the seed says otherwise."""
    count = iter(range(1_000_000))

    def write(path: str, seed: int | None = None, samples: int = 400, rate: int = 16_000) -> Path:
        target = tmp_path / "data" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng([7, next(count)] if seed is None else seed).normal(0, 0.1, samples)
        soundfile.write(target, noise, rate, subtype="PCM_16")
        return target

    return write
