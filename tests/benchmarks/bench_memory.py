# ruff: noqa: T201
"""What of a large corpus enters memory: one trial on clips that lie in the cache, its memory by kind."""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import spaces
from spaces.board import load_board
from trainables.assignment import Assignment
from trainables.cache import Mapped, filled_array
from trainables.corpora.audio import audio_key
from trainables.corpora.corpus import Clip, Corpus, content_hash
from trainables.recipe import Material
from trainables.trial import run_trial

RATE_HZ = 16_000
CHUNK = 1024
SPACE = spaces.recipe_space("wakeword")
# One clip in so many is the word, so that an epoch of some thousand clips is drawn from all over the corpus.
EVERY = 50
PARAMS = {**SPACE.START_POINTS[0], "view_share": 0.0}


def main() -> None:
    """Print a table: without arguments of 1,000 and of 100,000 clips, each in a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int)
    clips = parser.parse_args().clips
    if clips:
        one_trial(clips)
        return
    for count in (1_000, 100_000):
        # On the disk of the cache, not in a temporary file system that lies in memory.
        with tempfile.TemporaryDirectory(dir=os.environ.get("POTSTILL_BENCH_FOLDER")) as folder:
            environment = {**os.environ, "POTSTILL_CACHE": folder, "POTSTILL_CACHE_CAP": "100G"}
            command = [sys.executable, "-m", "tests.benchmarks.bench_memory", "--clips", str(count)]
            subprocess.run(command, env=environment, check=True)


def one_trial(clips: int) -> None:
    """Make a corpus of noise in the cache, then teach one student on it for one epoch."""
    torch.set_num_threads(1)
    corpus = synthetic_corpus(clips)
    started = time.perf_counter()
    put_audio(corpus)
    print(f"{clips} clips: audio {clips * RATE_HZ * 2 / 1e9:.2f} GB in the cache, made in {_since(started)}")
    with tempfile.TemporaryDirectory() as folder, Memory() as memory:
        before = memory.anonymous_mib()
        facts = {"content_hash": corpus.content_hash, "name": "noise"}
        logits = np.random.default_rng(0).standard_normal((clips, 2)).astype(np.float32)
        material = Material(corpus, logits, facts, facts)
        assignment = Assignment("wakeword", material, load_board(SPACE.BOARD), 1, 0, Path(folder) / "trials")
        started = time.perf_counter()
        metrics = run_trial(assignment, 0, PARAMS)
        seconds = metrics["seconds"]
        print(
            f"  trial in {_since(started)}: features {seconds['features']:.0f} s, one epoch {seconds['training']:.0f} s"
        )
        print(f"  anonymous memory: {before:.0f} MiB before the trial, {memory.peak_mib:.0f} MiB at its peak")
        print(f"  pages of mapped files, which the kernel may drop: {memory.file_peak_mib:.0f} MiB at their peak")


def synthetic_corpus(clips: int) -> Corpus:
    """Clips of nobody, one in `EVERY` of them the word; a tenth each is for validation and for test."""
    split = {8: "validation", 9: "test"}
    template = Clip(Path("x"), "other", "other", "", "", "train", "", 1.0, RATE_HZ)
    found = tuple(
        replace(
            template,
            label="word" if number // 10 % (EVERY // 10) == 0 and number % 10 in (0, 8, 9) else "other",
            split=split.get(number % 10, "train"),
            speaker=f"speaker{number % 10}",
            audio_hash=hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest(),
        )
        for number in range(clips)
    )
    return Corpus("noise", found, ("other", "word"), content_hash(found), RATE_HZ, "given", True)


def put_audio(corpus: Corpus) -> None:
    """Noise, and in the words a tone, as int16 that really lies on the disk."""

    def fill(audio: Mapped) -> None:
        rng, tone = np.random.default_rng(0), 3000 * np.sin(np.arange(RATE_HZ) * 0.3)
        target = corpus.targets()
        for at in range(0, len(audio), CHUNK):
            noise = rng.integers(-2000, 2000, (len(audio[at : at + CHUNK]), RATE_HZ), np.int16)
            audio[at : at + CHUNK] = noise + (target[at : at + CHUNK, None] * tone).astype(np.int16)

    filled_array(audio_key(corpus, RATE_HZ), (len(corpus.clips), RATE_HZ), np.int16, fill)


class Memory:
    """The memory of this process by kind, looked at 20 times a second."""

    def __init__(self) -> None:
        self.peak_mib = self.file_peak_mib = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._ended.set()
        self._thread.join()

    def anonymous_mib(self) -> float:
        """What lies in memory alone: arrays, code's data, allocators."""
        return self._now()[0]

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            anonymous, files = self._now()
            self.peak_mib, self.file_peak_mib = max(self.peak_mib, anonymous), max(self.file_peak_mib, files)

    def _now(self) -> tuple[float, float]:
        # Of the kernel's own counts: walking the maps in smaps would take longer than the trial.
        lines = Path("/proc/self/status").read_text().splitlines()
        found = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssFile"))}
        return found["RssAnon"] / 1024, found["RssFile"] / 1024


def _since(started: float) -> str:
    return f"{time.perf_counter() - started:.0f} s"


if __name__ == "__main__":
    main()
