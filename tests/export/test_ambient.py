"""The command `python -m export ambient`."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from export.__main__ import main
from export.ambient import clock
from export.decision import Event, decisions
from export.exported import ExportedStudent, open_student
from export.recordings import heard
from tests.conftest import spoken
from tests.export.student_folder import made_student

SECONDS = 30


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_student(tmp_path_factory.mktemp("student"), "clips")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "student"))


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise, and a word in each half."""
    audio = np.random.default_rng(0).standard_normal(SECONDS * 16_000) * 0.02
    for at in (5, 20):
        audio[at * 16_000 :][:14_400] += spoken("up", at, 0)
    path = tmp_path_factory.mktemp("room") / "room.wav"
    soundfile.write(path, audio, 16_000, subtype="PCM_16")
    return path


def run(*words: object) -> int:
    return main(["ambient", *map(str, words)])


def as_json(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert run(*words, "--json") == 0
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    return data


def alarms(student: ExportedStudent, recording: Path) -> int:
    settings = student.stored_settings()
    assert settings is not None
    return sum(event == Event.ALARM for event in decisions(heard(student, recording)[1], settings))


def test_the_threshold_is_the_highest_score_and_the_margin(
    folder: Path, room: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = as_json(capsys, folder, room, "--margin", 0.02)
    student = open_student(folder)
    _, scores, seconds = heard(student, room)
    highest, rule = int(scores.max()), student.rule
    assert seconds == SECONDS
    assert data["margin_kept"]
    assert data["scores"]["highest"] == {"steps": highest, "probability": rule.probability(highest)}
    threshold = data["settings"]["threshold_steps"]
    assert rule.probability(threshold) >= rule.probability(highest) + 0.02 > rule.probability(threshold - 1)
    assert data["threshold"] == threshold * rule.output_scale
    assert data["decisions"] == len(scores)


def test_no_alarm_bounds_the_rate_by_three_over_the_hours(
    folder: Path, room: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = as_json(capsys, folder, room, "--margin", 0.02)
    new, stored = data["false_alarms"]["new"], data["false_alarms"]["stored"]
    assert (new["alarms"], new["per_hour_low"]) == (0, 0.0)
    assert new["per_hour_high"] == pytest.approx(2.9957 / (SECONDS / 3600), rel=1e-4)
    assert stored["alarms"] == alarms(open_student(folder), room) > 0
    assert f"0.5 minutes bound the rate only by {new['per_hour_high']:.3g} per hour; record 10" in data["warnings"][0]


def test_the_second_half_is_judged_by_the_firsts_threshold(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audio = np.random.default_rng(0).standard_normal(SECONDS * 16_000) * 0.001
    audio[20 * 16_000 :][:14_400] += spoken("up", 20, 0)
    paths = [tmp_path / "late.wav", tmp_path / "early.wav"]
    for path, sound in zip(paths, (audio, audio[::-1]), strict=True):
        soundfile.write(path, sound, 16_000, subtype="PCM_16")
    late, early = (as_json(capsys, folder, path, "--margin", 0.0)["false_alarms"]["held_out"] for path in paths)
    assert late["alarms"] + early["alarms"] > 0
    assert late["alarms"] != early["alarms"]
    assert late["hours"] == pytest.approx(SECONDS / 7200, rel=0.05)


def test_written_is_what_the_student_then_decides_by(
    folder: Path, room: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = json.loads((folder / "student.json").read_text())
    listing = {"schema": 1, "files": {"student.json": {"sha256": "", "bytes": 0}, "other": {"sha256": "a", "bytes": 1}}}
    (folder / "export.json").write_text(json.dumps(listing))
    data = as_json(capsys, folder, room, "--margin", 0.02, "--votes", "2/3", "--hold", 1.5, "--write")
    student = open_student(folder)
    settings = student.stored_settings()
    assert data["written"]
    assert settings is not None
    assert settings.as_dict() == data["settings"]
    assert (settings.votes_needed, settings.votes_window, settings.hold_decisions) == (2, 3, 15)
    assert alarms(student, room) == 0
    after = json.loads((folder / "student.json").read_text())
    assert {**after, "decision": None} == {**before, "decision": None}
    assert after["decision"]["threshold"] == data["threshold"]
    assert after["decision"]["refractory_seconds"] == pytest.approx(1.5)
    listed = json.loads((folder / "export.json").read_text())["files"]
    raw = (folder / "student.json").read_bytes()
    assert listed["student.json"] == {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}
    assert listed["other"] == {"sha256": "a", "bytes": 1}


def test_hysteresis_moves_with_the_threshold(folder: Path, room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "student.json"
    settings = {"threshold_steps": 0, "release_steps": -12, "hold_decisions": 4}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"decision": {"settings": settings}}))
    found = as_json(capsys, folder, room, "--margin", 0.02)["settings"]
    assert found["release_steps"] == found["threshold_steps"] - 12
    assert found["hold_decisions"] == 4


def test_a_margin_that_no_threshold_keeps_is_not_written(
    folder: Path, room: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "student.json").read_bytes()
    data = as_json(capsys, folder, room, "--margin", 0.99)
    assert not data["margin_kept"]
    assert data["settings"]["threshold_steps"] == data["scores"]["highest"]["steps"] + 1
    assert run(folder, room, "--margin", 0.99, "--write") == 2
    told = capsys.readouterr().err
    assert "--write: no threshold lies 0.99 above the room's highest score, " in told
    assert "record it without 'up', or choose a smaller --margin; nothing was written" in told
    assert (folder / "student.json").read_bytes() == before


def test_the_table_says_what_the_json_says(folder: Path, room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = as_json(capsys, folder, room, "--margin", 0.02)
    assert run(folder, room, "--margin", 0.02, "--write") == 0
    shown = capsys.readouterr().out
    threshold, peak = data["settings"]["threshold_steps"], data["highest"][0]
    assert f"up: 0.5 minutes, {data['decisions']} decisions" in shown
    assert f"{threshold} steps of the output, log-odds {data['threshold']:.6g} in student.json" in shown
    assert f"highest: {peak['probability']:.5f} at {clock(peak['seconds'])}" in shown
    assert (
        "false alarms with this threshold, which the recording itself chose: 0, 0 per hour (95 %: under 359)" in shown
    )
    assert "false alarms on the second half, with the threshold of the first: " in shown
    assert "warning: 0.5 minutes bound the rate only by 359 per hour" in shown
    assert f"written: {folder}/student.json" in shown


def test_peaks_lie_apart(folder: Path, room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    peaks = as_json(capsys, folder, room)["highest"]
    times = sorted(peak["seconds"] for peak in peaks)
    assert (np.diff(times) > 2.0).all()
    assert peaks == sorted(peaks, key=lambda peak: -peak["steps"])


@pytest.mark.parametrize(
    ("rate_hz", "channels", "seconds", "told"),
    [
        (44_100, 1, 2.0, "room.wav: has 44100 Hz; the student hears 16000 Hz: resample it"),
        (16_000, 2, 2.0, "room.wav: has 2 channels; the student hears one: extract one"),
        (16_000, 1, 0.2, "room.wav: lasts 0.20 s; the student hears 0.5 s at once"),
        (16_000, 1, 0.0, "room.wav: lasts 0.00 s; the student hears 0.5 s at once"),
    ],
)
def test_recordings_that_the_student_cannot_hear_are_refused(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    rate_hz: int,
    channels: int,
    seconds: float,
    told: str,
) -> None:
    path = tmp_path / "room.wav"
    soundfile.write(path, np.zeros((round(seconds * rate_hz), channels)), rate_hz)
    assert run(folder, path) == 2
    assert told in capsys.readouterr().err


def test_other_bad_input_is_one_line(
    folder: Path, room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.wav"
    text.write_text("no sound")
    for words, told in (
        ((folder, tmp_path / "none.wav"), "none.wav: cannot be read: No such file"),
        ((folder, text), "text.wav: cannot be read: "),
        ((tmp_path, room), "holds no student.int8.tflite"),
        ((folder, room, "--margin", 1.0), "--margin: must be at least 0 and below 1, not 1"),
        ((folder, room, "--votes", "9/5"), "votes_needed: must be a whole number from 1 to 5 (votes_window), not 9"),
        ((folder, room, "--votes", "most"), "--votes: must be N/M such as 5/9, not 'most'"),
        ((folder, room, "--hold", -1), "--hold: must be at least 0 seconds, not -1"),
        ((folder, room, "--label", "down"), "--label: 'down' is unknown; there are _other_, up"),
    ):
        assert run(*words) == 2
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1


def test_needs_no_torch(folder: Path, room: Path) -> None:
    code = (
        "import sys; from export.__main__ import main; "
        f"assert main(['ambient', {str(folder)!r}, {str(room)!r}]) == 0; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "tensorflow", "ray", "litert_torch"} & set(done.stdout.split())
