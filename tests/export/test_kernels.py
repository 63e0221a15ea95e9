"""Tests of kernel dispatch and counted cycles, against counts worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from export.geometry import window
from export.kernels import work_of
from export.measurements import operator_of
from export.operators import Operator, read_model
from export.releases import Epoch, epoch_of
from export.work import Build, build_of, macs_of
from spaces.board import load_board

if TYPE_CHECKING:
    from collections.abc import Callable

    NewModel = Callable[[], Any]

POINTWISE = "CONV_2D in=10x10x64 out=32 k=1x1"


@pytest.mark.parametrize(
    ("release", "epoch"),
    [("none", Epoch.NONE), ("1.0.0", Epoch.V11), ("1.1.2", Epoch.V11), ("1.2.0", Epoch.V121), ("1.2.1", Epoch.V121),
     ("1.2.2", Epoch.V123), ("1.2.6", Epoch.V123), ("1.2.7", Epoch.V14), ("1.4.2", Epoch.V14), ("2.0.0", Epoch.V14)],
)  # fmt: skip
def test_releases_fall_into_epochs(release: str, epoch: Epoch) -> None:
    assert epoch_of(release) == epoch


@pytest.mark.parametrize(
    ("subject", "epoch", "kernel"),
    [
        (POINTWISE, Epoch.V11, "conv_1x1"),
        (POINTWISE, Epoch.NONE, "conv_reference"),
        ("CONV_2D in=10x10x63 out=32 k=1x1", Epoch.V123, "conv_1x1_unaligned"),
        ("CONV_2D in=10x10x64 out=32 k=1x1 s=2x2", Epoch.V121, "conv_general"),
        ("CONV_2D in=10x10x3 out=32 k=3x3", Epoch.V11, "conv_general"),
        ("CONV_2D in=10x10x3 out=32 k=3x3", Epoch.V121, "conv_im2col"),
        ("CONV_2D in=10x10x16 out=32 k=3x3", Epoch.V123, "conv_general"),
        ("CONV_2D in=10x10x16 out=32 k=3x3", Epoch.V14, "conv_3x3_staged"),
        ("CONV_2D in=10x10x16 out=8 k=3x3", Epoch.V14, "conv_general"),
        ("DEPTHWISE_CONV_2D in=9x9x16 out=16 k=3x3 p=SAME", Epoch.V11, "depthwise_3x3"),
        ("DEPTHWISE_CONV_2D in=9x9x24 out=24 k=3x3 p=SAME", Epoch.V11, "depthwise_s16"),
        ("DEPTHWISE_CONV_2D in=9x9x24 out=24 k=3x3 p=SAME", Epoch.V123, "depthwise_3x3"),
        ("DEPTHWISE_CONV_2D in=9x9x8 out=8 k=3x3 p=SAME", Epoch.V123, "depthwise_s16"),
        ("DEPTHWISE_CONV_2D in=9x9x16 out=16 k=5x5 p=SAME", Epoch.V11, "depthwise_c"),
        ("DEPTHWISE_CONV_2D in=9x9x16 out=16 k=5x5 p=SAME", Epoch.V121, "depthwise_s16"),
        ("DEPTHWISE_CONV_2D in=9x9x1 out=8 k=3x3 p=SAME", Epoch.V121, "depthwise_multiplied"),
        ("DEPTHWISE_CONV_2D in=9x9x1 out=6 k=3x3 p=SAME", Epoch.V121, "depthwise_c"),
        ("FULLY_CONNECTED in=64 out=2", Epoch.V11, "fully_connected_s16"),
        ("FULLY_CONNECTED in=64 out=2", Epoch.V121, "fully_connected_dot"),
        ("FULLY_CONNECTED in=64 out=2", Epoch.V14, "fully_connected_s16"),
        ("FULLY_CONNECTED in=256 out=2", Epoch.V14, "fully_connected_dot"),
        ("ADD in=1x1x64", Epoch.V11, "add"),
        ("ADD in=1x1x64", Epoch.NONE, "add_reference"),
        ("MAX_POOL_2D in=8x8x16 k=2x2", Epoch.V121, "max_pool"),
        ("SOFTMAX in=1x4", Epoch.V121, "softmax"),
    ],
)
def test_dispatch(subject: str, epoch: Epoch, kernel: str) -> None:
    assert work_of(operator_of(subject), Build(epoch)).kernel == kernel


def test_pointwise_counts_groups_of_eight_and_leftovers() -> None:
    # 100 positions: 12 groups, 4 left; 8 blocks of 8 channels.
    old = 12 * (34 * 8 + 32 * (13.8 * 8 + 188) + 25) + 4 * 32 * (8 * 8 + 95)
    new = 12 * (34 * 8 + 32 * (16.8 * 8 + 188) + 25) + 4 * 32 * (11 * 8 + 95)
    batched = 13 * (34 * 8 + 32 * (16.8 * 8 + 188) + 25)
    found = [work_of(operator_of(POINTWISE), Build(epoch)) for epoch in (Epoch.V121, Epoch.V123, Epoch.V14)]
    assert [work.counted for work in found] == pytest.approx([old, new, batched])
    assert found[0].macs == 100 * 64 * 32
    assert [work.weight_passes for work in found] == [16, 16, 13]


def test_general_convolution_counts_registers_of_sixteen() -> None:
    # 8x8 outputs of 16 channels; a row of 3 x 16 fills 3 registers; a filter of 2,304 weights is summed.
    work = work_of(operator_of("CONV_2D in=10x10x16 out=16 k=3x3"), Build(Epoch.V11))
    assert work.counted == pytest.approx(64 * 16 * (63 + 3 * (22 + 6 + 3)) + 3.5 * 2304)
    assert (work.weight_passes, work.copy_bytes) == (64, 0)


def test_unaligned_rows_are_copied_and_read_from_the_copy() -> None:
    work = work_of(operator_of("CONV_2D in=10x10x10 out=16 k=3x3"), Build(Epoch.V11))
    assert work.weight_passes == 2
    assert (work.copy_bytes, work.copy_passes) == (32 * 3 * 16, 64)


def test_depthwise_costs_551_for_sixteen_outputs() -> None:
    work = work_of(operator_of("DEPTHWISE_CONV_2D in=10x10x32 out=32 k=3x3"), Build(Epoch.V121))
    assert work.counted == pytest.approx(551 / 16 * 64 * 32 + 4.5 * 3200)


def test_dense_sums_its_filter_unless_the_offset_is_zero() -> None:
    summed, plain = (
        work_of(operator_of(f"FULLY_CONNECTED in=64 out=10 offset={o}"), Build(Epoch.V121)) for o in (5, 0)
    )
    assert summed.counted - plain.counted == pytest.approx(4 * 64 * 10)
    assert (summed.weight_passes, plain.weight_passes) == (2, 1)


def test_old_glue_drops_every_convolution_to_c() -> None:
    board = replace(load_board("esp32-s3-devkitc-1-n8"), esp_nn="1.2.3", tflm="1.3.6")
    broken, whole = build_of(board), build_of(replace(board, tflm="1.3.7"))
    assert work_of(operator_of(POINTWISE), broken).kernel == "conv_ansi"
    assert work_of(operator_of(POINTWISE), whole).kernel == "conv_1x1"
    assert not build_of(replace(board, esp_nn="1.1.2")).convolutions_fall_back


def test_later_tflm_hooks_more_kernels(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 7, 7, 16))
    mean = read_model(m.build([x], [m.mean(x)])).main.operators[0]
    board = replace(load_board("esp32-s3-devkitc-1-n8"), esp_nn="1.4.0", tflm="1.4.0")
    assert work_of(mean, build_of(board)).counted == 168 * 7 * 7 * 16
    assert work_of(mean, build_of(replace(board, tflm="1.4.1"))).kernel == "mean_esp_nn"


def test_dilation_and_float_leave_esp_nn(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 9, 9, 16))
    data = m.build([x], [m.conv(x, 16, (3, 3))])
    operator = read_model(data).main.operators[0]
    dilated = replace(operator, options={**operator.options, "dilation_hfactor": 2})
    assert work_of(dilated, Build(Epoch.V14)).kernel == "conv_reference"
    floating = replace(operator, inputs=(replace(operator.inputs[0], dtype="float32"), *operator.inputs[1:]))  # type: ignore[type-var]
    assert work_of(floating, Build(Epoch.V14)).kernel == "conv_float"


def test_unknown_kinds_are_charged_by_their_outputs() -> None:
    operator = replace(operator_of("SOFTMAX in=1x4"), kind="GELU")
    assert work_of(operator, Build(Epoch.V14)).kernel == "unknown"
    assert work_of(operator, Build(Epoch.V14)).counted == 50 * 4


def test_products_of_each_kind(new_model: NewModel) -> None:
    def macs(subject: str) -> int:
        return macs_of(operator_of(subject))

    assert macs("CONV_2D in=10x10x3 out=64 k=3x3") == 8 * 8 * 64 * 27
    assert macs("DEPTHWISE_CONV_2D in=10x10x8 out=16 k=3x3") == 8 * 8 * 16 * 9
    assert macs("FULLY_CONNECTED in=64 out=10") == 640
    assert macs("ADD in=1x1x64") == 0
    m = new_model()
    x, y = m.tensor((1, 4, 6, 8)), m.tensor((1, 4, 8, 5))
    out = m.tensor((1, 4, 6, 5))
    m.operator("BATCH_MATMUL", [x, y], [out])
    assert macs_of(read_model(m.build([x, y], [out])).main.operators[0]) == 4 * 6 * 5 * 8


def test_transposed_convolutions_and_recurrent_layers_count_their_products(new_model: NewModel) -> None:
    m = new_model()
    shape = m.tensor((4,), "int32", data=[1, 8, 8, 6])
    weights, x = m.tensor((6, 3, 3, 4), data=[1] * 216, zero=0), m.tensor((1, 4, 4, 4))
    y = m.tensor((1, 8, 8, 6))
    m.operator("TRANSPOSE_CONV", [shape, weights, x], [y])
    up = read_model(m.build([x], [y])).main.operators[0]
    assert macs_of(up) == 4 * 4 * 9 * 4 * 6
    assert work_of(up, Build(Epoch.V14)).counted == 25 * macs_of(up) + 80 * 8 * 8 * 6
    m = new_model()
    x, gate = m.tensor((1, 5, 8)), m.tensor((16, 8), data=[1] * 128, zero=0)
    y = m.tensor((1, 5, 16))
    m.operator("UNIDIRECTIONAL_SEQUENCE_LSTM", [x, gate], [y])
    assert macs_of(read_model(m.build([x], [y])).main.operators[0]) == 5 * 128


def same(subject: str) -> Operator:
    return operator_of(f"{subject} p=SAME")


def test_same_padding_puts_the_odd_sample_behind() -> None:
    w = window(same("CONV_2D in=10x9x4 out=8 k=3x3 s=2x2"))
    assert (w.out_height, w.out_width) == (5, 5)
    assert (w.pad_height, w.pad_height_after) == (0, 1)
    assert (w.pad_width, w.pad_width_after) == (1, 1)
    assert w.padded and not w.pointwise
    assert w.padded_input_bytes == 11 * 11 * 4


def test_window_needs_four_dimensions(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((4, 4))
    y = m.tensor((4, 4))
    m.operator("MAX_POOL_2D", [x], [y])
    operator = read_model(m.build([x], [y])).main.operators[0]
    with pytest.raises(ValueError, match="operator 0 MAX_POOL_2D: needs tensors of 4 dimensions"):
        window(operator)


def test_taps_on_padding_are_not_inside() -> None:
    w = window(same("DEPTHWISE_CONV_2D in=12x12x4 out=32 k=5x5"))
    assert w.rows_inside == pytest.approx((3 + 4 + 8 * 5 + 4 + 3) / 12)
    valid = window(operator_of("DEPTHWISE_CONV_2D in=12x9x4 out=32 k=5x3"))
    assert (valid.rows_inside, valid.columns_inside) == (5, 3)


def test_eight_filters_per_channel_are_unrolled_for_3x3() -> None:
    three = work_of(operator_of("DEPTHWISE_CONV_2D in=10x10x1 out=8 k=3x3"), Build(Epoch.V121))
    five = work_of(operator_of("DEPTHWISE_CONV_2D in=10x10x1 out=8 k=5x5"), Build(Epoch.V121))
    assert three.counted == pytest.approx(64 * 371 + 1.5 * (100 + 72))
    assert five.counted == pytest.approx(36 * (310 + 5 * 60) + 1.5 * (100 + 200))


def test_panels_transpose_the_input_once_each() -> None:
    # 256 x 256 weights: 24 KiB hold 96 rows, so three panels over 13 groups of eight positions.
    work = work_of(operator_of("CONV_2D in=10x10x256 out=256 k=1x1"), Build(Epoch.V14))
    expected = 13 * (3 * (34 * 32 + 25) + 256 * (16.8 * 32 + 188)) + 100 * (3 * 40 + 256)
    assert work.counted == pytest.approx(expected)
    assert work.weight_passes == 1
