"""Tests of the host's TFLM interpreter in its own process."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from export.tflite import float_tflite, int8_tflite
from export.tflm_host import TflmHost, _load

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def host() -> Iterator[TflmHost]:
    process = TflmHost()
    yield process
    process.close()


def test_answers_many_threads(host: TflmHost, student: bytes) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(host.arena, [student] * 12))
    assert len(found) == 1
    (arena,) = found
    assert arena.total_bytes == arena.head_bytes + arena.tail_bytes > 0


def test_a_model_may_need_far_more_than_its_weights(host: TflmHost) -> None:
    wide = torch.nn.Sequential(torch.nn.Conv2d(1, 64, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(64, 1, 3))
    clips = np.random.default_rng(0).normal(size=(2, 200, 100, 1)).astype(np.float32)
    model = int8_tflite(float_tflite(wide.eval(), (1, 200, 100)), clips)
    assert len(model) < 10_000
    assert host.arena(model).total_bytes > 200 * 100 * 64


def test_outlives_the_death_of_its_child(host: TflmHost, student: bytes) -> None:
    first = host.arena(student)
    assert host._child is not None
    os.kill(host._child.pid, signal.SIGKILL)
    host._child.wait()
    assert host.arena(student) == first


def test_prints_nothing_of_its_own(host: TflmHost, student: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    host.arena(student)
    assert capfd.readouterr() == ("", "")


def test_says_that_the_interpreter_stopped(student: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.tflm_host.__file__", os.devnull)
    process = TflmHost()
    with pytest.raises(ValueError, match=r"interpreter of this host stops on this model \(exit -?\d+\)"):
        process.arena(student)


def test_says_that_the_package_is_missing(student: bytes) -> None:
    assert _load(None, student) == "the package tflite-micro is not installed"
