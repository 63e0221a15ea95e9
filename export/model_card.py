"""The model card of one student in Markdown: data, figures, footprint, input, limits, licences, how to reproduce."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from export import figures
from export.results import Run, read_object, read_run
from spaces import recipes
from spaces.twin import learns_alone

if TYPE_CHECKING:
    from export.confirmation import Confirmed
    from export.front import Front
    from export.results import TrialRow

CARD = "model_card.md"
OPEN = "not stated: fill in what the data, the teacher and you allow"
_TO_BE_STATED = ("model", "data", "teacher", "consent of the people in the recordings")
# Settings, and how much was heard.
_NO_METRICS = {"threshold", "stream_minutes"}
_FOOTPRINT = (
    ("a decision", "decision_ms", "latency_ms"),
    ("arena", "arena_bytes", "arena_bytes"),
    ("flash", "flash_bytes", "flash_bytes"),
)


@final
@dataclass(frozen=True)
class Described:
    """What a card is written from: student.json, metrics.json, the footprint, run.json, and what fresh seeds say.

    `pick` is what names the student in its results folder, where that is known.
    """

    facts: Mapping[str, Any]
    metrics: Mapping[str, Any]
    footprint: Mapping[str, Any]
    run: Mapping[str, Any]
    confirmed: Confirmed | None = None
    pick: str = ""


def described(front: Front, row: TrialRow) -> Described:
    """A trial of a front; an unreadable file of its folder is a `ValueError`."""
    folder = front.study.results.of(row)
    run: Run = read_run(row.source.results) if row.source else front.study.run
    confirmed = None if row.final else front.retrained.members.get(row.number)
    pick = str(row.source.number) if row.source else row.name
    facts, metrics = read_object(folder / "student.json"), read_object(folder / "metrics.json")
    return Described(facts, metrics, row.footprint, run.details, confirmed, pick)


def card(student: Described) -> str:
    """Hub metadata in YAML, then the card; licence fields are left for a person to fill in."""
    import yaml  # type: ignore[import-untyped]

    head = yaml.safe_dump(_metadata(student), sort_keys=False, allow_unicode=True)
    parts = [
        _summary(student),
        *_data(student.run),
        *_figures(student),
        *_footprint(student),
        *_input(student),
        *_limits(student),
        *_licences(),
        *_reproduction(student),
    ]
    return f"---\n{head}---\n\n" + "\n".join(parts) + "\n"


def _metadata(student: Described) -> dict[str, Any]:
    recipe = str(student.facts.get("recipe", "audio student"))
    hub_task = _hub_task(student.facts)
    data = _name(student.run.get("data"))
    results = [
        {
            "task": {"type": hub_task or "audio-regression"},
            "dataset": {"name": f"{data}, {split}", "type": "other"},
            "metrics": _metrics(student, split),
        }
        for split in ("validation", "test")
        if _metrics(student, split)
    ]
    return {
        "license": "unknown",
        "library_name": "tflite",
        **({"pipeline_tag": hub_task} if hub_task else {}),
        "tags": ["esp32-s3", "tflite-micro", "int8", "knowledge-distillation", recipe.replace("_", "-")],
        "model-index": [{"name": f"{recipe} student", "results": results}],
    }


def _hub_task(facts: Mapping[str, Any]) -> str | None:
    """What the hub calls it: classes, or sound from sound; it has no name for values of sound."""
    if facts.get("labels"):
        return "audio-classification"
    return None if facts.get("values") else "audio-to-audio"


def _metrics(student: Described, split: str) -> list[dict[str, Any]]:
    return [
        {"type": name, "name": f"{name} (INT8, {split})", "value": value}
        for name, value in _mapping(student.metrics.get(split)).items()
        if isinstance(value, int | float) and math.isfinite(value) and name not in _NO_METRICS
    ]


def _summary(student: Described) -> str:
    facts = student.facts
    kind = _mapping(facts.get("student")).get("kind", "student")
    named = {what: ", ".join(f"`{name}`" for name in facts.get(what) or []) for what in ("labels", "values")}
    outputs = "".join(f" {what.capitalize()}: {names}." for what, names in named.items() if names)
    return (
        f"# {facts.get('recipe', 'Audio')} student for the ESP32-S3\n\n"
        f"A {kind} network in full INT8, {_taught(student)}.{outputs}\n"
    )


def _taught(student: Described) -> str:
    recipe, params = student.facts.get("recipe"), _mapping(student.metrics.get("params"))
    if recipe in recipes() and params and learns_alone(str(recipe), params):
        return "trained on labels alone"
    return f"distilled from a larger audio model ({_name(student.run.get('teacher'))})"


def _data(run: Mapping[str, Any]) -> list[str]:
    data, teacher = _mapping(run.get("data")), _mapping(run.get("teacher"))
    clips = [
        f"- {split}: {', '.join(f'{count} {label}' for label, count in labels.items())}"
        for split, labels in _mapping(data.get("clips")).items()
    ]
    facts = [
        (data.get("split"), f"- split: {data.get('split')}"),
        (data.get("speaker_disjoint") is False, "- no split by speaker: people of the test clips may have been heard"),
        (data.get("synthetic"), "- synthetic speech: it says little of people and rooms"),
    ]
    return [
        "## Data and teacher\n",
        f"- data: {_name(data)} (content hash {str(data.get('content_hash', 'not recorded'))[:12]})",
        *clips,
        *(line for known, line in facts if known),
        f"- teacher: {_name(teacher)} (content hash {str(teacher.get('content_hash', 'not recorded'))[:12]})",
        "",
    ]


def _figures(student: Described) -> list[str]:
    metrics = student.metrics
    rows = [_mapping(metrics.get(split)) for split in ("validation", "test")]
    names = list(dict.fromkeys(name for found in rows for name in found))
    cells = [[name, *(_shown(found.get(name, "-")) for found in rows)] for name in names]
    scores = [
        ["INT8", _shown(metrics.get("score_int8"))],
        ["float", _shown(metrics.get("score_float"))],
        ["INT8 less float", _difference(metrics)],
    ]
    return [
        "## Figures\n",
        "Of the INT8 model. Thresholds and settings were chosen on validation; test figures are reported only. One "
        f"training: seed {metrics.get('seed', 'not recorded')}.\n",
        *_table(["figure", "validation", "test"], cells),
        "",
        *_table(["score on validation", "value"], scores),
        "",
        *_seeds(student.confirmed),
    ]


def _difference(metrics: Mapping[str, Any]) -> str:
    int8, in_float = metrics.get("score_int8"), metrics.get("score_float")
    known = isinstance(int8, int | float) and isinstance(in_float, int | float)
    return f"{int8 - in_float:+.4f}" if known else "-"  # type: ignore[operator]


def _seeds(confirmed: Confirmed | None) -> list[str]:
    if confirmed is None or not confirmed.scores:
        return ["Not confirmed with fresh seeds: the score is that of one training, chosen among many.\n"]
    lines = [f"- score over {confirmed.score.count} fresh seeds, mean (95 %): {figures.estimated(confirmed.score)}"]
    if confirmed.tests:
        lines.append(f"- on test: {figures.estimated(confirmed.test)}")
    if confirmed.gains:
        lines.append(
            f"- gain on test over the same student taught by labels alone, {confirmed.gain.count} pairs of seeds: "
            f"{figures.difference(confirmed.gain)}"
        )
    return [*lines, ""]


def _footprint(student: Described) -> list[str]:
    footprint, ceilings = student.footprint, _mapping(student.run.get("budget"))
    rows = [
        [
            name,
            figures.with_unit(field, footprint.get(field, "-")),
            figures.with_unit(field, ceilings.get(ceiling, "-")),
        ]
        for name, field, ceiling in _FOOTPRINT
    ]
    interval = f"{figures.interval(footprint)} ms"
    said = f"On {footprint.get('board', 'a board that is not recorded')}, {footprint.get('placement', 'anywhere')}; "
    return [
        "## Footprint\n",
        f"{said}profiler version {footprint.get('profiler_version', 'not recorded')}. Estimates, not measured.\n",
        *_table(["", "estimate", "ceiling"], [*rows, ["one Invoke (90 % interval)", interval, "-"]]),
        "",
    ]


def _input(student: Described) -> list[str]:
    from spaces.front_end import FrontEnd

    try:
        front_end = FrontEnd(**_mapping(student.facts.get("front_end")))
    except TypeError:
        return []
    if not student.facts.get("front_end"):
        return []
    steps = " The model hears one step at a time and carries its states." if student.facts.get("states") else ""
    return [
        "## Input\n",
        f"{front_end.frames} frames of {front_end.values_per_frame} values of {front_end.clip_seconds:g} s at "
        f"{front_end.sample_rate_hz} Hz, {front_end.kind.replace('_', '-')}; every setting is in `student.json`."
        f"{steps}\n",
    ]


def _limits(student: Described) -> list[str]:
    warnings = [*(student.run.get("warnings") or ()), *(student.metrics.get("warnings") or ())]
    return [
        "## Limits\n",
        "- The figures hold for the data above; other voices, rooms and microphones were not measured.",
        "- Latency and arena are estimates for the named board, not measurements on it.",
        *(f"- {warning}" for warning in warnings),
        "",
    ]


def _licences() -> list[str]:
    return ["## Licence\n", *(f"- {what}: {OPEN}" for what in _TO_BE_STATED), ""]


def _reproduction(student: Described) -> list[str]:
    run = student.run
    versions = ", ".join(f"{name} {version}" for name, version in _mapping(run.get("versions")).items())
    commands = [str(run.get("command") or "# the search's command is not recorded")]
    commands += [f"python -m export RESULTS --pick {student.pick}"] if student.pick else []
    hashed = student.metrics.get("tflite_sha256")
    return [
        "## How to reproduce\n",
        "```sh",
        *commands,
        "```\n",
        *([f"sha256 of the model: `{hashed}`\n"] if hashed else []),
        *([f"Versions: {versions}."] if versions else []),
    ]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _name(part: Any) -> str:
    return str(_mapping(part).get("name", "not recorded"))


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
        for line in [head, ["---"] * len(head), *rows]
    ]
