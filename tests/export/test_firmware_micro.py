"""TFLM's front end in the firmware, its C code served by its Python wrapper: pieces, codes, states, the component."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml  # type: ignore[import-untyped]

from export.as_espidf import FOLDER, component, write
from export.c_front_end import Step, check_step
from export.carried import CannotCarryError
from export.device_student import DeviceStudent
from export.espidf_build import build_of
from export.espidf_readme import MICRO_BYTES, heap_bytes
from export.exported import open_student
from export.golden import golden
from export.golden_sound import golden_sound
from export.listening import Listener
from spaces.front_end import FrontEnd
from tests.export.device_students import opened, sources_of
from tests.export.firmware_programs import COMPILER, DRIVERS, NO_COMPILER, PipedMicro, PipedNetwork, program
from tests.export.micro_student import MICRO, STRIDE, micro_folder, micro_stored, words
from tests.export.test_as_espidf import app_of, needs_compilers, played
from tests.export.test_micro_front_end import wrapped

needs_compiler = pytest.mark.skipif(COMPILER is None, reason=NO_COMPILER)
# Rate, window, hop and channels; band; noise reduction; PCAN; logarithm: init_cfg of pymicro-features.
SETTINGS = "16000 30 10 40 125 7500 10 0.025 0.06 0.05 1 0.95 80 21 1 6"


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> DeviceStudent:
    return opened(micro_folder(tmp_path_factory.mktemp("student")))


@pytest.fixture(scope="module")
def built(student: DeviceStudent, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, shared, sources = (
        tmp_path_factory.mktemp("programs"),
        tmp_path_factory.mktemp("shared"),
        sources_of(student),
    )
    names = ("runner_driver", "self_test_driver", "fuzz_driver")
    return {name: program(folder / name, shared, sources, DRIVERS / f"{name}.c") for name in names}


def esphomes_codes(samples: np.ndarray) -> np.ndarray:
    """What ESPHome's runtime feeds: its formula on the C code's integers."""
    integers = np.round(wrapped(samples) * 25.6).astype(int)
    return np.asarray(np.clip((integers * 256 + 333) // 666 - 128, -128, 127))


@needs_compiler
@pytest.mark.parametrize("pieces", [[159], [160, 161], [0], [3999], [479, 0, 1213, 320, 7]], ids=str)
def test_network_hears_esphomes_codes_however_sound_is_cut(
    pieces: list[int], student: DeviceStudent, built: dict[str, Path], tmp_path: Path
) -> None:
    samples = words(3 if pieces == [0] else 12)
    (tmp_path / "sound.raw").write_bytes(samples.tobytes())
    network = PipedNetwork(student.stored.model)
    said = network.serve([str(built["runner_driver"]), str(tmp_path / "sound.raw"), *map(str, pieces)])
    assert network.micro.settings == [SETTINGS]
    expected = esphomes_codes(samples)
    whole = len(expected) // STRIDE * STRIDE
    np.testing.assert_array_equal(np.array(network.heard).reshape(-1, 40), expected[:whole])
    assert np.ptp(expected) > 150
    _, scores = Listener(open_student(student.stored.folder)).hear(samples)
    np.testing.assert_array_equal([score for _, score, _, _ in said.decisions], scores)
    assert np.ptp(scores) > 3
    assert pieces == [0] or len({event for _, _, event, _ in said.decisions}) > 1


@needs_compiler
def test_self_test_passes_and_needs_its_resets(student: DeviceStudent, built: dict[str, Path]) -> None:
    command = [str(built["self_test_driver"])]
    said = PipedNetwork(student.stored.model).serve(command)
    assert said.lines[-2:] == ["potstill self-test own: PASS", "passed"]
    assert ": PASS: 0 of 1200 values differ, by 0 steps at most (64 allowed)" in said.lines[0]
    # What was heard before stays in its estimate of the noise.
    remembered = PipedNetwork(student.stored.model, micro=PipedMicro(forgets=False))
    remembered.micro.answer(b"m", golden_sound(160).tobytes())
    for at in range(0, 16_000, 160):
        remembered.micro.answer(b"m", words(2)[at : at + 160].tobytes())
    said = remembered.serve(command)
    assert "potstill self-test own front end: FAIL" in said.lines[0]
    assert said.lines[-1] == "failed"


@needs_compiler
def test_extreme_sound_in_random_pieces_breaks_nothing(student: DeviceStudent, built: dict[str, Path]) -> None:
    said = PipedNetwork(student.stored.model).serve_app([str(built["fuzz_driver"]), "300", "1"])
    runs, decided, _ = map(int, said.split())
    assert runs > 30
    assert decided > 0


@needs_compiler
def test_no_memory_for_it_is_a_failure_to_open(
    student: DeviceStudent, built: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICRO_FAILS", "1")
    said = PipedNetwork(student.stored.model).serve([str(built["self_test_driver"])])
    assert said.lines == ["potstill self-test: FAIL: no memory", "failed"]


@needs_compilers
def test_component_listens_and_depends_on_the_c_code(tmp_path: Path, student: DeviceStudent) -> None:
    written = component([build_of(student)])
    needed = yaml.safe_load(written["idf_component.yml"])["dependencies"]
    assert needed["esphome/esp-micro-speech-features"] == "==1.2.3"
    app = app_of(tmp_path, written, "POTSTILL_SELF_TEST", "POTSTILL_LOG_DECISIONS")
    network, samples = PipedNetwork(student.stored.model), words(8)
    operators = str(written["src/potstill_operators.h"].count("resolver.Add"))
    said = network.serve_app([str(app)], **played(tmp_path, samples), POTSTILL_OPERATORS=operators).splitlines()
    assert "potstill self-test own: PASS" in said
    told = [line for line in said if ": own: " in line and ("_other_" in line or " up " in line)]
    ends, _ = Listener(open_student(student.stored.folder)).hear(samples)
    assert len(told) >= len(ends) > 20


def test_files_of_a_micro_student(tmp_path: Path) -> None:
    stored = micro_stored(tmp_path / "student")
    carried = {one.name: one for one in write(stored, golden(stored), tmp_path)}
    assert carried[f"{FOLDER}/src/potstill_front_end.c"].note.startswith("not compared: TFLM's own code")
    assert "src/potstill_micro.c" in (tmp_path / FOLDER / "CMakeLists.txt").read_text()
    source = (tmp_path / FOLDER / "generated/potstill_own.c").read_text()
    assert ".source = &potstill_micro," in source
    assert "_window" not in source.replace("window_samples", "")
    assert "esphome/esp-micro-speech-features` 1.2.3" in (tmp_path / FOLDER / "README.md").read_text()


def test_its_memory_is_that_of_the_c_code(student: DeviceStudent) -> None:
    states = sum(int(np.prod(state.shape)) for state in student.states)
    assert heap_bytes(student) == MICRO_BYTES + 40 + STRIDE * 40 + states + 2


def test_codes_that_mean_other_features_are_refused(tmp_path: Path) -> None:
    check_step(FrontEnd(), Step(0.5, 7))
    check_step(MICRO, Step(1 / 64, -88))
    with pytest.raises(
        CannotCarryError, match=r"scale 0.015625 and zero point -88, but the model's input has 0.015 and"
    ):
        check_step(MICRO, Step(0.015, -88))
    stored = micro_stored(tmp_path / "student")
    from tests.export.conftest import ModelBuilder

    m = ModelBuilder()
    x = m.tensor((1, MICRO.frames, 40, 1))
    other = replace(stored, model=m.build([x], [m.dense(m.mean(x), 2)]))
    with pytest.raises(CannotCarryError, match="the firmware feeds ESPHome's codes of micro"):
        write(replace(stored, beside=other), golden(stored), tmp_path)
