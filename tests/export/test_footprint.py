"""Tests of footprints, placement and profiles."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from export.flatbuffer import for_microcontrollers
from export.footprint import PROFILER_VERSION, arena_estimate, footprint_of, overridden, profile
from export.latency import feature_cost, operator_latencies
from export.memory_traffic import Placement
from export.operators import read_model
from export.tflm_host import TFLM
from export.verdict import refusals, remarks
from spaces.board import Board, load_board
from spaces.front_end import FrontEnd

if TYPE_CHECKING:
    from collections.abc import Callable

    NewModel = Callable[[], Any]

ROOT = Path(__file__).parents[2]
NO_PSRAM = load_board("esp32-s3-devkitc-1-n8")
OCTAL = load_board("esp32-s3-devkitc-1-n16r8")


def test_a_footprint_is_of_the_file_on_the_board(student: bytes) -> None:
    found = footprint_of(student, NO_PSRAM, None)
    assert found.flash_bytes == len(student)
    assert found.host_arena_bytes == TFLM.arena(student).total_bytes
    assert found.latency_low_ms < found.latency_ms < found.latency_high_ms
    assert (found.decision_ms, found.decision_high_ms) == (found.latency_ms, found.latency_high_ms)
    assert (found.board, found.profiler_version) == (NO_PSRAM.name, PROFILER_VERSION)
    assert found.placement == "arena sram, weights flash"


def test_a_decision_adds_its_features(student: bytes) -> None:
    front_end = FrontEnd(hop_samples=320)
    found = footprint_of(student, NO_PSRAM, front_end)
    frames = front_end.new_frames_per_decision
    assert found.decision_ms - found.latency_ms == pytest.approx(frames * feature_cost(front_end).cycles / 240_000)
    assert found.decision_high_ms > found.decision_ms


def test_the_fastest_placement_that_fits_is_chosen(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 10, 10, 256))
    data = m.build([x], [m.conv(x, 256)])
    roomy, narrow = profile(data, OCTAL), profile(data, replace(OCTAL, sram_bytes=20_000))
    assert str(roomy.choice.placement) == "arena sram, weights psram"
    assert roomy.choice.reason.startswith("fastest that fits: ")
    assert "arena sram, weights flash" in roomy.choice.reason
    assert str(narrow.choice.placement) == "arena psram, weights psram"
    assert "arena sram, weights psram" in narrow.choice.reason and "(does not fit)" in narrow.choice.reason
    assert roomy.fits and narrow.fits
    assert narrow.footprint.latency_ms > roomy.footprint.latency_ms


def test_a_placement_can_be_asked_for(student: bytes) -> None:
    found = profile(student, OCTAL, arena="psram", weights="flash")
    assert str(found.choice.placement) == "arena psram, weights flash"
    assert found.choice.reason == "as asked for"
    assert profile(student, NO_PSRAM).choice.reason == "no other choice"
    half = profile(student, OCTAL, arena="psram").choice
    assert half.placement.arena == "psram" and half.reason.startswith("fastest that fits: ")


def test_the_arena_has_to_fit_with_its_margin(student: bytes) -> None:
    estimate = arena_estimate(read_model(student), NO_PSRAM)
    assert estimate.total_bytes < estimate.recommended_bytes
    assert profile(student, replace(NO_PSRAM, sram_bytes=estimate.recommended_bytes)).fits
    assert not profile(student, replace(NO_PSRAM, sram_bytes=estimate.recommended_bytes - 1)).fits


@pytest.mark.parametrize(
    ("changes", "misfit"),
    [
        ({"sram_bytes": 4_000}, r"sram has 4,000 bytes for "),
        ({"flash_bytes": 1 << 20}, r"flash has 0 bytes for "),
    ],
)
def test_what_does_not_fit_is_said(student: bytes, changes: dict[str, int], misfit: str) -> None:
    found = profile(student, replace(NO_PSRAM, **changes))  # type: ignore[arg-type]
    assert not found.fits
    assert found.choice.misfits[0].startswith(misfit.replace("\\", ""))
    assert found.choice.reason == "nothing fits"


def test_a_footprint_of_no_model_names_the_rule() -> None:
    with pytest.raises(ValueError, match=r"model: not a \.tflite file"):
        footprint_of(b"RIFF0000WAVE", NO_PSRAM, None)


def test_a_footprint_of_what_tflm_does_not_run_names_the_operator(new_model: NewModel) -> None:
    m = new_model()
    x, y = m.tensor((1, 4)), m.tensor((1, 4))
    m.operator("GELU", [x], [y])
    data = m.build([x], [y])
    with pytest.raises(ValueError, match="TFLM does not run this model: operator 0 GELU"):
        footprint_of(data, NO_PSRAM, None)
    assert profile(data, NO_PSRAM).footprint.host_arena_bytes == 0


def test_values_outside_the_flatbuffer_do_not_run_on_tflm(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 8, 8, 16))
    y = m.dense(m.mean(m.conv(x, 32, (3, 3))), 4)
    inside = m.build([x], [y])
    outside = m.build_outside([x], [y])
    assert TFLM.arena(outside).head_bytes > TFLM.arena(inside).head_bytes, "TFLM takes weights for empty activations"
    found = profile(outside, OCTAL)
    (refusal,) = found.refusals
    assert refusal.startswith("operator 0 CONV_2D: the values of tensor 't1' and those of 4 more lie behind")
    assert "rewrite the file with export.flatbuffer.for_microcontrollers" in refusal
    with pytest.raises(ValueError, match=r"export\.flatbuffer\.for_microcontrollers"):
        footprint_of(outside, OCTAL, None)
    mended = profile(for_microcontrollers(outside), OCTAL)
    assert mended.runs and mended.footprint.host_arena_bytes == TFLM.arena(inside).total_bytes
    assert found.footprint.arena_bytes == mended.footprint.arena_bytes == profile(inside, OCTAL).footprint.arena_bytes


def test_an_operator_that_stops_the_interpreter_is_named(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 8), scale=1e-9, zero=0)
    y, z = m.tensor((1, 8), scale=1 / 256, zero=-128), m.tensor((1, 8))
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    m.operator("SOFTMAX", [x], [y], options)
    m.operator("ADD", [y, y], [z], schema.AddOptionsT())
    (refusal,) = profile(m.build([x], [z]), NO_PSRAM).refusals
    assert refusal.startswith("operator 0 SOFTMAX (int8 [1, 8] int8 [1, 8]): the TFLM interpreter of this host stops")


def test_overrides_leave_out_what_is_none() -> None:
    assert overridden(OCTAL, cpu_mhz=80, esp_nn=None) == replace(OCTAL, cpu_mhz=80)
    with pytest.raises(ValueError, match="cpu_mhz=100"):
        overridden(OCTAL, cpu_mhz=100)


def test_clock_scales_kernels(student: bytes) -> None:
    fast, slow = (footprint_of(student, replace(NO_PSRAM, cpu_mhz=mhz), None).latency_ms for mhz in (240, 80))
    assert slow == pytest.approx(3 * fast, rel=0.01), "everything stays in internal memory and the cache"


def boards_with(esp_nn: str) -> Board:
    return replace(OCTAL, esp_nn=esp_nn)


def test_releases_change_arena_and_latency(student: bytes) -> None:
    found = {release: footprint_of(student, boards_with(release), None) for release in ("1.1.2", "1.2.3", "none")}
    assert found["none"].arena_bytes < found["1.1.2"].arena_bytes
    assert found["1.1.2"].latency_ms != found["1.2.3"].latency_ms
    assert found["none"].latency_ms > 5 * found["1.2.3"].latency_ms


def test_profiling_is_light(student: bytes, tmp_path: Path) -> None:
    model = tmp_path / "student.tflite"
    model.write_bytes(student)
    code = (
        "import sys, export.profiler\n"
        f"export.profiler.main([{str(model)!r}, '--html', {str(tmp_path / 'page.html')!r}])\n"
        "print(*sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "tensorflow", "ray", "scipy"} & set(done.stdout.splitlines()[-1].split())


@pytest.mark.timeout(300)
@settings(max_examples=150, deadline=None)
@given(edits=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6))
def test_damage_profiles_or_raises_value_errors(student: bytes, edits: list[tuple[int, int]]) -> None:
    damaged = bytearray(student)
    for position, value in edits:
        damaged[position % len(damaged)] = value
    try:
        model = read_model(bytes(damaged))
        arena_estimate(model, NO_PSRAM)
        operator_latencies(model, NO_PSRAM, Placement("sram", "flash"))
        refusals(model)
        remarks(model)
    except ValueError as error:
        assert str(error)
