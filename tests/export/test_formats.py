"""A student in other formats: what each computes on golden inputs, beside the INT8 reference."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import shutil
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export import as_c_array
from export.__main__ import main
from export.as_c_array import bytes_of
from export.as_onnx import invoked
from export.decision_c import decision_sources
from export.decision_score import ScoreRule
from export.exported import open_student
from export.format_names import FORMATS
from export.golden import golden, heard, stored_student, synthesised, taken_through
from export.tflite import host_interpreter
from spaces.candidate import Student
from spaces.front_end import FrontEnd, micro_front_end
from tests.export.results_folder import ResultsFolder
from trainables.conversion import int8_student, runs_on_device
from trainables.students import build_student
from trainables.students.mobile_vit import PUBLISHED

FRONT_END = FrontEnd(hop_samples=320, mels=20)
STUDENTS = {
    "ds_cnn": Student("ds_cnn", {"width": 8, "depth": 1, "second_stride": 2}),
    "gru": Student("gru", {"hidden": 8, "depth": 1}),
}
# torch reads weights into buffers that it warns of.
pytestmark = pytest.mark.filterwarnings("ignore:The given buffer is not writable")
TWO_OUTPUTS = ScoreRule(0.1, (False, True))
TESTED = ("tflite", "onnx", "torchscript", "c", "hf")


def write_student(folder: Path, student: Student, front_end: FrontEnd = FRONT_END, outputs: int = 2) -> None:
    """What a trial leaves of an untrained student whose batch normalisation has seen features."""
    torch.manual_seed(3)
    network = build_student(student, front_end, outputs)
    clips = synthesised(front_end, 64, seed=9)
    with torch.no_grad():
        for weights in network.parameters():
            weights.mul_(1.5)
        network.train()(torch.from_numpy(clips).unsqueeze(1))
    network.eval()
    model = int8_student(network, clips)
    (folder / "student.int8.tflite").write_bytes(model)
    program = torch.export.export(*runs_on_device(network, front_end.frames, front_end.values_per_frame))
    torch.export.save(program, folder / "student.pt2")
    facts = {
        "recipe": "wakeword",
        "student": asdict(student),
        "front_end": asdict(front_end),
        "labels": ["no", "yes"] if outputs == 2 else [],
        "decision": {"threshold": 0.5, "refractory_seconds": 2.0} if outputs == 2 else {},
    }
    (folder / "student.json").write_text(json.dumps(facts))


MASKS = FrontEnd(
    kind="log_power", window_samples=320, hop_samples=160, n_fft=320, clip_seconds=0.3, decision_seconds=0.01
)
OTHERS = {
    "cruse": (Student("cruse", {"width": 2, "depth": 3, "top": 4, "groups": 2, "slope": 0.2}), MASKS, 161),
    "mobile_vit": (
        Student(
            "mobile_vit", {**PUBLISHED, "dim": 16, "depth": 1, "heads": 2, "mlp_ratio": 2, "pool": "mean", "bins": 11}
        ),
        FrontEnd(hop_samples=320, mels=32),
        2,
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_masks_and_transformers_go_out_in_the_formats_that_their_sources_ask_for(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("the extra onnx is not there")
    study = ResultsFolder(tmp_path / "study")
    write_student(study.folder / "trials" / str(study.trained(0.9, 10.0, 20_001)), *OTHERS[name])
    assert main([str(study.folder), "--formats", "tflite,onnx,torchscript,c"]) == 0
    found = files(study.folder / "export")
    floats = [found[file] for file in ("student.float.tflite", "student.float.onnx", "student.torchscript.pt")]
    reference = golden(stored_student(study.folder / "export", {}))
    spread = float(np.ptp(reference.outputs))
    # They compute one and the same network: all are as far from INT8.
    assert [one["largest_difference"] for one in floats] == pytest.approx(
        [floats[0]["largest_difference"]] * 3, abs=1e-4
    )
    assert 0 < floats[0]["largest_difference"] < 0.3 * spread
    assert 0 < found["student.int8.onnx"]["mean_difference"] < 0.15 * spread


@pytest.fixture(scope="module", params=STUDENTS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of a results folder that holds one student."""
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("the extra onnx is not there")
    study = ResultsFolder(tmp_path_factory.mktemp("results") / "study")
    write_student(study.folder / "trials" / str(study.trained(0.9, 10.0, 20_001)), STUDENTS[request.param])
    out = tmp_path_factory.mktemp("export") / "out"
    assert main([str(study.folder), "--out", str(out), "--formats", ",".join(TESTED)]) == 0
    shutil.copyfile(study.folder / "trials/0/student.pt2", out.parent / "student.pt2")
    return out


def listing(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "formats.json").read_text())
    return content


def files(out: Path) -> dict[str, dict[str, Any]]:
    return {name: facts for one in listing(out)["formats"].values() for name, facts in one["files"].items()}


def test_every_file_is_listed_with_its_hash(exported: Path) -> None:
    everything = json.loads((exported / "export.json").read_text())["files"]
    there = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
    assert there == {*everything, "export.json"}
    for name, facts in [*everything.items(), *files(exported).items()]:
        assert facts["sha256"] == hashlib.sha256((exported / name).read_bytes()).hexdigest()
        assert facts["bytes"] == (exported / name).stat().st_size


