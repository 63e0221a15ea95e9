"""A student in every format that was asked for, with its difference to the INT8 reference: formats.json."""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict, replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

from export.carried import NOT_COMPARED, CannotCarryError
from export.golden import GOLDEN_SEED, MADE_OF, Golden, StoredStudent, golden, stored_student, student_beside
from export.results import TFLITE, read_object, sha256, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from export.carried import Carried

FORMATS_SCHEMA = 1
LISTING = "formats.json"
MOST_SHOWN = 12
# Each module has write(student, golden, folder) -> list[Carried] and is imported only when its format is asked for.
_MODULES = {
    "tflite": "export.as_tflite",
    "onnx": "export.as_onnx",
    "torchscript": "export.as_torchscript",
    "espdl": "export.as_espdl",
    "c": "export.as_c_array",
    "hf": "export.as_hub_folder",
    "espidf": "export.as_espidf",
    "esphome": "export.as_esphome",
}


def write_formats(
    source: Path, footprint: Mapping[str, Any], names: Sequence[str], folder: Path, beside: Path | None = None
) -> list[str]:
    """Write the student of a trial's folder in these formats, and formats.json; return the names of the files.

    A format that cannot carry the student, or whose converter fails on it, is listed with the reason. `beside` is a
    second student, an export's folder or a .tflite that hears the same features, for the firmware.
    """
    student = stored_student(source, footprint)
    if beside is not None:
        student = replace(student, beside=student_beside(beside, student))
    reference = golden(student)
    formats: dict[str, Any] = {}
    files: list[str] = []
    for name in names:
        try:
            carried = importlib.import_module(_MODULES[name]).write(student, reference, folder)
        except CannotCarryError as error:
            formats[name] = {"reason": str(error)}
            continue
        formats[name] = {"files": {one.name: _facts(one, folder) for one in carried}}
        files += [one.name for one in carried]
    write_atomically(folder / LISTING, json.dumps(_listing(student, reference, formats), indent=1) + "\n")
    return [*dict.fromkeys([*files, LISTING])]


def read_formats(folder: Path) -> dict[str, Any]:
    """The content of formats.json in an output folder; an unreadable one is a `ValueError`."""
    return read_object(folder / LISTING)


def formats_as_text(listing: Mapping[str, Any]) -> list[str]:
    """A line for each file: its largest and mean difference from the INT8 reference, and what ran it."""
    step = listing["reference"]["output_step"]
    clips = listing["golden"]["clips"]
    lines = [f"formats: outputs less the INT8 reference's on {clips} golden clips (one INT8 step is {step:.4g})"]
    for name, facts in listing["formats"].items():
        if "reason" in facts:
            lines.append(f"  {name}: left out: {facts['reason']}")
        lines += [f"  {name}: {line}" for line in _files_as_text(facts.get("files", {}))]
    return lines


def _files_as_text(files: Mapping[str, Any]) -> list[str]:
    """Of a format of many files those that were run, or could not be, and how many there are beside."""
    telling = {
        file: one
        for file, one in files.items()
        if one["largest_difference"] is not None or one["note"].startswith(NOT_COMPARED)
    }
    shown = files if len(files) <= MOST_SHOWN else telling
    lines = [f"{file}  {_said(one)}".rstrip() for file, one in shown.items()]
    rest = len(files) - len(shown)
    return [*lines, f"{rest} more files beside"] if rest else lines


def _said(facts: Mapping[str, Any]) -> str:
    if facts["largest_difference"] is None:
        return str(facts["note"])
    largest, mean = facts["largest_difference"], facts["mean_difference"]
    return f"largest {largest:.4g}, mean {mean:.4g} under {facts['runtime']}"


def _facts(carried: Carried, folder: Path) -> dict[str, Any]:
    path, apart = folder / carried.name, carried.difference
    return {
        "sha256": sha256(path),
        "bytes": path.stat().st_size,
        "runtime": carried.runtime,
        "largest_difference": apart and apart.largest,
        "mean_difference": apart and apart.mean,
        "note": carried.note,
    }


def _listing(student: StoredStudent, reference: Golden, formats: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "schema": FORMATS_SCHEMA,
        "reference": {
            "file": TFLITE,
            "sha256": sha256(student.folder / TFLITE),
            "runtime": f"LiteRT {metadata.version('ai-edge-litert')}, built-in kernels",
            "output_step": reference.output_step,
        },
        "golden": {
            "clips": len(reference.features),
            "seed": GOLDEN_SEED,
            "made_of": MADE_OF,
            "front_end": asdict(student.front_end),
            "sha256": reference.hash,
        },
        "formats": dict(formats),
    }
