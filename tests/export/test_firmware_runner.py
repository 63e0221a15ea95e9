"""Whole students in C, their networks run by LiteRT behind pipes: decisions, sound, self-test, and extreme sound."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from export.as_espidf import OWN
from export.board_log import read_log
from export.c_student import golden_source
from export.decision import DecisionSettings, decisions
from export.device_student import DeviceStudent
from export.exported import open_student
from export.front_end import features_of
from export.golden_sound import golden_sound, golden_vectors, host_runs, micro_runs, runs_of
from export.listening import Listener
from tests.conftest import GLIDES, spoken
from tests.export.device_students import (
    MASKED,
    STRIDE,
    WAVES,
    mask_maker,
    opened,
    sources_of,
    stored_folder,
    strided,
    waves_heard,
)
from tests.export.firmware_programs import COMPILER, DRIVERS, NO_COMPILER, PipedNetwork, Said, program
from tests.export.student_folder import made_student
from trainables.spectra import enhanced

pytestmark = pytest.mark.skipif(COMPILER is None, reason=NO_COMPILER)
KINDS = ("clips", "steps", "waves", "strided", "masks")
VOTES = DecisionSettings(3, -2, 2, 3, 1, 4)


def folder_of(kind: str, folder: Path, new_model: Any) -> Path:
    labels = {"labels": ["_other_", "up"]}
    if kind in ("clips", "steps"):
        decision = {"threshold": 0.0, "settings": VOTES.as_dict(), "event": "up"}
        (folder / "metrics.json").write_text("{}")
        return made_student(folder, kind, decision=decision)
    if kind == "waves":
        decision = {"threshold": -3.0, "refractory_seconds": 0.1, "event": "b"}
        return stored_folder(folder, waves_heard(new_model()), WAVES, labels=["a", "b", "c", "d"], decision=decision)
    if kind == "strided":
        facts = {"class_of_output": [0] * 7 + [1] * 8, "decision": {"threshold": 0.1, "refractory_seconds": 0.1}}
        return stored_folder(folder, strided(new_model()), STRIDE, **labels, **facts)
    return stored_folder(folder, mask_maker(new_model()), MASKED, recipe="speech_enhancement", labels=[])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module", params=KINDS)
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DeviceStudent:
    from tests.export.conftest import ModelBuilder

    return opened(folder_of(request.param, tmp_path_factory.mktemp("student"), ModelBuilder))


@pytest.fixture(scope="module")
def built(student: DeviceStudent, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Drivers of one student by name."""
    sources, folder = sources_of(student), tmp_path_factory.mktemp("programs")
    names = ("runner_driver", "self_test_driver", "fuzz_driver")
    return {name: program(folder / name, shared, sources, DRIVERS / f"{name}.c") for name in names}


def a_stream() -> np.ndarray:
    """Words and golden sound in turn."""
    said = [np.round(spoken(word, speaker, 2) * 32767).astype(np.int16) for speaker in range(2) for word in GLIDES]
    return np.concatenate([part for word in said for part in (word, golden_sound(4_000))])


def listen(program_path: Path, student: DeviceStudent, samples: np.ndarray, pieces: list[int], folder: Path) -> Said:
    sound = folder / "sound.raw"
    sound.write_bytes(samples.tobytes())
    return PipedNetwork(student.stored.model).serve([str(program_path), str(sound), *map(str, pieces)])


def test_c_hears_what_the_host_hears(student: DeviceStudent, built: dict[str, Path], tmp_path: Path) -> None:
    samples = a_stream()
    samples = samples if student.stored.front_end.hop_samples > 100 else samples[:9_000]
    said = listen(built["runner_driver"], student, samples, [333, 1, 1999, 77], tmp_path)
    if student.makes_sound:
        assert len(said.sound) == len(features_of(samples, student.stored.front_end)) == said.runs
        return
    exported = open_student(student.stored.folder)
    ends, scores = Listener(exported).hear(samples)
    own = exported.stored_settings()
    assert own is not None
    found = np.array([score for _, score, _, _ in said.decisions])
    assert len(found) == len(scores) > 20
    assert np.ptp(scores) > 3
    # A feature may lie on the edge between two steps of the network's input.
    assert np.abs(found - scores).max() <= 2
    assert (found != scores).mean() < 0.02
    expected = [int(event) for event in decisions(found, own)]
    assert [event for _, _, event, _ in said.decisions] == expected
    assert len(set(expected)) > 1
    assert said.runs == len(ends) if not student.states else said.runs > 0


def test_sound_of_masks_is_that_of_training(student: DeviceStudent, built: dict[str, Path], tmp_path: Path) -> None:
    if not student.makes_sound:
        pytest.skip("makes no sound")
    samples = a_stream()[4_000:7_000]
    said = listen(built["runner_driver"], student, samples, [50, 171], tmp_path)
    runs = runs_of(student, features_of(samples, MASKED))
    masks = (host_runs(student.stored.model, runs).astype(np.float32) - student.told.zero_point) * student.told.scale
    audio = torch.from_numpy(samples.astype(np.float32) / 32768)[None]
    expected = enhanced(audio, torch.from_numpy(masks.astype(np.float32))[None], MASKED)[0].numpy()
    found = np.concatenate(said.sound)[MASKED.hop_samples :]
    expected = np.clip(np.round(expected * 32768), -32768, 32767)
    assert np.abs(expected).max() > 3000
    # A code on the edge between two steps moves a mask by one of its 256.
    assert (np.abs(found - expected) > 1).mean() < 0.01
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


