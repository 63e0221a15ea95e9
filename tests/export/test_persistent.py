"""Tests of the arena's persistent tail."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ai_edge_litert import schema_py_generated as schema

from export.operators import read_model
from export.persistent import HOST, S3, tail_of
from export.tflm_host import TFLM

if TYPE_CHECKING:
    from collections.abc import Callable

    NewModel = Callable[[], Any]


def test_tail_of_one_convolution_by_hand(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 4, 4, 8))
    tail = tail_of(read_model(m.build([x], [m.conv(x, 12)])), scratch_buffers=1)
    assert tail.interpreter == S3.interpreter + 8 + 4
    assert tail.nodes == 32
    assert tail.tensors == 4 * 12 + 2 * (40 + 12 + 8)
    assert tail.parameters == 28
    # The kernel's 60 bytes and twelve multipliers and shifts, in steps of 16; the lists of inputs and outputs.
    assert tail.kernels == 64 + 48 + 48 + 32
    assert tail.variables == 0
    assert tail.total == tail.interpreter + 32 + tail.tensors + 28 + tail.kernels


def test_dense_keeps_multipliers_only_per_channel(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 8))
    one = tail_of(read_model(m.build([x], [m.dense(x, 20)])), 0)
    m.model.subgraphs[0].tensors[1].quantization.scale = [1 / 16] * 20
    m.model.subgraphs[0].tensors[1].quantization.zeroPoint = [0] * 20
    each = tail_of(read_model(m.build([x], [3])), 0)
    assert each.kernels - one.kernels == 2 * 80


def test_variables_live_in_the_tail(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 8))
    model = read_model(m.build([x], [m.dense(x, 4)]))
    state = replace(model.main.tensors[0], index=4, variable=True, size_bytes=20)
    with_state = replace(model, graphs=(replace(model.main, tensors=(*model.main.tensors, state)),))
    assert tail_of(with_state, 0).variables == 32


def test_a_read_without_its_handle_holds_nothing(new_model: NewModel) -> None:
    m = new_model()
    y = m.tensor((1, 8))
    m.operator("READ_VARIABLE", [], [y])
    assert tail_of(read_model(m.build([], [y])), 0).variables == 0


def test_attention_keeps_transposed_factors(new_model: NewModel) -> None:
    def kernels(turn_left: bool, turn_right: bool) -> int:
        m = new_model()
        x = m.tensor((1, 2, 16, 8) if turn_left else (1, 2, 8, 16))
        y = m.tensor((1, 2, 4, 16) if turn_right else (1, 2, 16, 4))
        z = m.tensor((1, 2, 8, 4))
        options = schema.BatchMatMulOptionsT()
        options.adjX, options.adjY = turn_left, turn_right
        m.operator("BATCH_MATMUL", [x, y], [z], options)
        data = m.build([x, y], [z])
        assert abs(tail_of(read_model(data), 0, HOST).total - TFLM.arena(data).tail_bytes) <= 48
        return tail_of(read_model(data), 0).kernels

    plain = kernels(turn_left=False, turn_right=True)
    assert kernels(turn_left=False, turn_right=False) - plain == 16 + 32 + 128
    assert kernels(turn_left=True, turn_right=True) - plain == 16 + 32 + 256
