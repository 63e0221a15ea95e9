"""Exported programs of torch, read without unpickling or running anything that an archive brings along."""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn
    from torch.export import ExportedProgram

# Of what torch.export.save writes, the parts that the program needs; anything else, such as compiled code, is refused.
_MODEL = "models/model.json"
_SAMPLES = "data/sample_inputs/model.pt"
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_PLAIN = ("archive_format", "archive_version", "byteorder", ".data/version", ".data/serialization_id", "version")
_TENSORS = re.compile(r"data/(weights/weight|constants/tensor)_\d+")
_STORED = re.compile(r"(weight|tensor)_\d+")
# An aten operator only computes; torch would also resolve dotted names such as torch.load, and call them.
_OPERATOR = re.compile(r"torch\.ops\.aten\.\w+\.\w+|_operator\.getitem")
# Symbolic sizes are Python expressions, and torch evaluates them.
_CONTAINERS = re.compile(r'"type": "(?!builtins\.(?:tuple|list|dict)")')
_EXPRESSIONS = {"expr_str", "as_expr", "as_sym_int", "as_sym_bool", "as_sym_float", "as_custom_obj", "as_graph"}


def read_program(path: Path) -> ExportedProgram:
    """The program of a trial's student.pt2.

    torch.export.load unpickles weights that say they are pickled, falls back to unpickling sample inputs that are not
    plain tensors, evaluates symbolic expressions and resolves any dotted name. An archive that asks for any of this, or
    holds anything but a program with static shapes, aten operators and plain tensors, is a `ValueError`.
    """
    import torch

    try:
        parts = _parts(path)
        _check_samples(parts[_SAMPLES])
        for name in _CONFIGS:
            _check_config(json.loads(parts[name]))
        parts[_MODEL] = json.dumps(_checked(json.loads(parts[_MODEL]))).encode()
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path} is refused: {error}") from error
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given buffer is not writable")
        # Packed anew, because torch has a reader of its own, which may see another archive in the same bytes.
        return torch.export.load(_packed(parts))


def read_network(path: Path) -> nn.Module:
    """The program's network, in evaluation mode on the CPU; errors as `read_program`."""
    network = cast("nn.Module", read_program(path).module(check_guards=False))
    # Converters call eval(), which torch forbids on a program; it would change nothing.
    for name in ("train", "eval"):
        network.__dict__.pop(name, None)
    return network.eval().requires_grad_(False)


def input_shapes(program: ExportedProgram) -> list[tuple[int, ...]]:
    """Shapes of the inputs that it was traced by, in their order."""
    assert program.example_inputs is not None
    return [tuple(map(int, tensor.shape)) for tensor in program.example_inputs[0]]


def _parts(path: Path) -> dict[str, bytes]:
    """Contents by name, without the folder that all of them lie in."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = [entry.filename.partition("/")[2] for entry in entries]
        folders = {entry.filename.partition("/")[0] for entry in entries}
        if len(folders) != 1 or len(set(names)) != len(names):
            raise ValueError("it does not hold one archive of distinct names")
        for name in names:
            if name not in (_MODEL, _SAMPLES, *_CONFIGS, *_PLAIN) and not _TENSORS.fullmatch(name):
                raise ValueError(f"it holds {name!r}, which no student needs")
        return {name: archive.read(entry) for name, entry in zip(names, entries, strict=True)}


def _check_samples(content: bytes) -> None:
    import torch

    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:  # the unpickler lets through whatever its content provokes
        raise ValueError("its sample inputs are not plain tensors") from error


def _check_config(config: dict[str, Any]) -> None:
    for name, payload in config["config"].items():
        if payload.get("use_pickle") or not _STORED.fullmatch(payload["path_name"]):
            raise ValueError(f"{name} is not stored as a plain tensor")


def _checked(model: dict[str, Any]) -> dict[str, Any]:
    """The program without its notes on where each node came from: torch would look their names up."""
    if model.get("guards_code") or model.get("range_constraints"):
        raise ValueError("it brings expressions that torch would evaluate")
    for node in model["graph_module"]["graph"]["nodes"]:
        node["metadata"] = {}
    for key, value in _pairs(model):
        if key in _EXPRESSIONS:
            raise ValueError(f"it brings {key}, which torch would evaluate")
        if key == "target" and isinstance(value, str) and not _OPERATOR.fullmatch(value):
            raise ValueError(f"it calls {value!r}, which is no aten operator")
        if key in ("in_spec", "out_spec") and isinstance(value, str) and _CONTAINERS.search(value):
            raise ValueError(f"its {key} names a class of its own")
    return model


def _pairs(content: Any) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    waiting = [content]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            found += part.items()
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return found


def _packed(parts: dict[str, bytes]) -> io.BytesIO:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(f"model/{name}", content)
    packed.seek(0)
    return packed
