"""The ESP-IDF component as a whole: its files, its example run on a host, and what cannot be carried."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml  # type: ignore[import-untyped]

from export.__main__ import main
from export.as_espidf import FOLDER, component, write
from export.board_log import read_log
from export.c_operators import operators_header, operators_of, resolver_method
from export.calibration import measured
from export.carried import CannotCarryError
from export.device_student import device_student
from export.espidf_build import board_of_study, build_of
from export.espidf_readme import heap_bytes
from export.exported import open_student
from export.front_end import features_of
from export.golden import golden, stored_student
from export.golden_sound import golden_sound
from export.listening import Listener
from export.operators import read_model
from export.verdict import BUILTIN
from spaces.board import load_board
from spaces.front_end import FrontEnd
from tests.export.device_students import MASKED, WAVES, mask_maker, opened, stored_folder, waves_heard
from tests.export.firmware_programs import (
    COMPILER,
    CPP_COMPILER,
    DRIVERS,
    MICRO_STAND_IN,
    SANITIZED,
    PipedNetwork,
    run,
)
from tests.export.firmware_programs import (
    NO_COMPILER as NO_C,
)
from tests.export.results_folder import ResultsFolder
from tests.export.student_folder import made_student

STAND_INS = [DRIVERS / name for name in ("idf_stand_in", "nvs_stand_in", "tflm_stand_in", "micro_stand_in")]
WARNED = ("-Wall", "-Wextra", "-Werror", "-g", "-DESP_PLATFORM")
needs_compilers = pytest.mark.skipif(COMPILER is None or CPP_COMPILER is None, reason=NO_C)
PINS = {
    "CLOCK_GPIO": 4,
    "WORD_SELECT_GPIO": 5,
    "DATA_GPIO": 6,
    "GAIN_BITS": 0,
    "BUFFER_MS": 300,
    "SPEAKER_CLOCK_GPIO": 15,
    "SPEAKER_WORD_SELECT_GPIO": 16,
    "SPEAKER_DATA_GPIO": 17,
}


def waves(folder: Path, new_model: Any) -> Path:
    decision = {"threshold": -3.0, "refractory_seconds": 0.1, "event": "b"}
    return stored_folder(folder, waves_heard(new_model()), WAVES, labels=["a", "b", "c", "d"], decision=decision)


def masks(folder: Path, new_model: Any) -> Path:
    return stored_folder(folder, mask_maker(new_model()), MASKED, recipe="speech_enhancement", labels=[])


def configured(folder: Path, *switches: str) -> None:
    """sdkconfig.h: the defaults of Kconfig, and these switches."""
    text = (folder / "Kconfig").read_text()
    numbers = re.findall(r"^config (\w+_ARENA_BYTES)\n.*\n    default (\d+)$", text, re.MULTILINE)
    assert numbers
    lines = [f"#define CONFIG_{name} {value}" for name, value in [*numbers, ("POTSTILL_PROFILE_RUNS", 5)]]
    lines += [f"#define CONFIG_LISTEN_{name} {value}" for name, value in PINS.items()]
    lines += [f"#define CONFIG_{name} 1" for name in switches]
    (folder / "sdkconfig.h").write_text("\n".join(lines) + "\n")


def compiled(folder: Path, written: dict[str, str], switches: tuple[str, ...], *flags: str) -> list[Path]:
    """Objects of the example, component and all, with stand-ins for ESP-IDF and TFLM."""
    for name, text in written.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    configured(folder, *switches)
    main_folder = folder / "examples/listen/main"
    include = [f"-I{path}" for path in (folder, *(folder / n for n in ("include", "src", "generated")), main_folder)]
    include += [f"-I{path}" for path in (*STAND_INS, DRIVERS)]
    sources = [folder / name for name in written if name.endswith((".c", ".cpp"))]
    listed = re.findall(r'"((?:src|generated)/[^"]+)"', written["CMakeLists.txt"])
    assert {str(path.relative_to(folder)) for path in sources if "examples" not in path.parts} == set(listed)
    sources += [DRIVERS / "idf_stand_in/i2s.c", DRIVERS / "nvs_stand_in/nvs.c", DRIVERS / "piped_network.c"]
    if "src/potstill_micro.c" in written:
        sources.append(MICRO_STAND_IN / "frontend.c")
    built = []
    for number, source in enumerate(sources):
        built.append(folder / f"{number}.o")
        compiler, standard = (CPP_COMPILER, "-std=gnu++17") if source.suffix == ".cpp" else (COMPILER, "-std=gnu17")
        run([str(compiler), standard, *WARNED, *flags, *include, "-c", str(source), "-o", str(built[-1])])
    return built


def app_of(folder: Path, written: dict[str, str], *switches: str, flags: tuple[str, ...] = SANITIZED) -> Path:
    """The example as a program of this host."""
    objects = compiled(folder, written, switches, *flags)
    program = folder / "app"
    run([str(CPP_COMPILER), *flags, *map(str, objects), "-lm", "-o", str(program)])
    return program


def played(folder: Path, samples: np.ndarray) -> dict[str, str]:
    (folder / "sound.raw").write_bytes(samples.tobytes())
    return {
        "MICROPHONE": str(folder / "sound.raw"),
        "SPEAKER": str(folder / "played.raw"),
        "ASAN_OPTIONS": "detect_leaks=0",
    }


@needs_compilers
def test_example_listens_tests_itself_and_profiles(tmp_path: Path, new_model: Any) -> None:
    folder = waves(tmp_path / "student", new_model)
    student = opened(folder)
    build = build_of(student)
    app = app_of(tmp_path, component([build]), "POTSTILL_SELF_TEST", "POTSTILL_PROFILE", "POTSTILL_LOG_DECISIONS")
    samples = golden_sound(9_000)
    kinds = [operator.kind for operator in read_model(student.stored.model).main.operators]
    count = str(len(set(kinds)))
    said = PipedNetwork(student.stored.model).serve_app(
        [str(app)], **played(tmp_path, samples), POTSTILL_OPERATORS=count, POTSTILL_TAGS=",".join(kinds)
    )
    lines = said.splitlines()
    assert "potstill self-test own: PASS" in lines
    assert "I (123) potstill: listening" in lines
    log = read_log(said)
    assert log.events == tuple(5 * [(kind, 50) for kind in kinds])
    assert log.arena == {"total": 3000, "head": 1000, "tail": 2000}
    rows = measured(log, read_model(student.stored.model), build.board, build.profile.choice.placement)
    assert [row.name for row in rows] == [f"{at} {kind}" for at, kind in enumerate(kinds)]
    ends, scores = Listener(open_student(folder)).hear(samples)
    told = [line for line in lines if re.search(r": own: [abcd] -?\d", line)]
    assert len(told) == len(ends)
    alarms = [int(found[1]) for line in lines if (found := re.search(r"alarm: b, score (-?\d+) of", line))]
    assert alarms
    assert set(alarms) <= set(scores.tolist())


@needs_compilers
@pytest.mark.parametrize(("microphone", "flags"), [("LISTEN_RIGHT_SLOT", SANITIZED), ("LISTEN_MICROPHONE_PDM", ())])
def test_example_plays_what_is_left_of_sound(
    tmp_path: Path, new_model: Any, microphone: str, flags: tuple[str, ...]
) -> None:
    student = opened(masks(tmp_path / "student", new_model))
    app = app_of(tmp_path, component([build_of(student)]), "LISTEN_SPEAKER", microphone, flags=flags)
    samples = golden_sound(2_000)
    network = PipedNetwork(student.stored.model)
    said = network.serve_app([str(app)], **played(tmp_path, samples), POTSTILL_OPERATORS="1")
    sound = np.frombuffer((tmp_path / "played.raw").read_bytes(), np.int16)
    frames = len(features_of(samples, MASKED))
    assert len(sound) == frames * MASKED.hop_samples
    assert np.abs(sound.astype(int)).max() > 1000
    assert "self-test" not in said
    with pytest.raises(AssertionError, match=r"arena of \d+ bytes is too small, or an operator is missing"):
        network.serve_app([str(app)], **played(tmp_path, samples), POTSTILL_OPERATORS="2")


@needs_compilers
def test_second_student_compiles_beside_the_first(tmp_path: Path, new_model: Any) -> None:
    own = build_of(opened(waves(tmp_path / "own", new_model)))
    other = stored_student(masks(tmp_path / "other", new_model), {})
    second = build_of(device_student(other, "potstill_beside", decides=False))
    written = component([own, second])
    compiled(tmp_path, written, ("POTSTILL_BESIDE", "POTSTILL_SELF_TEST"), "-fsyntax-only")
    header = written["src/potstill_operators.h"]
    kinds = {*operators_of(own.student.stored.model), *operators_of(other.model)}
    assert set(re.findall(r"resolver\.(Add\w+)\(\)", header)) == {resolver_method(kind) for kind in kinds}
    assert "config POTSTILL_BESIDE_ARENA_BYTES" in written["Kconfig"]
    assert "A second student hears the same sound" in written["README.md"]


def test_resolver_holds_exactly_the_model_s_operators(student: bytes) -> None:
    header = operators_header([student])
    kinds = {operator.kind for operator in read_model(student).main.operators}
    assert set(re.findall(r"resolver\.(Add\w+)\(\)", header)) == {resolver_method(kind) for kind in kinds}
    assert f"MicroMutableOpResolver<{len(kinds)}>" in header
    with pytest.raises(CannotCarryError, match="TFLM has no kernel for CUSTOM:mine"):
        resolver_method("CUSTOM:mine")


def test_methods_are_those_of_the_stand_in() -> None:
    stand_in = (STAND_INS[2] / "tensorflow/lite/micro/micro_mutable_op_resolver.h").read_text()
    known = {f"Add{name}" for name in re.findall(r"method\((\w+)\)", stand_in)}
    late = {"DYNAMIC_UPDATE_SLICE", "REVERSE_V2", "REDUCE_ALL", "REDUCE_MIN"}
    assert {resolver_method(kind) for kind in BUILTIN - late} <= known


@pytest.mark.parametrize("kind", ["clips", "steps"])
def test_figures_are_of_the_c_front_end(kind: str, tmp_path: Path) -> None:
    folder = made_student(tmp_path / "student", kind)
    (folder / "metrics.json").write_text("{}")
    stored = stored_student(folder, {})
    out = tmp_path / "out"
    carried = {one.name: one for one in write(stored, golden(stored), out)}
    assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == set(carried)
    found = carried[f"{FOLDER}/src/potstill_front_end.c"]
    if COMPILER:
        assert found.difference is not None
        assert found.difference.largest <= 2 * golden(stored).output_step
        said = re.search(r"features within (\S+), (\d+) of (\d+) INT8 values", found.runtime)
        assert said
        assert 0 < float(said[1]) < 1e-3
        assert int(said[2]) <= 0.005 * int(said[3])


@pytest.mark.parametrize(
    ("compiler", "reason"),
    [(None, "there is no C compiler on this host"), ("false", "false ended with 1: "), ("/nowhere", "No such file")],
)
def test_host_that_cannot_compare_says_why(
    compiler: str | None, reason: str, tmp_path: Path, new_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = stored_student(waves(tmp_path / "student", new_model), {})
    monkeypatch.setattr("export.firmware_host.compiler", lambda: compiler)
    carried = {one.name: one for one in write(stored, golden(stored), tmp_path / "out")}
    found = carried[f"{FOLDER}/src/potstill_front_end.c"]
    assert found.difference is None
    assert found.note.startswith("not compared: ")
    assert reason in found.note
    assert reason in (tmp_path / "out" / FOLDER / "README.md").read_text()


def test_a_front_end_that_computes_other_features_shows_in_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if COMPILER is None:
        pytest.skip(NO_C)
    folder = made_student(tmp_path / "student", "clips")
    (folder / "metrics.json").write_text("{}")
    stored = stored_student(folder, {})
    real = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda path, **how: real(path, **how).replace("logf(energy", "logf(2.0f * energy")
    )
    found = {one.name: one for one in write(stored, golden(stored), tmp_path / "out")}
    assert "features within 0.17," in found[f"{FOLDER}/src/potstill_front_end.c"].runtime


def test_readme_and_build_files_state_the_prediction(tmp_path: Path, new_model: Any) -> None:
    study = ResultsFolder(tmp_path / "study")
    folder = study.folder / "trials" / str(study.trained(0.9, 10.0, 20_000))
    waves(folder, new_model)
    assert main([str(study.folder), "--formats", "espidf"]) == 0
    out = study.folder / "export" / FOLDER
    readme = (out / "README.md").read_text()
    build = build_of(device_student(stored_student(folder, {}), "potstill_own"))
    assert f"| tensor arena set aside | {build.profile.arena.recommended_bytes:,} bytes |" in readme
    assert f"default {build.profile.arena.recommended_bytes}\n" in (out / "Kconfig").read_text()
    assert "(7.20 to 10.80, 90 %)" in readme
    assert "never been built by ESP-IDF" in readme
    needed = yaml.safe_load((out / "idf_component.yml").read_text())["dependencies"]
    assert needed == {"idf": ">=5.3", "espressif/esp-tflite-micro": "==1.4.0", "espressif/esp-nn": "==1.4.0"}
    example = out / "examples/listen/main"
    found = yaml.safe_load((example / "idf_component.yml").read_text())["dependencies"]["potstill_student"]["path"]
    assert (example / found).resolve() == out.resolve()
    defaults = (out / "examples/listen/sdkconfig.defaults").read_text()
    assert "CONFIG_ESPTOOLPY_FLASHSIZE_8MB=y" in defaults
    assert "SPIRAM" not in defaults
    listed = json.loads((study.folder / "export/formats.json").read_text())["formats"]["espidf"]["files"]
    assert {f"{FOLDER}/README.md", f"{FOLDER}/examples/listen/main/main.cpp"} <= set(listed)
    # A later export without the format takes the whole tree away.
    assert main([str(study.folder)]) == 0
    assert not (study.folder / "export/espidf").exists()


def test_board_is_the_study_s(tmp_path: Path, new_model: Any) -> None:
    from dataclasses import asdict

    board = load_board("xiao-esp32s3-sense")
    folder = waves(tmp_path / "study/trials/0", new_model)
    (tmp_path / "study/run.json").write_text(json.dumps({"board": {**asdict(board), "name": "mine"}}))
    assert board_of_study(stored_student(folder, {})).name == "mine"
    (tmp_path / "study/run.json").unlink()
    assert board_of_study(stored_student(folder, {"board": "esp32-s3-box-3"})).name == "esp32-s3-box-3"
    assert board_of_study(stored_student(folder, {"board": "own.toml"})).name == "esp32-s3-devkitc-1-n8"


def test_heap_is_what_the_sources_ask_for(tmp_path: Path, new_model: Any) -> None:
    # Counted by hand: 19 + 1 and 20 complex bins, a frame of 40 and 21 floats, 40 samples, 21 codes; a ring, a state
    # and outputs of 21; a hop, 20 bins and one and a half frames for sound.
    own = heap_bytes(opened(masks(tmp_path / "student", new_model)))
    assert own == 8 * 41 + 4 * 61 + 2 * 40 + 21 + 3 * 21 + 2 * 20 + 8 * 20 + 4 * 60


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"front_end": {"mels": 41}}, "its front end gives"),
        ({"labels": [], "values": ["one"]}, "gives 2 values, student.json names 1"),
    ],
)
def test_what_contradicts_itself_is_left_out_with_the_reason(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    folder = made_student(tmp_path / "student", "clips", decision={})
    (folder / "metrics.json").write_text("{}")
    document = json.loads((folder / "student.json").read_text())
    front_end = document["front_end"] | change.pop("front_end", {})
    (folder / "student.json").write_text(json.dumps(document | change | {"front_end": front_end}))
    with pytest.raises(CannotCarryError, match=reason):
        device_student(stored_student(folder, {}), "potstill_own")


def test_second_student_is_named_on_the_command_line(
    tmp_path: Path, new_model: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    study = ResultsFolder(tmp_path / "study")
    waves(study.folder / "trials" / str(study.trained(0.9, 10.0, 20_000)), new_model)
    teacher = tmp_path / "teacher.tflite"
    teacher.write_bytes(waves_heard(new_model()))
    command = [str(study.folder), "--formats", "espidf"]
    assert main([*command, "--beside", str(teacher)]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  espidf: ")]
    assert len(said) == 2
    assert "potstill_front_end.c  " in said[0]
    assert said[1].endswith(" more files beside")
    out = study.folder / "export" / FOLDER
    assert "potstill_beside" in (out / "generated/potstill_students.h").read_text()
    fast = masks(tmp_path / "fast", new_model)
    document = json.loads((fast / "student.json").read_text())
    document["front_end"]["sample_rate_hz"] = 48_000
    (fast / "student.json").write_text(json.dumps(document))
    assert main([*command, "--beside", str(fast)]) == 3
    assert "both must hear the same sound; the rates are 16000 and 48000 Hz" in capsys.readouterr().out
    assert main([str(study.folder), "--beside", str(teacher)]) == 2
    assert "add --formats espidf" in capsys.readouterr().err
    assert main([*command, "--beside", str(tmp_path / "nothing")]) == 2
    assert "neither the folder of an export nor a .tflite file" in capsys.readouterr().err


def test_golden_features_of_spectra_have_a_value_for_each_bin(tmp_path: Path, new_model: Any) -> None:
    found = golden(stored_student(masks(tmp_path / "student", new_model), {}))
    assert found.features.shape == (32, MASKED.frames, MASKED.values_per_frame)
    assert FrontEnd().values_per_frame == 40
