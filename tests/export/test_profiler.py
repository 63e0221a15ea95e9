"""Tests of the command `python -m export profile`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from export.profile_table import short, summary
from export.profiler import main
from spaces.board import load_board
from tests.export.student_folder import made_student

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
FIELDS = {
    "flash_bytes", "arena_bytes", "arena_head_bytes", "arena_tail_bytes", "arena_scratch_bytes", "host_arena_bytes",
    "latency_ms", "latency_low_ms", "latency_high_ms", "decision_ms", "energy_mj", "fits", "placement",
    "profiler_version", "operators",
}  # fmt: skip


@pytest.fixture
def file(student: bytes, tmp_path: Path) -> str:
    path = tmp_path / "student.int8.tflite"
    path.write_bytes(student)
    return str(path)


def as_json(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, object]:
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


def test_json_is_one_object_with_the_agreed_fields(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = as_json(capsys, file, "--board", "esp32-s3-devkitc-1-n16r8")
    assert not FIELDS - set(data)
    assert data["arena_bytes"] == data["arena_head_bytes"] + data["arena_tail_bytes"]  # type: ignore[operator]
    operators = data["operators"]
    assert isinstance(operators, list)
    kinds = [row["operator"] for row in operators]
    assert kinds == ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "MEAN", "FULLY_CONNECTED"]
    assert sum(row["ms"] for row in operators) == pytest.approx(data["latency_ms"], rel=1e-3)
    assert all(row["low_ms"] < row["ms"] < row["high_ms"] for row in operators)


def test_the_table_shows_every_operator_and_the_verdict(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([file, "--board", "esp32-s3-devkitc-1-n8"]) == 0
    out = capsys.readouterr().out
    header, *rows = out.split("\n\n")[0].splitlines()
    assert header.split() == ["#", "operator", "shape", "kernel", "MACs", "cycles", "ms", "%", "bytes"]
    assert [row.split()[1] for row in rows] == ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "MEAN", "FULLY_CONNECTED"]
    assert rows[0].split()[2] == "1x25x10x16"
    assert "arena sram, weights flash (no other choice)" in out
    assert "verdict     fits" in out and "TFLM        runs" in out
    assert "a decision " not in out


def test_options_change_the_build(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    board = ("--board", "esp32-s3-devkitc-1-n16r8")
    plain = as_json(capsys, file, *board)
    slow = as_json(capsys, file, *board, "--cpu-mhz", "80")
    reference = as_json(capsys, file, *board, "--no-esp-nn")
    older = as_json(capsys, file, *board, "--esp-nn", "1.1.2")
    outside = as_json(capsys, file, *board, "--arena", "psram", "--weights", "flash", "--flash-mode", "dio")
    assert slow["latency_ms"] > 2.5 * plain["latency_ms"]  # type: ignore[operator]
    assert reference["latency_ms"] > 5 * plain["latency_ms"]  # type: ignore[operator]
    assert older["latency_ms"] != plain["latency_ms"]
    assert outside["placement"] == "arena psram, weights flash"
    assert outside["placement_reason"] == "as asked for"
    half = as_json(capsys, file, *board, "--arena", "psram")
    assert str(half["placement"]).startswith("arena psram, ") and "fastest that fits" in str(half["placement_reason"])


def test_the_flash_mode_moves_what_misses_the_cache(
    new_model: Callable[[], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    m = new_model()
    x = m.tensor((1, 10, 10, 256))
    path = tmp_path / "wide.tflite"
    path.write_bytes(m.build([x], [m.conv(x, 256)]))
    dio, qio, opi = (
        as_json(capsys, str(path), "--weights", "flash", "--flash-mode", mode)["latency_ms"]
        for mode in ("dio", "qio", "opi")
    )
    assert dio > qio > opi  # type: ignore[operator]


def test_a_step_is_invoked_for_every_new_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # A decision every 100 ms, a frame every 20 ms.
    for kind, invokes in (("steps", 5), ("clips", 1)):
        file = str(made_student(tmp_path / kind, kind) / "student.int8.tflite")
        data = as_json(capsys, file)
        assert data["invokes_per_decision"] == invokes
        decision_ms, invoke_ms = (float(str(data[name])) for name in ("decision_ms", "latency_ms"))
        features = decision_ms - invokes * invoke_ms
        assert main([file]) == 0
        said = (
            f"features {features:.2f}, of which only the FFT is measured, and {'5 Invokes' if invokes > 1 else 'one'}"
        )
        assert said in capsys.readouterr().out


def test_student_json_beside_the_model_gives_the_front_end(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert as_json(capsys, file)["real_time_factor"] is None
    Path(file).with_name("student.json").write_text(json.dumps({"front_end": {"mels": 20, "hop_samples": 160}}))
    data = as_json(capsys, file)
    assert data["decision_ms"] > data["latency_ms"]  # type: ignore[operator]
    assert data["real_time_factor"] == pytest.approx(data["decision_ms"] / 100)  # type: ignore[operator]
    assert as_json(capsys, file, "--front-end", "none")["decision_ms"] == data["latency_ms"]
    waveform = {"kind": "waveform", "hop_samples": 32, "window_samples": 32, "decision_seconds": 0.5}
    Path(file).with_name("student.json").write_text(json.dumps({"front_end": waveform}))
    raw = as_json(capsys, file)
    assert 0 < raw["decision_ms"] - raw["latency_ms"] < 1  # type: ignore[operator]
    main([file])
    assert "a decision  " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nowhere.tflite"], "nowhere.tflite: cannot be read: No such file"),
        (["{file}", "--board", "esp8266"], "board: 'esp8266' is unknown"),
        (["{file}", "--esp-nn", "latest"], "esp_nn='latest' must be a release such as 1.2.3"),
        (["{file}", "--arena", "psram"], "--arena psram: esp32-s3-devkitc-1-n8 has no PSRAM"),
        (["{file}", "--weights", "psram"], "--weights psram: esp32-s3-devkitc-1-n8 has no PSRAM"),
        (["{file}", "--front-end", "{file}"], "holds no front_end with the fields of FrontEnd"),
        (["{file}", "--front-end", "{front_end}"], "front_end.json: holds no front_end with the fields of FrontEnd"),
        (["{file}", "--front-end", "{kind}"], "front end: kind=['waveform'] must be log_mel or waveform"),
        (["{file}", "--calibration", "{text}"], "notes.tflite: is no calibration file"),
        (["{file}", "--compare", "{text}"], "notes.tflite: not a .tflite file"),
        (["{file}", "--board", "{board}"], "mine.toml: 'clock' is no field of a board; there are name, "),
        (["{text}"], "notes.tflite: not a .tflite file"),
        (["{cut}"], "cut.tflite: not a readable .tflite"),
        (["{old}"], "old.tflite: schema version 2 must be 3"),
        (["{hostile}"], "hostile.tflite: not a readable .tflite"),
        (["{huge}"], "huge.tflite: tensor 0 of shape [1073741824, 1073741824] is over 2147483648 bytes"),
        (["{empty}"], "empty.tflite: the first graph holds no operator"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    file: str,
    argv: list[str],
    message: str,
    new_model: Callable[[], Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    student = Path(file).read_bytes()
    bad = {
        "text": ("notes.tflite", b"no model"),
        "front_end": ("front_end.json", b'{"front_end": {"mels": "many"}}'),
        "kind": ("kind.json", b'{"front_end": {"kind": ["waveform"]}}'),
        "board": ("mine.toml", b'base = "esp32-s3-box-3"\nclock = 240'),
        "cut": ("cut.tflite", student[: len(student) // 2]),
        "hostile": ("hostile.tflite", b"\xff\xff\xff\x7fTFL3" + student[8:]),
        **_broken(new_model),
    }
    paths = {key: tmp_path / name for key, (name, _) in bad.items()}
    for key, (_, data) in bad.items():
        paths[key].write_bytes(data)
    assert main([part.format(file=file, **paths) for part in argv]) == 2
    out, error = capsys.readouterr()
    assert out == "" and message in error and error.count("\n") == 1


def _broken(new_model: Callable[[], Any]) -> dict[str, tuple[str, bytes]]:
    m = new_model()
    x = m.tensor((1, 4))
    empty = m.build([x], [x])
    m.dense(x, 2)
    m.model.version = 2
    old = m.build([x], [x])
    m.model.version = 3
    m.model.subgraphs[0].tensors[0].shape = [1 << 30, 1 << 30]
    return {
        "empty": ("empty.tflite", empty),
        "old": ("old.tflite", old),
        "huge": ("huge.tflite", m.build([x], [x])),
    }


def test_a_reader_that_stops_early_is_no_error(file: str) -> None:
    command = f"{sys.executable} -m export profile {file} --json | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_a_model_that_tflm_does_not_run_is_still_shown(
    new_model: Callable[[], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    m = new_model()
    x, y = m.tensor((1, 4)), m.tensor((1, 4))
    m.operator("GELU", [x], [y])
    path = tmp_path / "gelu.tflite"
    path.write_bytes(m.build([x], [y]))
    assert main([str(path)]) == 0
    out = capsys.readouterr().out
    assert "TFLM        does not run: operator 0 GELU: TFLM has no kernel for it" in out
    assert "verdict     does not run; for its memory: fits" in out and "this host uses" not in out


def test_the_arena_is_broken_down_with_its_margin(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = as_json(capsys, file)
    main([file])
    out = capsys.readouterr().out
    margin = data["arena_recommended_bytes"] - data["arena_bytes"]  # type: ignore[operator]
    assert f"set aside {data['arena_recommended_bytes']:,} ({margin:,} over)" in out
    peak, change = data["arena_peak"], data["arena_lowering"]
    assert isinstance(peak, list) and isinstance(change, dict)
    gaps = data["arena_head_bytes"] - sum(block["bytes"] for block in peak)
    assert gaps > 0 and f"; gaps {gaps:,}\n" in out
    assert f"at the peak {short(peak[0]['name'])} {peak[0]['bytes']:,}; " in out
    assert f"the head is {change['saves_bytes']:,} bytes lower" in out and change["saves_bytes"] > 0


def test_a_crowded_peak_is_cut_and_summed(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = as_json(capsys, file)
    data["arena_peak"] = [{"name": f"t{i}", "kind": "tensor", "bytes": 16 * i} for i in range(20, 0, -1)]
    text = dict(summary(data, load_board("esp32-s3-devkitc-1-n8")))["at the peak"]
    assert text.startswith("t20 320; ") and f"; 12 more {16 * sum(range(1, 13)):,}; gaps " in text


def test_names_keep_their_end() -> None:
    assert short("torch.nn/modules.conv/Conv2d_9;other/part") == "Conv2d_9"
    assert len(short("x" * 90)) == 40


def test_a_page_shows_memory_and_time_without_the_network(file: str, tmp_path: Path) -> None:
    path = tmp_path / "profile.html"
    assert main([file, "--html", str(path)]) == 0
    text = path.read_text(encoding="utf-8")
    assert "Arena over time" in text and "Time by operator" in text
    assert "DEPTHWISE_CONV_2D" in text and "scratch of CONV_2D" in text
    assert "<script" not in text and "http" not in text and 'name="viewport"' in text
    assert text.count("<rect") >= 5 + 2 * 5
    assert sorted(tmp_path.iterdir()) == [path, Path(file)]


def test_an_unwritable_page_is_bad_input(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([file, "--html", "no/such/folder/p.html"]) == 2
    assert "--html no/such/folder/p.html: cannot be written" in capsys.readouterr().err


def test_two_models_side_by_side(
    file: str, new_model: Callable[[], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    m = new_model()
    x = m.tensor((1, 10, 10, 8))
    other = tmp_path / "other.tflite"
    other.write_bytes(m.build([x], [m.pad(m.conv(x, 8))]))
    assert main([file, "--compare", str(other)]) == 0
    out = capsys.readouterr().out
    lines = {line[:24].strip(): line[24:].split() for line in out.splitlines()}
    assert lines["flash, bytes"][:2] == [f"{Path(p).stat().st_size:,}" for p in (file, other)]
    assert lines["PAD, ms"][-1] == "new"
    assert lines["MEAN, ms"][1:] == ["0.000", "-100.0%"]
    data = as_json(capsys, file, "--compare", str(other))
    assert data["compared"]["flash_bytes"] == other.stat().st_size  # type: ignore[index]


def test_releases_that_cost_time_are_remarked(
    new_model: Callable[[], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    m = new_model()
    x = m.tensor((1, 10, 10, 16))
    path = tmp_path / "conv.tflite"
    path.write_bytes(m.build([x], [m.conv(x, 16, (3, 3))]))
    checked = as_json(capsys, str(path), "--esp-nn", "1.2.3")["remarks"]
    assert checked == ["esp-nn 1.2.3 checks the whole heap after 1 of the convolutions; 1.2.7 does not"]
    broken = as_json(capsys, str(path), "--esp-nn", "1.2.3", "--tflm", "1.3.6")["remarks"]
    pair = "esp-nn 1.2.3 with esp-tflite-micro 1.3.6"
    assert broken == [f"{pair} runs every CONV_2D in plain C by mistake; esp-tflite-micro 1.3.7 mends it"]
    assert as_json(capsys, str(path), "--esp-nn", "1.4.0")["remarks"] == []