def test_listing_says_what_it_was_compared_with(exported: Path) -> None:
    content = listing(exported)
    assert content["schema"] == 1
    assert list(content["formats"]) == list(TESTED)
    assert content["reference"]["sha256"] == hashlib.sha256((exported / "student.int8.tflite").read_bytes()).hexdigest()
    again = golden(stored_student(exported, {}))
    assert content["golden"]["sha256"] == again.hash
    assert content["reference"]["output_step"] == again.output_step > 0


def test_float_files_compute_what_the_network_does(exported: Path) -> None:
    reference = golden(stored_student(exported, {}))
    network = torch.export.load(exported.parent / "student.pt2").module()
    shapes = [shape for _, shape in [(0, tuple(t.shape)) for t in _examples(exported)]]

    def invoke(inputs: Any) -> list[np.ndarray]:
        found = network(*(torch.from_numpy(values.copy()) for values in inputs))
        return [output.detach().numpy() for output in (found if isinstance(found, tuple) else (found,))]

    expected = taken_through(invoke, reference.features, shapes)
    apart = np.abs(expected - reference.outputs)
    found = files(exported)
    for name in ("student.float.tflite", "student.float.onnx", "student.torchscript.pt"):
        assert found[name]["largest_difference"] == pytest.approx(apart.max(), abs=1e-4)
        assert found[name]["mean_difference"] == pytest.approx(apart.mean(), abs=1e-4)


def _examples(exported: Path) -> Any:
    program = torch.export.load(exported.parent / "student.pt2")
    assert program.example_inputs is not None
    return program.example_inputs[0]


def test_int8_files_stay_near_the_reference(exported: Path) -> None:
    reference, found = golden(stored_student(exported, {})), files(exported)
    spread = float(np.ptp(reference.outputs))
    assert spread > 20 * reference.output_step
    assert found["student.int8.tflite"]["largest_difference"] <= 4.01 * reference.output_step
    assert 0 < found["student.int8.onnx"]["mean_difference"] < 0.15 * spread


