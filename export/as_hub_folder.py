"""A student as a folder for a model hub: its files and a model card."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from export.carried import Carried
from export.golden import Difference
from export.results import TFLITE, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from export.golden import Golden, StoredStudent

FOLDER = "hf"
CARD = f"{FOLDER}/README.md"
COPIED = ("student.json", "metrics.json", "evaluation.json")
_LICENCE = "not stated: fill in what the data, the teacher and you allow"


def write(student: StoredStudent, golden: Golden, folder: Path) -> list[Carried]:
    """The INT8 model, what describes it, and the card; the licence fields are left for a person to fill in."""
    run = _run_of(student)
    write_atomically(folder / FOLDER / TFLITE, student.model)
    for name in COPIED:
        write_atomically(folder / FOLDER / name, (student.folder / name).read_bytes())
    write_atomically(folder / CARD, card(student, run))
    model = Carried(f"{FOLDER}/{TFLITE}", "the INT8 reference: the same bytes", Difference(0.0, 0.0), "a copy")
    notes = [Carried(f"{FOLDER}/{name}", note="a copy") for name in COPIED]
    return [model, Carried(CARD, note="model card; its licence fields are open"), *notes]


def card(student: StoredStudent, run: Mapping[str, Any]) -> str:
    """The model card in Markdown: hub metadata in YAML, then data, training, figures, use, limits, licence."""
    import yaml  # type: ignore[import-untyped]

    head = yaml.safe_dump(_metadata(student, run), sort_keys=False, allow_unicode=True)
    parts = [_summary(student), *_data(run), *_figures(student), *_use(student), *_limits(student, run), *_licences()]
    return f"---\n{head}---\n\n" + "\n".join(parts) + "\n"


def _run_of(student: StoredStudent) -> dict[str, Any]:
    from export.results import read_object

    # A trial's folder lies in trials/ or final/ of its results folder.
    path = student.folder.parent.parent / "run.json"
    return read_object(path) if path.is_file() else {}


def _metadata(student: StoredStudent, run: Mapping[str, Any]) -> dict[str, Any]:
    recipe = str(student.facts.get("recipe", "audio student"))
    task = {"type": "audio-classification"}
    data = _name(run.get("data"))
    results = [
        {"task": task, "dataset": {"name": f"{data}, {split}", "type": "other"}, "metrics": _metrics(student, split)}
        for split in ("validation", "test")
        if _metrics(student, split)
    ]
    return {
        "license": "unknown",
        "library_name": "tflite",
        "pipeline_tag": "audio-classification",
        "tags": ["esp32-s3", "tflite-micro", "int8", "knowledge-distillation", recipe.replace("_", "-")],
        "model-index": [{"name": f"{recipe} student", "results": results}],
    }


def _metrics(student: StoredStudent, split: str) -> list[dict[str, Any]]:
    figures = student.metrics.get(split) or {}
    return [
        {"type": name, "name": f"{name} (INT8, {split})", "value": value}
        for name, value in figures.items()
        if isinstance(value, int | float) and math.isfinite(value)
    ]


def _summary(student: StoredStudent) -> str:
    facts = student.facts
    kind = (facts.get("student") or {}).get("kind", "student")
    named = {what: ", ".join(map(str, facts.get(what, []))) for what in ("labels", "values")}
    outputs = "".join(f" {what.capitalize()}: {names}." for what, names in named.items() if names)
    return (
        f"# {facts.get('recipe', 'Audio')} student for the ESP32-S3\n\n"
        f"A {kind} network in full INT8, distilled from a larger audio model.{outputs}\n"
    )


def _data(run: Mapping[str, Any]) -> list[str]:
    data, teacher = run.get("data") or {}, run.get("teacher") or {}
    clips = [
        f"- {split}: {', '.join(f'{count} {label}' for label, count in labels.items())}"
        for split, labels in (data.get("clips") or {}).items()
    ]
    return [
        "## Data and teacher\n",
        f"- data: {_name(data)} (content hash {str(data.get('content_hash', 'not recorded'))[:12]})",
        *clips,
        f"- teacher: {_name(teacher)} (content hash {str(teacher.get('content_hash', 'not recorded'))[:12]})",
        "",
    ]


def _figures(student: StoredStudent) -> list[str]:
    metrics, footprint = student.metrics, student.footprint
    rows = [("validation", metrics.get("validation") or {}), ("test", metrics.get("test") or {})]
    names = list(dict.fromkeys(name for _, figures in rows for name in figures))
    cells = [[name, *(_shown(figures.get(name)) for _, figures in rows)] for name in names]
    return [
        "## Figures\n",
        "Of the INT8 model. Thresholds and settings were chosen on validation; test figures are reported only. One "
        f"training: seed {metrics.get('seed', 'not recorded')}.\n",
        *_table(["figure", "validation", "test"], cells),
        "",
        f"Score {_shown(metrics.get('score_int8'))} in INT8, {_shown(metrics.get('score_float'))} in float.\n",
        *_table(["footprint", "estimate"], [[name, _shown(value)] for name, value in footprint.items()]),
        "",
    ]


def _use(student: StoredStudent) -> list[str]:
    front_end = student.front_end
    return [
        "## Input\n",
        f"{front_end.frames} frames of {front_end.values_per_frame} values of {front_end.clip_seconds:g} s at "
        f"{front_end.sample_rate_hz} Hz, {front_end.kind.replace('_', '-')}; every setting is in `student.json`."
        + (" The model hears one step at a time and carries its states." if student.is_step else "")
        + "\n",
    ]


def _limits(student: StoredStudent, run: Mapping[str, Any]) -> list[str]:
    warnings = [*(run.get("warnings") or ()), *(student.metrics.get("warnings") or ())]
    return [
        "## Limits\n",
        "- The figures hold for the data above; other voices, rooms and microphones were not measured.",
        "- Latency and arena are estimates for the named board, not measurements on it.",
        *(f"- {warning}" for warning in warnings),
        "",
    ]


def _licences() -> list[str]:
    return ["## Licence\n", *(f"- {what}: {_LICENCE}" for what in ("model", "data", "teacher"))]


def _name(part: Any) -> str:
    return str(part.get("name", "not recorded")) if isinstance(part, dict) else "not recorded"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rows]]
