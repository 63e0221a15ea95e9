"""Tests of latency, memory traffic, intervals and features."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from export.energy import energy_of
from export.footprint import overridden
from export.kernels import _RULES, work_of
from export.latency import (
    MICRO_CYCLES,
    SQUARE_ROOT_CYCLES,
    constants,
    decision_interval,
    feature_cost,
    interval,
    invoke_interval,
    operator_latencies,
)
from export.measurements import operator_of
from export.memory_traffic import Placement, miss_cycles, miss_rate
from export.operators import read_model
from export.releases import Epoch
from export.work import Build
from spaces.baby_cry import YAMNET_FRONT_END
from spaces.board import load_board
from spaces.front_end import FrontEnd, micro_front_end

if TYPE_CHECKING:
    from collections.abc import Callable

    NewModel = Callable[[], Any]

BOARD = replace(load_board("esp32-s3-devkitc-1-n16r8"), esp_nn="1.2.1")
INSIDE = Placement("sram", "flash")


def wide_model(new_model: NewModel) -> bytes:
    """A pointwise convolution whose filter of 64 KiB is twice the cache, read by 12 groups and 4 leftovers."""
    m = new_model()
    x = m.tensor((1, 10, 10, 256))
    return bytes(m.build([x], [m.conv(x, 256)]))


def test_cycles_are_overhead_and_the_fitted_kernel(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 10, 10, 16))
    model = read_model(m.build([x], [m.conv(x, 16)]))
    (row,) = operator_latencies(model, BOARD, INSIDE)
    counted = work_of(model.main.operators[0], Build(Epoch.V121)).counted
    fitted = constants()
    assert row.stall_cycles == 0, "256 weights stay in the cache"
    assert row.kernel_cycles == pytest.approx(fitted.cycles("overhead") + fitted.cycles("conv_1x1") * counted)


def test_filters_larger_than_the_cache_are_fetched_again(new_model: NewModel) -> None:
    model = read_model(wide_model(new_model))
    (row,) = operator_latencies(model, BOARD, INSIDE)
    weights = 256 * 256 + 4 * 256
    missed = weights * (1 - 32768 / weights)
    expected = 16 * missed * miss_cycles(BOARD, "flash") * constants().cycles("memory")
    assert row.stall_cycles == pytest.approx(expected, rel=1e-6)


def test_faster_memories_wait_less(new_model: NewModel) -> None:
    model = read_model(wide_model(new_model))

    def cycles(placement: Placement, **changes: object) -> float:
        board = overridden(BOARD, **changes)
        return sum(row.cycles for row in operator_latencies(model, board, placement))

    dio, qio = cycles(INSIDE, flash_mode="dio"), cycles(INSIDE, flash_mode="qio")
    octal = cycles(Placement("sram", "psram"))
    assert dio > qio > octal
    assert cycles(Placement("psram", "psram")) > octal
    assert cycles(INSIDE, dcache_bytes=128 * 1024) < octal
    assert cycles(INSIDE, esp_nn="none") > 10 * octal
    assert cycles(INSIDE, esp_nn="1.4.0") < qio, "panels fetch a filter once"


def test_a_heap_check_follows_every_general_convolution_of_1_2_3(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 10, 10, 16))
    model = read_model(m.build([x], [m.conv(x, 16, (3, 3))]))
    (checked,) = operator_latencies(model, replace(BOARD, esp_nn="1.2.3"), INSIDE)
    fitted = constants()
    plain = fitted.cycles("overhead") + fitted.cycles("conv_general") * checked.work.counted
    assert checked.kernel_cycles == pytest.approx(plain + fitted.cycles("heap_check"))


@pytest.mark.parametrize(("footprint", "rate"), [(0, 0), (1000, 0), (32768, 0), (65536, 0.5), (327680, 0.9)])
def test_miss_rate_is_what_the_cache_cannot_hold(footprint: int, rate: float) -> None:
    assert miss_rate(footprint, 32768) == pytest.approx(rate)


def test_missed_bytes_cost_bus_clocks() -> None:
    assert miss_cycles(BOARD, "sram") == 0
    assert miss_cycles(replace(BOARD, flash_mode="dio"), "flash") == 15.5
    assert miss_cycles(replace(BOARD, flash_mode="qio", cache_line_bytes=64), "flash") == 7.5
    assert miss_cycles(replace(BOARD, cpu_mhz=80), "psram") == pytest.approx(4.3 / 3), "a slower CPU waits fewer cycles"


def test_interval_is_symmetric_in_logarithms() -> None:
    found = interval(240_000, 0.2, 240)
    assert found.ms == pytest.approx(1.0)
    assert found.low_ms * found.high_ms == pytest.approx(1.0)
    assert math.log(found.high_ms) == pytest.approx(1.645 * 0.2)


def test_independent_kernels_narrow_the_interval(new_model: NewModel) -> None:
    def spread(layers: list[str]) -> float:
        m = new_model()
        x = m.tensor((1, 10, 10, 16))
        y = x
        for layer in layers:
            y = m.conv(y, 16) if layer == "conv" else m.depthwise(y)
        rows = operator_latencies(read_model(m.build([x], [y])), BOARD, INSIDE)
        found = invoke_interval(rows, BOARD)
        assert found.low_ms < found.ms < found.high_ms
        return found.high_ms / found.low_ms

    assert spread(["conv", "depthwise", "conv", "depthwise"]) < spread(["conv", "conv", "conv", "conv"])


def test_every_fitted_constant_belongs_to_a_kernel_and_states_its_origin() -> None:
    import tomllib

    from export.latency import CONSTANTS

    table = tomllib.loads(CONSTANTS.read_text(encoding="utf-8"))
    assert {"overhead", "heap_check", "memory", "build", "cold_call", "default"} <= set(table)
    for name, row in table.items():
        assert row["value"] > 0 and row["log_sd"] > 0 and len(row["origin"]) > 5, name
    for subject in ("ADD in=1x1x64", "MUL in=1x1x64", "CONV_2D in=9x9x8 out=8 k=1x1", "SOFTMAX in=1x4"):
        assert work_of(operator_of(subject), Build(Epoch.V14)).kernel in table


def test_every_kind_of_tflm_has_a_rule_or_is_charged_by_size() -> None:
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "PAD", "MEAN", "RESHAPE", "SOFTMAX"} <= set(_RULES)


def test_features_scale_the_measured_fft() -> None:
    cost = feature_cost(FrontEnd())
    assert cost.fft_cycles == pytest.approx(44_594)
    assert cost.counted_cycles == pytest.approx(8 * 400 + 28 * 257 + 210 * 40)
    assert feature_cost(FrontEnd(n_fft=1024)).fft_cycles == pytest.approx(44_594 * 2 * 10 / 9)


def test_magnitudes_cost_a_square_root_of_each_bin() -> None:
    powers, magnitudes = (feature_cost(FrontEnd(spectrum_power=power)) for power in (2, 1))
    assert magnitudes.counted_cycles - powers.counted_cycles == pytest.approx(257 * SQUARE_ROOT_CYCLES)
    assert magnitudes.fft_cycles == powers.fft_cycles


def test_a_waveform_costs_neither_fft_nor_mels() -> None:
    front_end = FrontEnd(kind="waveform", hop_samples=32, window_samples=32, decision_seconds=0.5)
    cost = feature_cost(front_end)
    assert (cost.fft_cycles, cost.counted_cycles) == (0.0, 32 * 20)
    invoke = interval(2_400_000, 0.1, 240)
    assert decision_interval(invoke, front_end, BOARD).ms == pytest.approx(10 + 250 * 32 * 20 / 240_000)


def test_yamnets_patches_cost_their_new_frames() -> None:
    cost = feature_cost(YAMNET_FRONT_END)
    assert cost.fft_cycles == pytest.approx(44_594)
    assert cost.counted_cycles == pytest.approx(8 * 400 + (28 + SQUARE_ROOT_CYCLES) * 257 + 210 * 64)
    decision = decision_interval(interval(2_400_000, 0.1, 240), YAMNET_FRONT_END, BOARD)
    assert decision.ms == pytest.approx(10 + 48 * cost.cycles / 240_000)


def test_tflms_front_end_is_all_counted() -> None:
    cost = feature_cost(micro_front_end())
    assert cost.fft_cycles == 0
    assert cost.cycles == pytest.approx(sum(MICRO_CYCLES.values()))
    # Its int16 FFT of half the points is no quicker than ESP-DSP's in float32: there is no unit for it.
    assert 1 < MICRO_CYCLES["fft"] / 44_594 < 2.5
    invoke = interval(2_400_000, 0.1, 240)
    decision = decision_interval(invoke, micro_front_end(), BOARD)
    features_ms = 10 * cost.cycles / 240_000
    assert decision.ms == pytest.approx(10 + features_ms)
    assert decision.low_ms == pytest.approx(invoke.low_ms + features_ms / 2)
    assert decision.high_ms == pytest.approx(invoke.high_ms + features_ms * 2)


def test_a_decision_is_its_new_frames_and_one_invoke() -> None:
    front_end = FrontEnd(hop_samples=160, decision_seconds=0.1)
    invoke = interval(2_400_000, 0.1, 240)
    decision = decision_interval(invoke, front_end, BOARD)
    assert decision.ms == pytest.approx(10 + 10 * feature_cost(front_end).cycles / 240_000)
    assert decision.high_ms > invoke.high_ms + (decision.ms - invoke.ms)
    assert decision.low_ms < invoke.low_ms + (decision.ms - invoke.ms)


def test_energy_is_time_at_the_measured_power() -> None:
    found = energy_of(10.0, decisions_per_second=10.0)
    assert found.millijoules == pytest.approx(2.89)
    assert found.low_millijoules < found.millijoules < found.high_millijoules
    assert found.milliamperes == pytest.approx(0.1 * 289 / 5)
    assert energy_of(500.0, 10.0).milliamperes == pytest.approx(289 / 5), "never more than all the time"


def test_loops_count_their_body_once(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 10, 10, 16))
    model = read_model(m.build([x], [m.conv(x, 16)]))
    loop = replace(model.main.operators[0], kind="WHILE", options={"cond_subgraph_index": 1, "body_subgraph_index": 1})
    whole = replace(model, graphs=(replace(model.main, operators=(loop,)), model.main))
    kinds = [row.operator.kind for row in operator_latencies(whole, BOARD, INSIDE)]
    assert kinds == ["WHILE", "CONV_2D", "CONV_2D"]