def test_onnx_is_whole_and_quantized(exported: Path) -> None:
    import onnx

    kinds = {}
    for name in ("student.float.onnx", "student.int8.onnx"):
        model = onnx.load(str(exported / name))
        onnx.checker.check_model(model, full_check=True)
        kinds[name] = [node.op_type for node in model.graph.node]
        invoke, shapes = invoked(exported / name)
        assert all(np.isfinite(output).all() for output in invoke([np.ones(shape, np.float32) for shape in shapes]))
    assert "QuantizeLinear" in kinds["student.int8.onnx"]
    assert "QuantizeLinear" not in kinds["student.float.onnx"]


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_c_array_compiles_aligned_and_equal(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(
        '#include "student_model.h"\n#include <stdint.h>\n#include <stdio.h>\n'
        "int main(void) {\n"
        "  if ((uintptr_t)student_model % 16) return 1;\n"
        "  static unsigned char arena[STUDENT_ARENA_BYTES];\n"
        "  if (sizeof arena != 21040) return 2;\n"
        "  return fwrite(student_model, 1, student_model_len, stdout) == student_model_len ? 0 : 3;\n}\n"
    )
    command = ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I", str(exported)]
    sources = [str(tmp_path / "main.c"), str(exported / "student_model.c")]
    subprocess.run([*command, *sources, "-o", str(tmp_path / "main")], check=True)
    done = subprocess.run([str(tmp_path / "main")], capture_output=True, check=True)
    assert done.stdout == (exported / "student.int8.tflite").read_bytes()
    assert bytes_of((exported / "student_model.c").read_text()) == done.stdout


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_the_decisions_sources_compile_with_the_students_own_threshold(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(
        '#include "potstill_decision_student.h"\n#include <stdio.h>\n'
        "int main(void) {\n"
        "  const int8_t outputs[] = {-3, 20};\n"
        "  const potstill_settings *own = &potstill_default_settings;\n"
        '  printf("%d %d %d", own->threshold_steps, own->hold_decisions, potstill_score(outputs));\n'
        "  return 0;\n}\n"
    )
    sources = [str(exported / f"potstill_decision{name}.c") for name in ("", "_nvs", "_student")]
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-I", str(exported), str(tmp_path / "main.c"), *sources]
    subprocess.run([*command, "-o", str(tmp_path / "main")], check=True)
    done = subprocess.run([str(tmp_path / "main")], capture_output=True, check=True)
    own = open_student(exported).stored_settings()
    assert own is not None
    assert done.stdout.decode() == f"{own.threshold_steps} {own.hold_decisions} 23"
    assert own.threshold_steps == math.ceil(0.5 / golden(stored_student(exported, {})).output_step)
    assert {name for name in files(exported) if name.startswith("potstill_")} == set(decision_sources(own, TWO_OUTPUTS))


def test_a_student_that_decides_nothing_has_no_decision_in_c(exported: Path, tmp_path: Path) -> None:
    student = stored_student(exported, listing(exported)["reference"] | {"arena_bytes": 20_001})
    silent = replace(student, facts={**student.facts, "decision": {}})
    carried = as_c_array.write(silent, golden(student), tmp_path)
    assert [one.name for one in carried] == ["student_model.c", "student_model.h"]


def test_model_card_is_read_by_the_hub_s_library(exported: Path) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard.load(exported / "hf" / "README.md")
    assert card.data.license == "unknown"
    assert card.data.library_name == "tflite"
    found = {(one.dataset_name, one.metric_type): one.metric_value for one in card.data.eval_results}
    assert found["synthesised, test", "f1"] == pytest.approx(0.9 - 0.0317)
    for part in ("## Data and teacher", "- train: 900 other, 300 hey", "speech embedding", "## Limits", "## Licence"):
        assert part in card.text
    assert "teacher: F1 0.78 on validation, under 0.8" in card.text
    assert (exported / "hf/student.int8.tflite").read_bytes() == (exported / "student.int8.tflite").read_bytes()


def test_what_is_printed(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = ResultsFolder(tmp_path / "study")
    number = study.trained(0.9, 10.0, 20_000)
    for name in ("student.int8.tflite", "student.json"):
        shutil.copyfile(exported / name, study.folder / "trials" / str(number) / name)
    assert main([str(study.folder), "--formats", "c"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  c: student_model.c  largest 0, mean 0 under the INT8 reference: the same bytes" in lines
    assert main([str(study.folder), "--pick", "best"]) == 0
    there = {path.name for path in (study.folder / "export").iterdir()}
    assert not {"formats.json", "student_model.c", "student_model.h"} & there


def test_format_that_cannot_carry_the_student_says_why_and_exits_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = ResultsFolder(tmp_path / "study")
    write_student(study.folder / "trials" / str(study.trained(0.9, 10.0, 20_000)), STUDENTS["ds_cnn"])
    monkeypatch.setattr("export.as_c_array.bytes_of", lambda source: b"")
    assert main([str(study.folder), "--formats", "c,hf"]) == 3
    assert "  c: left out: student_model.c does not hold the model's bytes" in capsys.readouterr().out.splitlines()
    content = json.loads((study.folder / "export/formats.json").read_text())
    assert content["formats"]["c"] == {"reason": "student_model.c does not hold the model's bytes"}
    assert "hf/README.md" in content["formats"]["hf"]["files"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--formats", "tflite,coreml"], f"'coreml' is unknown; use {', '.join(FORMATS)}"),
        (
            ["--formats", "espdl"],
            "espdl needs esp_ppq, onnxsim; install the extra: pip install -c constraints.txt -e '.[espdl]'",
        ),
    ],
)
def test_unknown_format_or_missing_extra_exits_2(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name in ("esp_ppq", "onnxsim") else known(name)
    )
    with pytest.raises(SystemExit) as stopped:
        main(["results", *words])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


GOLDEN_FRONT_ENDS = {
    "log_mel": (FrontEnd(), (math.log(1e-6) + 5) / 4),
    "waveform": (FrontEnd(window_samples=16, hop_samples=16, kind="waveform"), -1.0),
    "log_power": (MASKS, (math.log(1e-6) + 5) / 4),
    "micro": (micro_front_end(), -0.625),
}


@pytest.mark.parametrize("kind", GOLDEN_FRONT_ENDS)
def test_golden_features_lie_where_a_front_end_s_do(kind: str) -> None:
    front_end, floor = GOLDEN_FRONT_ENDS[kind]
    features = synthesised(front_end, 8, seed=0)
    assert features.shape == (8, front_end.frames, front_end.values_per_frame)
    assert np.array_equal(features, synthesised(front_end, 8, seed=0))
    assert not np.array_equal(features, synthesised(front_end, 8, seed=1))
    assert features.min() >= floor - 1e-6
    assert features.max() < 5
    assert features.std() > 0.1


def test_golden_features_stay_within_the_model_s_input(exported: Path) -> None:
    student = stored_student(exported, {})
    scale, zero = host_interpreter(student.model).get_input_details()[0]["quantization"]
    features = heard(student, 8, seed=0)
    assert (-128 - zero) * scale - 1e-5 <= features.min()
    assert features.max() <= (127 - zero) * scale + 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDENTS)
def test_espdl_is_written_with_a_parity_figure(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("esp_ppq") is None:
        pytest.skip("the extra espdl is not there")
    study = ResultsFolder(tmp_path / "study")
    write_student(study.folder / "trials" / str(study.trained(0.9, 10.0, 20_000)), STUDENTS[name])
    assert main([str(study.folder), "--formats", "espdl"]) == 0
    out = study.folder / "export"
    facts = files(out)["student_espdl.espdl"]
    assert facts["runtime"].startswith("esp-ppq 1.3")
    assert 0 < facts["mean_difference"] < np.ptp(golden(stored_student(out, {})).outputs)
    assert json.loads((out / "student.json").read_text())["labels"] == ["no", "yes"]
