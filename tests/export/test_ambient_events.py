"""The command `python -m export ambient` with recordings of the event."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from export.__main__ import main
from export.ambient_events import room_with_events
from export.decision import DecisionSettings
from export.decision_choice import outcome
from export.exported import open_student
from tests.conftest import spoken
from tests.export.student_folder import FRONT_END, made_student

SECONDS = 60


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_student(tmp_path_factory.mktemp("student"), "clips")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "student"))


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("room") / "room.wav"
    soundfile.write(path, np.random.default_rng(0).standard_normal(SECONDS * 16_000) * 0.01, 16_000, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("events")
    for speaker in range(8):
        soundfile.write(folder / f"{speaker}.wav", spoken("up", speaker, 0), 16_000, subtype="PCM_16")
    (folder / "notes.txt").write_text("not a recording")
    return folder


def run(*words: object) -> int:
    return main(["ambient", *map(str, words)])


def as_json(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert run(*words, "--json") == 0
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    return data


def test_events_are_heard_under_the_ceiling(
    folder: Path, room: Path, events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = as_json(capsys, folder, room, "--events", events, "--max-false-alarms-per-hour", 150, "--hold", 1.0)
    validation, test = data["validation"], data["test"]
    assert (validation["events"], test["events"]) == (4, 4)
    assert validation["heard"] > 0
    # 26 seconds at 150 per hour allow one.
    assert validation["false_alarms"]["alarms"] <= 1
    for half in (validation, test):
        # Each event takes its second after it from the room.
        assert half["false_alarms"]["hours"] == pytest.approx((SECONDS / 2 - 4) / 3600, rel=0.05)
        assert half["recall_low"] <= half["recall"] <= half["recall_high"]
    assert data["settings"]["hold_decisions"] >= 10


def test_an_alarm_that_never_ends_hears_one_event_at_most(
    folder: Path, room: Path, events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = as_json(capsys, folder, room, "--events", events, "--max-false-alarms-per-hour", 150)
    student = open_student(folder)
    stream = room_with_events(student, soundfile.read(room, dtype="int16")[0], sorted(events.glob("*.wav")))
    assert len(stream.events) == 8
    low = DecisionSettings(-255, release_steps=-256, hold_decisions=20)
    stuck = outcome([stream], low)
    assert (stuck.heard, stuck.false_alarms.alarms) == (0, 1)
    assert data["validation"]["heard"] > stuck.heard


def test_a_student_that_hears_no_event_is_not_written(
    folder: Path, room: Path, events: Path, new_model: Callable[[], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    model = new_model()
    x = model.tensor((1, FRONT_END.frames, FRONT_END.mels, 1))
    # Both outputs are the same sum.
    (folder / "student.int8.tflite").write_bytes(model.build([x], [model.dense(model.mean(x), 2)]))
    before = (folder / "student.json").read_bytes()
    words = (folder, room, "--events", events)
    assert as_json(capsys, *words)["validation"]["heard"] == 0
    assert run(*words, "--write") == 2
    told = capsys.readouterr().err
    assert "--write: no settings hear any event under 1 false alarms per hour; nothing was written" in told
    assert (folder / "student.json").read_bytes() == before


def test_what_is_written_is_the_decision(
    folder: Path, room: Path, events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (folder, room, "--events", events, "--max-false-alarms-per-hour", 150)
    data = as_json(capsys, *words, "--write")
    settings = open_student(folder).stored_settings()
    assert settings is not None
    assert settings.as_dict() == data["settings"]
    chosen = json.loads((folder / "student.json").read_text())["decision"]["chosen"]
    assert chosen == {"max_false_alarms_per_hour": 150.0, "test": data["test"]}


def test_the_table_says_what_the_json_says(
    folder: Path, room: Path, events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (folder, room, "--events", events, "--max-false-alarms-per-hour", 150)
    data = as_json(capsys, *words)
    assert run(*words) == 0
    shown = capsys.readouterr().out
    votes, test = data["settings"], data["test"]
    assert "up: at most 150 false alarms per hour, by the first half of the room and every other event" in shown
    assert f"votes: {votes['votes_needed']} of {votes['votes_window']}, the last {votes['streak']} of them all" in shown
    assert f"test: heard {test['heard']} of 4 events" in shown
    assert run(folder, room, "--events", events) == 0
    assert "0.4 minutes of validation allow no alarm at 1 per hour, and none bounds the rate" in capsys.readouterr().out


def test_bad_input_is_one_line(
    folder: Path, room: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few, short, fast = tmp_path / "few", tmp_path / "short.wav", tmp_path / "fast"
    few.mkdir()
    fast.mkdir()
    soundfile.write(short, np.zeros(12_000), 16_000)
    for number in range(4):
        soundfile.write(fast / f"{number}.wav", np.zeros(8000), 8000)
    for words, told in (
        (
            (folder, room, "--events", few),
            f"--events: {few} holds 0 recordings (.wav, .flac, .ogg); at least 4 are needed",
        ),
        ((folder, room, "--events", fast), "0.wav: has 8000 Hz; the student hears 16000 Hz: resample it"),
        ((folder, short, "--events", events), "WAV: too short for so many events; 8 need 0.8 minutes of room"),
        (
            (folder, room, "--events", events, "--margin", 0.1),
            "--events: chooses threshold and votes itself; leave out",
        ),
        ((folder, room, "--events", events, "--votes", "1/2"), "--events: chooses threshold and votes itself"),
        (
            (folder, room, "--events", events, "--max-false-alarms-per-hour", -1),
            "--max-false-alarms-per-hour: must be at least 0, not -1",
        ),
        ((folder, room, "--events", events, "--hold", -1), "--hold: must be at least 0 seconds, not -1"),
    ):
        assert run(*words) == 2
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1
