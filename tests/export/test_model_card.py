"""The model card of an exported student."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from export.front import find_front
from export.model_card import CARD, Described, card, described
from export.results import read_study
from export.student import export_student
from spaces.front_end import FrontEnd
from tests.export.results_folder import ResultsFolder


@pytest.fixture
def made(tmp_path: Path) -> ResultsFolder:
    folder = ResultsFolder(tmp_path / "results")
    folder.trained(0.95, 40.0, 60_000)
    folder.trained(0.90, 20.0, 20_000)
    return folder


def text_of(folder: ResultsFolder, number: int = 0) -> str:
    front = find_front(read_study(folder.folder))
    return card(described(front, next(row for row in front.members if row.number == number)))


def section(text: str, title: str) -> str:
    return text.split(f"## {title}\n")[1].split("\n## ", maxsplit=1)[0]


def test_figures_stand_by_split_and_int8_beside_float(made: ResultsFolder) -> None:
    text = text_of(made)
    figures = section(text, "Figures")
    assert "| f1 | 0.95 | 0.9183 |" in figures
    assert "| INT8 less float | -0.0040 |" in figures
    assert "Not confirmed with fresh seeds" in figures
    footprint = section(text, "Footprint")
    assert "On esp32-s3-devkitc-1-n8, arena in sram, weights in flash" in footprint
    assert "| a decision | 40.0 ms | 50.0 ms |" in footprint
    assert "| one Invoke (90 % interval) | 36.0 (28.8-43.2) ms | - |" in footprint
    assert "| arena | 58.6 KiB | 64.0 KiB |" in footprint


def test_data_limits_open_licences_and_the_way_to_it(made: ResultsFolder) -> None:
    text = text_of(made)
    assert "- train: 900 other, 300 hey" in section(text, "Data and teacher")
    assert "(content hash 3f1c3f1c3f1c)" in section(text, "Data and teacher")
    limits = section(text, "Limits")
    assert "teacher: F1 0.78 on validation, under 0.8" in limits
    assert "distillation loss is 12.1 times the hard loss" in limits
    assert section(text, "Licence").count("fill in") == 4
    assert "\nlicense: unknown\n" in text
    reproduce = section(text, "How to reproduce")
    assert "python -m search wakeword --trials 24 --results results/demo\n" in reproduce
    assert "python -m export RESULTS --pick 0\n" in reproduce


def test_fresh_seeds_and_the_gain_over_labels_alone_are_told(made: ResultsFolder) -> None:
    made.confirmed(0, s1=0.92, s2=0.94, s3=0.96)
    made.labels_alone(0, s1=0.90, s3=0.91)
    figures = section(text_of(made), "Figures")
    assert "- score over 3 fresh seeds, mean (95 %): 0.940 (0.890-0.990)" in figures
    assert "2 pairs of seeds: +0.035 (-0.156 to +0.226)" in figures
    assert "Not confirmed" in section(text_of(made, 1), "Figures")


def test_it_is_written_beside_the_report_and_listed(made: ResultsFolder, tmp_path: Path) -> None:
    from export.report import write_report

    front = find_front(read_study(made.folder))
    write_report(front, front.members[0])
    listing = export_student(front, front.members[0], "best", tmp_path / "out")
    assert (tmp_path / "out" / CARD).read_text() == text_of(made)
    assert (tmp_path / "out" / "report.html").is_file()
    assert CARD in listing["files"]


def student(**changed: Any) -> Described:
    facts = {"recipe": "wakeword", "labels": ["_other_", "up"], "front_end": asdict(FrontEnd())}
    return replace(Described(facts, {"score_int8": 0.9, "test": {"f1": 0.8, "threshold": 1.0}}, {}, {}), **changed)


def head(text: str) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]

    read: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return read


def test_tasks_of_the_hub_by_what_a_student_says() -> None:
    classes = head(card(student()))
    assert classes["pipeline_tag"] == "audio-classification"
    (result,) = classes["model-index"][0]["results"]
    assert [metric["type"] for metric in result["metrics"]] == ["f1"]
    values = student(facts={"recipe": "valence_arousal", "labels": [], "values": ["valence", "arousal"]})
    assert "pipeline_tag" not in head(card(values))
    assert "Values: `valence`, `arousal`." in card(values)
    masks = student(facts={"recipe": "speech_enhancement", "labels": [], "values": []})
    assert head(card(masks))["pipeline_tag"] == "audio-to-audio"


def test_what_a_student_hears_and_whom_it_learnt_from() -> None:
    front_end = FrontEnd()
    heard = section(card(student()), "Input")
    assert f"{front_end.frames} frames of {front_end.mels} values" in heard and "one step at a time" not in heard
    steps = student(facts={"recipe": "wakeword", "front_end": asdict(front_end), "states": [{"name": "s"}]})
    assert "one step at a time" in card(steps)
    assert "## Input" not in card(student(facts={"front_end": {"hops": 3}}))
    taught = student(run={"teacher": {"name": "YAMNet"}}, metrics={"params": {"alpha": 0.5}})
    assert "distilled from a larger audio model (YAMNet)" in card(taught)
    assert "trained on labels alone" in card(student(metrics={"params": {"alpha": 1.0, "temperature": 3.0}}))


def test_data_that_says_little_is_said_to() -> None:
    facts = {"name": "toy", "synthetic": True, "speaker_disjoint": False, "split": "random"}
    data = section(card(student(run={"data": facts})), "Data and teacher")
    assert "synthetic speech" in data and "no split by speaker" in data and "- split: random" in data


def test_an_unreadable_student_is_a_value_error(made: ResultsFolder) -> None:
    front = find_front(read_study(made.folder))
    (made.folder / "trials/0/student.json").write_text(json.dumps([]))
    with pytest.raises(ValueError, match=r"student\.json must hold a JSON object"):
        described(front, front.members[0])
