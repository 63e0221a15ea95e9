"""Tests of a board's own factors and of the command that fits them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from export.board_log import read_log
from export.calibration import calibrate, load_calibration, measured, write_calibration
from export.calibrator import main
from export.footprint import footprint_of, profile
from export.latency import constants, operator_latencies
from export.memory_traffic import Placement
from export.operators import read_model
from export.profiler import main as profile_main
from spaces.board import load_board

BOARD = load_board("esp32-s3-devkitc-1-n8")
INSIDE = Placement("sram", "flash")


def events_log(student: bytes, factors: dict[str, float], rounds: int = 1) -> str:
    """What a board prints whose kernels take `factors` times the prediction."""
    rows = operator_latencies(read_model(student), BOARD, INSIDE)
    times = [(r.operator.kind, r.cycles / BOARD.cpu_mhz * factors.get(r.work.kernel, 1.0)) for r in rows]
    return "\n".join(f"{kind} took {time:.0f} microseconds." for kind, time in times * rounds)


def tags_log(student: bytes, factor: float) -> str:
    rows = operator_latencies(read_model(student), BOARD, INSIDE)
    sums: dict[str, float] = {}
    for row in rows:
        sums[row.operator.kind] = sums.get(row.operator.kind, 0) + factor * row.cycles / BOARD.cpu_mhz
    lines = [f"{tag}, {time:.0f}" for tag, time in sums.items()]
    return "\n".join(['"Unique Tag","Total microseconds across all events with that tag."', *lines])


def fitted(student: bytes, text: str):  # type: ignore[no-untyped-def]
    return calibrate(measured(read_log(text), read_model(student), BOARD, INSIDE), BOARD)


def test_a_slower_kernel_is_found(student: bytes) -> None:
    found = fitted(student, events_log(student, {"depthwise_3x3": 1.5}, rounds=3)).constants
    before = constants()
    assert found.cycles("depthwise_3x3") / before.cycles("depthwise_3x3") == pytest.approx(1.5, rel=0.08)
    assert found.cycles("conv_1x1") / before.cycles("conv_1x1") == pytest.approx(1.0, rel=0.08)


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.7])
def test_a_slower_board_scales_everything(student: bytes, factor: float) -> None:
    calibration = fitted(student, tags_log(student, factor))
    assert calibration.scale == pytest.approx(factor, rel=0.01)
    unseen = calibration.constants.cycles("batch_matmul") / constants().cycles("batch_matmul")
    assert unseen == pytest.approx(factor, rel=0.01)
    before = footprint_of(student, BOARD, None)
    after = footprint_of(student, BOARD, None, calibration)
    assert after.latency_ms == pytest.approx(factor * before.latency_ms, rel=0.02)


def test_the_interval_narrows(student: bytes) -> None:
    calibration = fitted(student, events_log(student, {}))
    before, after = footprint_of(student, BOARD, None), footprint_of(student, BOARD, None, calibration)
    assert after.latency_high_ms / after.latency_low_ms < before.latency_high_ms / before.latency_low_ms


def test_repeated_invokes_give_the_median(student: bytes) -> None:
    steady = events_log(student, {}, rounds=2)
    jolt = events_log(student, {"mean": 3.0})
    assert fitted(student, f"{steady}\n{jolt}").scale == pytest.approx(1.0, rel=0.01)


def test_ticks_are_converted(student: bytes) -> None:
    log = read_log(events_log(student, {}).replace("microseconds", "ticks"))
    model = read_model(student)
    plain, cycles = (measured(log, model, BOARD, INSIDE, ticks_per_us=t) for t in (1.0, 240.0))
    assert plain[0].microseconds == pytest.approx(240 * cycles[0].microseconds)


def test_factors_survive_their_file(student: bytes, tmp_path: Path) -> None:
    calibration = fitted(student, events_log(student, {"conv_1x1": 1.2}))
    path = tmp_path / "mine.toml"
    write_calibration(path, calibration, "a test")
    read = load_calibration(path)
    assert (read.board, read.esp_nn, read.cpu_mhz) == (BOARD.name, BOARD.esp_nn, BOARD.cpu_mhz)
    for name, constant in calibration.constants.table.items():
        assert read.constants.cycles(name) == pytest.approx(constant.value, rel=1e-5)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "mine"}, "--calibration: made for board=esp32-s3-devkitc-1-n8, not mine"),
        ({"esp_nn": "1.1.2"}, "--calibration: made for esp_nn=1.4.0, not 1.1.2"),
        ({"cpu_mhz": 160}, "--calibration: made for cpu_mhz=240, not 160"),
    ],
)
def test_factors_of_another_build_are_refused(student: bytes, changes: dict[str, object], message: str) -> None:
    calibration = fitted(student, events_log(student, {}))
    with pytest.raises(ValueError, match=message):
        profile(student, replace(BOARD, **changes), calibration=calibration)  # type: ignore[arg-type]


@pytest.fixture
def files(student: bytes, tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / name for name in ("log.txt", "student.tflite", "calibration.toml")}
    paths["log.txt"].write_text(events_log(student, {"mean": 1.3}), encoding="utf-8")
    paths["student.tflite"].write_bytes(student)
    return paths


def run(files: dict[str, Path], *more: str) -> int:
    argv = [str(files["log.txt"]), "--model", str(files["student.tflite"]), "--output", str(files["calibration.toml"])]
    return main([*argv, "--board", BOARD.name, *more])


def test_the_command_shows_before_and_after(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files) == 0
    out = capsys.readouterr().out
    mean = next(line for line in out.splitlines() if " MEAN" in line or line.startswith("3 MEAN"))
    before, after = (int(part.strip("%")) for part in mean.split() if part.endswith("%"))
    assert before == pytest.approx(-23, abs=2) and abs(after) <= 4
    assert "measured" in out and "before" in out and "now" in out
    model = str(files["student.tflite"])
    assert profile_main([model, "--board", BOARD.name, "--calibration", str(files["calibration.toml"]), "--json"]) == 0
    assert '"calibration": "' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("I (1) boot: hello\n", 'holds no operator times: no table of "Unique Tag"'),
        ("", "holds no operator times"),
        ("SOFTMAX took 12 microseconds.\n", "is of another model: event 0 is SOFTMAX, not CONV_2D"),
        (
            '"Unique Tag","Total ticks across all events with that tag."\nSVDF, 3\n',
            "is of another model: it times SVDF but not",
        ),
    ],
)
def test_a_bad_log_is_one_line_and_exit_2(
    files: dict[str, Path], text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files["log.txt"].write_text(text, encoding="utf-8")
    assert run(files) == 2
    out, error = capsys.readouterr()
    assert out == "" and message in error and "log.txt" in error and error.count("\n") == 1
    assert not files["calibration.toml"].exists()


def test_a_log_far_off_is_refused(files: dict[str, Path], student: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    files["log.txt"].write_text(tags_log(student, 240.0), encoding="utf-8")
    assert run(files) == 2
    assert "times the prediction: another model, clock or unit" in capsys.readouterr().err
    assert run(files, "--ticks-per-us", "240") == 0


def test_other_bad_input_of_the_command(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, "--ticks-per-us", "0") == 2
    assert "--ticks-per-us 0 must be above 0" in capsys.readouterr().err
    assert run(files, "--output", "no/such/folder/c.toml") == 2
    assert "--output no/such/folder/c.toml: cannot be written" in capsys.readouterr().err
    files["log.txt"].unlink()
    assert run(files) == 2
    assert "log.txt: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "board = 1", "not toml at all", "[constants]\nmean = {value = 1}"])
def test_a_bad_calibration_file_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"c\.toml: is no calibration file"):
        load_calibration(path)


def test_a_calibration_file_must_be_whole(student: bytes, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    write_calibration(path, fitted(student, events_log(student, {})), "a test")
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("mean ")), encoding="utf-8")
    with pytest.raises(ValueError, match=r"c\.toml: lacks mean; calibrate again"):
        load_calibration(path)
    path.unlink()
    with pytest.raises(ValueError, match=r"c\.toml: cannot be read"):
        load_calibration(path)
