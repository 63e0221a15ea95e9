"""A student as a folder for a model hub: its files and a model card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from export.carried import Carried
from export.golden import Difference
from export.model_card import Described, card
from export.results import TFLITE, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from export.golden import Golden, StoredStudent

FOLDER = "hf"
CARD = f"{FOLDER}/README.md"
COPIED = ("student.json", "metrics.json", "evaluation.json")


def write(student: StoredStudent, golden: Golden, folder: Path) -> list[Carried]:
    """The INT8 model, what describes it, and the card; the licence fields are left for a person to fill in."""
    described = Described(student.facts, student.metrics, student.footprint, _run_of(student))
    write_atomically(folder / FOLDER / TFLITE, student.model)
    for name in COPIED:
        write_atomically(folder / FOLDER / name, (student.folder / name).read_bytes())
    write_atomically(folder / CARD, card(described))
    model = Carried(f"{FOLDER}/{TFLITE}", "the INT8 reference: the same bytes", Difference(0.0, 0.0), "a copy")
    notes = [Carried(f"{FOLDER}/{name}", note="a copy") for name in COPIED]
    return [model, Carried(CARD, note="model card; its licence fields are open"), *notes]


def _run_of(student: StoredStudent) -> dict[str, Any]:
    from export.results import read_object

    # A trial's folder lies in trials/ or final/ of its results folder.
    path = student.folder.parent.parent / "run.json"
    return read_object(path) if path.is_file() else {}
