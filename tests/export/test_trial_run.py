"""The command `python -m export try`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from export.__main__ import main
from export.ambient import clock
from export.decision import Event, decisions
from export.exported import open_student
from export.recordings import heard
from tests.conftest import spoken
from tests.export.student_folder import made_student


@pytest.fixture(scope="module", params=["clips", "steps"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_student(tmp_path_factory.mktemp("student"), request.param)


@pytest.fixture(scope="module")
def audio() -> np.ndarray:
    words = [spoken(word, speaker, 0) for speaker in range(4) for word in ("up", "hat", "down")]
    return np.round(np.concatenate(words) * 32767).astype(np.int16)


@pytest.fixture(scope="module")
def recording(audio: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "words.wav"
    soundfile.write(path, audio, 16_000, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def middle(folder: Path, recording: Path) -> float:
    """A probability that some scores reach and others do not."""
    student = open_student(folder)
    return student.rule.probability(int(np.quantile(heard(student, recording)[1], 0.7)))


def run(*words: object) -> int:
    return main(["try", *map(str, words)])


def as_json(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert run(*words, "--json") == 0
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    return data


def test_every_decision_has_its_time_and_score(
    folder: Path, recording: Path, middle: float, capsys: pytest.CaptureFixture[str]
) -> None:
    data = as_json(capsys, folder, recording, "--all", "--threshold", middle, "--hold", 0.4)
    student = open_student(folder)
    ends, scores, _ = heard(student, recording)
    assert [row["steps"] for row in data["rows"]] == scores.tolist()
    assert [row["seconds"] for row in data["rows"]] == ends.tolist()
    assert data["settings"]["hold_decisions"] == 4
    expected = open_student(folder).stored_settings()
    assert expected is not None
    said = decisions(scores, type(expected)(**data["settings"]))
    assert [row["event"] for row in data["rows"]] == [event.name.lower() for event in said]
    assert data["alarms"] > 1


def test_alarms_are_printed_with_a_summary(
    folder: Path, recording: Path, middle: float, capsys: pytest.CaptureFixture[str]
) -> None:
    data = as_json(capsys, folder, recording, "--threshold", middle)
    assert run(folder, recording, "--threshold", middle) == 0
    *lines, summary = capsys.readouterr().out.splitlines()
    assert lines == [f"{clock(row['seconds'])}  {row['probability']:.4f}  up" for row in data["rows"]]
    assert summary.startswith(f"{data['alarms']} alarms in ")
    assert "1 of 1 votes, hold 1 s" in summary


def test_all_shows_idle_and_lasting_alarms_too(
    folder: Path, recording: Path, middle: float, capsys: pytest.CaptureFixture[str]
) -> None:
    data = as_json(capsys, folder, recording, "--threshold", middle, "--all")
    assert run(folder, recording, "--threshold", middle, "--all") == 0
    lines = capsys.readouterr().out.splitlines()[:-1]
    assert len(lines) == data["decisions"]
    assert sum(line.endswith("  ...") for line in lines) == sum(row["event"] == "active" for row in data["rows"]) > 0


def test_without_a_stored_threshold_one_must_be_given(
    folder: Path, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads((folder / "student.json").read_text()) | {"decision": {}}
    (tmp_path / "student.json").write_text(json.dumps(document))
    (tmp_path / "student.int8.tflite").write_bytes((folder / "student.int8.tflite").read_bytes())
    assert run(tmp_path, recording) == 2
    assert "--threshold: student.json holds none for 'up'; give one, or let export ambient" in capsys.readouterr().err
    assert run(tmp_path, recording, "--threshold", 0.5) == 0


def test_bad_input_is_one_line(
    folder: Path, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, short = tmp_path / "other.wav", tmp_path / "short.wav"
    soundfile.write(other, np.zeros(8000), 8000)
    soundfile.write(short, np.zeros(800), 16_000)
    for words, told in (
        ((folder,), "WAV, --mic: name a recording or add --mic, one of the two"),
        ((folder, recording, "--mic"), "WAV, --mic: name a recording or add --mic, one of the two"),
        ((folder, recording, "--threshold", 2), "--threshold: must be a probability from 0 to 1, not 2"),
        ((folder, other), "other.wav: has 8000 Hz; the student hears 16000 Hz: resample it"),
        ((folder, short), "short.wav: too short; the student hears 0.5 s at once"),
    ):
        assert run(*words) == 2
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1


class Stream:
    """What sounddevice opens, playing a recording; then the user presses Ctrl-C."""

    def __init__(self, audio: np.ndarray, options: dict[str, Any]) -> None:
        self.options, self._pieces = options, self._read(audio)

    def _read(self, audio: np.ndarray) -> Iterator[bytes]:
        size = self.options["blocksize"]
        for at in range(0, len(audio), size):
            yield audio[at : at + size].tobytes()
        raise KeyboardInterrupt

    def read(self, _: int) -> tuple[bytes, bool]:
        return next(self._pieces), False

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class PortAudioError(Exception):
    pass


def test_the_microphone_is_heard_until_ctrl_c(
    folder: Path,
    recording: Path,
    audio: np.ndarray,
    middle: float,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    opened: list[dict[str, Any]] = []

    def stream(**options: Any) -> Stream:
        opened.append(options)
        return Stream(audio, options)

    stand_in = SimpleNamespace(RawInputStream=stream, PortAudioError=PortAudioError)
    monkeypatch.setitem(sys.modules, "sounddevice", stand_in)
    live = as_json(capsys, folder, "--mic", "--threshold", middle)
    assert opened == [{"samplerate": 16_000, "channels": 1, "dtype": "int16", "blocksize": 800}]
    from_file = as_json(capsys, folder, recording, "--threshold", middle)
    assert live["recording"] is None
    assert live["rows"] == from_file["rows"]
    assert live["decisions"] == from_file["decisions"]


def test_a_missing_or_deaf_microphone_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert run(folder, "--mic") == 2
    assert "--mic: needs sounddevice and PortAudio: pip install -e '.[mic]'" in capsys.readouterr().err

    def none(**_: Any) -> Stream:
        raise PortAudioError("Invalid sample rate")

    stand_in = SimpleNamespace(RawInputStream=none, PortAudioError=PortAudioError)
    monkeypatch.setitem(sys.modules, "sounddevice", stand_in)
    assert run(folder, "--mic") == 2
    assert "--mic: no microphone of 16000 Hz: Invalid sample rate" in capsys.readouterr().err


def test_an_alarm_is_an_event_of_the_decision() -> None:
    assert [event.name for event in Event] == ["IDLE", "ALARM", "ACTIVE"]
