"""Exported programs: read without unpickling, whatever an archive brings along."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from export.pt2 import input_shapes, read_network, read_program

MODEL, SAMPLES = "models/model.json", "data/sample_inputs/model.pt"
WEIGHTS = "data/weights/model_weights_config.json"


class Bomb:
    """Unpickled, it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self._mark,)


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 6, 2))
    return layers.eval()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "student.pt2"
    torch.export.save(torch.export.export(network(), (torch.zeros(1, 1, 10, 8),)), path)
    return path


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The archive with its parts changed, by name without the folder."""
    with zipfile.ZipFile(path) as archive:
        parts = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(f"student/{name}", content)
    return path


def bomb(mark: Path) -> bytes:
    packed = io.BytesIO()
    torch.save(Bomb(mark), packed)
    return packed.getvalue()


def test_program_computes_what_the_network_does(saved: Path) -> None:
    x = torch.randn(1, 1, 10, 8)
    with torch.no_grad():
        expected: Tensor = network()(x)
    assert torch.equal(read_network(saved)(x), expected)
    assert torch.equal(read_network(saved).eval()(x), expected)
    assert input_shapes(read_program(saved)) == [(1, 1, 10, 8)]


def test_pickled_sample_inputs_are_refused(saved: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    evil = rewritten(saved, lambda parts: parts.update({SAMPLES: bomb(mark)}))
    with pytest.raises(ValueError, match="its sample inputs are not plain tensors"):
        read_program(evil)
    assert not mark.exists()
    # The archive is a working attack on torch's own reader.
    with pytest.raises(Exception):  # noqa: B017
        torch.export.load(evil)
    assert mark.exists()


def test_pickled_weights_are_refused(saved: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    def change(parts: dict[str, bytes]) -> None:
        config = json.loads(parts[WEIGHTS])
        config["config"]["0.weight"]["use_pickle"] = True
        parts |= {WEIGHTS: json.dumps(config).encode(), "data/weights/weight_0": bomb(mark)}

    with pytest.raises(ValueError, match=r"0\.weight is not stored as a plain tensor"):
        read_program(rewritten(saved, change))
    assert not mark.exists()


@pytest.mark.parametrize(
    "name", ["data/weights/model.pt", "data/aotinductor/model/model.so", "data/constants/custom_obj_0", "extra/a"]
)
def test_parts_that_no_student_needs_are_refused(saved: Path, tmp_path: Path, name: str) -> None:
    evil = rewritten(saved, lambda parts: parts.update({name: bomb(tmp_path / "ran")}))
    with pytest.raises(ValueError, match=f"it holds '{name}', which no student needs"):
        read_program(evil)


def test_calls_of_anything_but_aten_are_refused(saved: Path) -> None:
    def change(parts: dict[str, bytes]) -> None:
        model = json.loads(parts[MODEL])
        model["graph_module"]["graph"]["nodes"][0]["target"] = "torch.serialization.os.system"
        parts[MODEL] = json.dumps(model).encode()

    with pytest.raises(ValueError, match=r"it calls 'torch\.serialization\.os\.system', which is no aten operator"):
        read_program(rewritten(saved, change))


@pytest.mark.parametrize("field", ["guards_code", "range_constraints"])
def test_expressions_are_refused(saved: Path, field: str) -> None:
    def change(parts: dict[str, bytes]) -> None:
        parts[MODEL] = json.dumps(json.loads(parts[MODEL]) | {field: ["__import__('os')"]}).encode()

    with pytest.raises(ValueError, match="it brings expressions that torch would evaluate"):
        read_program(rewritten(saved, change))


def test_symbolic_size_is_refused(saved: Path) -> None:
    def change(parts: dict[str, bytes]) -> None:
        model = json.loads(parts[MODEL])
        values = model["graph_module"]["graph"]["tensor_values"]
        next(iter(values.values()))["sizes"][0] = {"as_expr": {"expr_str": "__import__('os').getpid()", "hint": None}}
        parts[MODEL] = json.dumps(model).encode()

    with pytest.raises(ValueError, match="which torch would evaluate"):
        read_program(rewritten(saved, change))


def test_programs_of_older_torch_are_refused_not_unpickled(tmp_path: Path) -> None:
    path, mark = tmp_path / "student.pt2", tmp_path / "ran"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("version", "8.17")
        archive.writestr("serialized_state_dict.pt", bomb(mark))
    with pytest.raises(ValueError, match="is refused"):
        read_program(path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"PK", pickle.dumps([1, 2])])
def test_what_is_no_archive_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "student.pt2"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"student\.pt2 is refused"):
        read_program(path)
