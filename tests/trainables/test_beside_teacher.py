"""The student beside its teacher: counts of weights, costs worked out once, and the table of both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import torch

from export.footprint import profile
from export.tflite import float_tflite
from spaces.board import load_board
from spaces.front_end import FrontEnd
from trainables.beside_teacher import DeviceTeacher, beside_rows, compression, teacher_costs
from trainables.conversion import int8_student
from trainables.corpora.wakeword_task import open_corpus
from trainables.students.layers import GlobalPool, conv_block
from trainables.teachers import cross_fitted, head, open_encoder
from trainables.teachers.cross_fitted import taught_by
from trainables.teachers.encoder import Encoder
from trainables.teachers.weights import weights_in

BOARD = load_board("esp32-s3-devkitc-1-n8")
FRONT_END = FrontEnd(hop_samples=320, mels=20)


def network() -> torch.nn.Module:
    return torch.nn.Sequential(conv_block(1, 8, (3, 3), (2, 2)), GlobalPool(), torch.nn.Linear(8, 3))


def test_weights_are_counted_as_the_converter_folds_them() -> None:
    # Batch normalisation becomes one bias for each filter.
    assert weights_in(float_tflite(network(), (1, 49, 20))) == 9 * 8 + 8 + 8 * 3 + 3


def test_the_default_teacher_tells_its_size() -> None:
    encoder = open_encoder("speech_embedding")
    assert encoder.parameters is not None and 300_000 < encoder.parameters < 400_000


@final
class Deaf(Encoder):
    """Hears nothing, and may tell how many parameters it has."""

    def __init__(self, name: str, parameters: int | None) -> None:
        self.name = self.content_hash = name
        self.parameters = parameters

    def embed(self, audio: np.ndarray) -> np.ndarray:
        return np.zeros((len(audio), 2, 4), np.float32)


@pytest.mark.parametrize(("sizes", "total"), [((700, 300), 1000), ((700, None), None)])
def test_teachers_together_have_the_parameters_of_all(
    sizes: tuple[int | None, ...], total: int | None, speech_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_fitted, "open_encoder", lambda spec: Deaf(spec, sizes[int(spec)]))
    monkeypatch.setattr(cross_fitted, "HEAD_VERSION", "untrained")
    monkeypatch.setattr(head, "EPOCHS", 1)
    corpus = open_corpus(speech_folder, "up")
    assert taught_by("mean(0, 1)", corpus, 1.0, 0).parameters == total
    assert taught_by("0", corpus, 1.0, 0).parameters == 700


def test_costs_are_the_profilers_and_worked_out_once() -> None:
    calls = []

    def build() -> torch.nn.Module:
        calls.append(1)
        return network()

    teacher = DeviceTeacher("three filters", build, FRONT_END)
    found = teacher_costs(teacher, BOARD)
    torch.manual_seed(0)
    clips = np.random.default_rng(0).standard_normal((8, 49, 20)).astype(np.float32)
    expected = profile(int8_student(network(), clips), BOARD, FRONT_END).footprint.as_dict()
    assert found == {**expected, "fits": "yes"}
    assert teacher_costs(teacher, BOARD) == found
    assert len(calls) == 1
    cramped = teacher_costs(teacher, replace(BOARD, sram_bytes=2048))
    assert cramped["fits"].startswith("no: sram has 2,048 bytes for ")


def metrics(**changes: Any) -> dict[str, Any]:
    footprint = {"flash_bytes": 10, "arena_bytes": 20, "latency_ms": 2.0, "decision_ms": 4.0, "placement": "here"}
    return {"footprint": footprint, "parameters": 50, "compression": None, "validation": {}, "test": {}} | changes


def test_the_table_by_hand() -> None:
    assert compression({"parameters": 1000}, 50) == 20.0
    assert compression({"parameters": None}, 50) is compression({}, 50) is None
    costs = {"flash_bytes": 100, "arena_bytes": 50, "latency_ms": 3.0, "decision_ms": 6.0, "placement": "there"}
    of_both = metrics(compression=20.0, validation={"retention": 0.75}, test={"retention": 0.5})
    (table,) = beside_rows({"name": "yamnet", "parameters": 1000}, of_both, costs | {"fits": "yes"})
    assert table["columns"] == ["figure", "student", "yamnet", "teacher / student"]
    assert table["rows"] == [
        ["score retained on validation", 0.75, 1.0, ""],
        ["score retained on test", 0.5, 1.0, ""],
        ["parameters", 50, 1000, 20.0],
        ["INT8 flash_bytes", 10, 100, 10.0],
        ["INT8 arena_bytes", 20, 50, 2.5],
        ["INT8 latency_ms", 2.0, 3.0, 1.5],
        ["INT8 decision_ms", 4.0, 6.0, 1.5],
        ["INT8 placement", "here", "there", ""],
        ["INT8 fits the board", "", "yes", ""],
    ]


@pytest.mark.parametrize("teacher", [{}, {"name": "clueless", "parameters": None}])
def test_nothing_known_is_no_table(teacher: dict[str, Any]) -> None:
    assert beside_rows(teacher, metrics(), None) == []