@pytest.fixture(scope="module")
def at_once(student: DeviceStudent, built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Said:
    return listen(built["runner_driver"], student, golden_sound(5_000), [3999], tmp_path_factory.mktemp("sound"))


@given(pieces=st.lists(st.integers(0, 3999), min_size=1, max_size=5))
@settings(deadline=None, max_examples=6)
def test_how_sound_is_cut_changes_nothing(
    student: DeviceStudent,
    built: dict[str, Path],
    at_once: Said,
    tmp_path_factory: pytest.TempPathFactory,
    pieces: list[int],
) -> None:
    said = listen(built["runner_driver"], student, golden_sound(5_000), pieces, tmp_path_factory.mktemp("sound"))
    assert said.runs == at_once.runs
    assert [one[:3] for one in said.decisions] == [one[:3] for one in at_once.decisions]
    assert all(np.array_equal(*pair) for pair in zip(said.sound, at_once.sound, strict=True))


def test_self_test_passes(student: DeviceStudent, built: dict[str, Path]) -> None:
    said = PipedNetwork(student.stored.model).serve([str(built["self_test_driver"])])
    assert said.lines[-2:] == ["potstill self-test own: PASS", "passed"]
    parts = [line.split(":")[0].removeprefix("potstill self-test own ") for line in said.lines[:-2]]
    decides, sounds = ["decision"] if student.decides else [], ["sound"] if student.makes_sound else []
    assert parts == ["front end", *sounds, "network", *decides, "listening"]


def test_self_test_fails_where_a_network_says_other_things(student: DeviceStudent, built: dict[str, Path]) -> None:
    spoilt = golden_vectors(student).output_steps + 1
    said = PipedNetwork(student.stored.model, spoilt).serve([str(built["self_test_driver"])])
    assert said.lines[-2:] == ["potstill self-test own: FAIL", "failed"]
    assert "FAIL" in next(line for line in said.lines if " network:" in line)
    assert "PASS" in next(line for line in said.lines if " front end:" in line)


@pytest.mark.parametrize("part", ["front end", "decision", "sound"])
def test_self_test_fails_where_golden_vectors_are_others(
    part: str, student: DeviceStudent, shared: Path, tmp_path: Path
) -> None:
    vectors = golden_vectors(student)
    changed: dict[str, Any] = {
        "front end": {"codes": vectors.codes ^ 4},
        "decision": {"scores": vectors.scores + 1},
        "sound": {"sound": vectors.sound // 2},
    }[part]
    if not next(iter(changed.values())).size:
        pytest.skip("has no such part")
    sources = sources_of(student) | {f"{OWN}_golden.c": golden_source(student, replace(vectors, **changed))}
    built = program(tmp_path, shared, sources, DRIVERS / "self_test_driver.c")
    said = PipedNetwork(student.stored.model).serve([str(built)])
    assert [line.split(":")[1].strip() for line in said.lines if f" {part}:" in line] == ["FAIL"]
    assert said.lines[-2:] == ["potstill self-test own: FAIL", "failed"]


@pytest.mark.parametrize("seed", [1, 2])
def test_extreme_sound_in_random_pieces_breaks_nothing(seed: int, built: dict[str, Path]) -> None:
    done = subprocess.run([str(built["fuzz_driver"]), "400", str(seed)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    runs, decided, failures = map(int, done.stdout.split())
    assert runs > 30
    assert decided > 0
    assert failures > 0 or runs < 200


def test_two_interpreters_of_this_host_agree_on_the_golden_sound(student: DeviceStudent) -> None:
    vectors = golden_vectors(student)
    shape = runs_of(student, np.zeros((student.frames_per_run, vectors.codes.shape[1]), np.float32)).shape[1:]
    runs = vectors.codes.reshape(-1, *shape)
    np.testing.assert_array_equal(micro_runs(student.stored.model, runs), vectors.outputs)
    apart = np.abs(host_runs(student.stored.model, runs).astype(int) - vectors.outputs).max()
    assert apart <= vectors.output_steps <= 4
    assert np.ptp(vectors.codes.astype(int)) > 20


def test_profiler_s_log_is_read_by_calibrate(shared: Path, tmp_path: Path) -> None:
    built = program(tmp_path, shared, {}, DRIVERS / "profiler_driver.c")
    kinds = ["CONV_2D", "MEAN", "FULLY_CONNECTED"]
    done = subprocess.run([str(built), *kinds], capture_output=True, text=True, check=True)
    log = read_log(done.stdout)
    times = [("CONV_2D", 100), ("MEAN", 200), ("FULLY_CONNECTED", 300)]
    assert log.events == tuple(2 * times)
    assert done.stdout.splitlines()[-1] == "potstill profiler: 1 events had no room"
