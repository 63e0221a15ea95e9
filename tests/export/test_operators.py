"""Tests of the .tflite reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from export.operators import IDENTIFIER, read_model

if TYPE_CHECKING:
    from collections.abc import Callable

    NewModel = Callable[[], Any]


def packed(model: object) -> bytes:
    import flatbuffers  # type: ignore[import-untyped]

    builder = flatbuffers.Builder(64)
    builder.Finish(model.Pack(builder), IDENTIFIER)  # type: ignore[attr-defined]
    return bytes(builder.Output())


def test_reads_shapes_options_and_constants(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 8, 6, 2))
    data = m.build([x], [m.conv(x, 4, (3, 5), stride=2)])
    model = read_model(data)
    (operator,) = model.main.operators
    source, weights, bias = operator.inputs
    assert operator.kind == "CONV_2D"
    assert operator.options["padding"] == "SAME"
    assert (operator.options["stride_h"], operator.options["stride_w"]) == (2, 2)
    assert operator.options["fused_activation_function"] == "NONE"
    assert source is not None and not source.constant and source.dtype == "int8"
    assert weights is not None and weights.shape == (4, 3, 5, 2) and weights.size_bytes == 120
    assert weights.quantization is not None and len(weights.quantization.scales) == 4
    assert bias is not None and bias.dtype == "int32" and bias.size_bytes == 16
    np.testing.assert_array_equal(weights.values(), np.ones((4, 3, 5, 2), np.int8))
    assert operator.output.shape == (1, 4, 3, 4)
    assert operator.data_inputs == (source,) and operator.constant_inputs == (weights, bias)
    assert model.size_bytes == len(data)
    assert model.constant_bytes == 120 + 16


def test_omitted_inputs_are_none_and_custom_operators_keep_their_name(new_model: NewModel) -> None:
    m = new_model()
    x, y = m.tensor((1, 4)), m.tensor((1, 4))
    m.operator("CUSTOM", [x, -1], [y], custom="MyOp")
    operator = read_model(m.build([x], [y])).main.operators[0]
    assert operator.kind == "CUSTOM:MyOp"
    assert operator.inputs[1] is None and operator.input(7) is None


def test_variables_have_no_stored_values(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 4))
    model = read_model(m.build([x], [m.dense(x, 2)]))
    with pytest.raises(ValueError, match="no stored values"):
        model.main.tensors[0].values()


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\x00" * 64, b"not a model at all, just text"])
def test_refuses_what_is_no_tflite(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^clip\.wav: not a \.tflite file: the identifier TFL3 is missing"):
        read_model(data, "clip.wav")


def test_refuses_another_schema_version(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 4))
    m.build([x], [m.dense(x, 2)])
    m.model.version = 2
    with pytest.raises(ValueError, match="schema version 2 must be 3"):
        read_model(packed(m.model))


def test_refuses_an_empty_graph(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 4))
    with pytest.raises(ValueError, match="the first graph holds no operator"):
        read_model(m.build([x], [x]))
    m.model.subgraphs = []
    with pytest.raises(ValueError, match="holds no graph"):
        read_model(packed(m.model))


def test_refuses_references_that_lead_nowhere(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 4))
    y = m.dense(x, 2)
    with pytest.raises(ValueError, match="graph output 99 is no tensor of its graph, which has 4"):
        read_model(m.build([x], [99]))
    operator = m.model.subgraphs[0].operators[0]
    operator.inputs = [x, 50]
    with pytest.raises(ValueError, match="operator 0 reads tensor 50 of 4"):
        read_model(m.build([x], [y]))
    operator.inputs, operator.opcodeIndex = [x, 1, 2], 9
    with pytest.raises(ValueError, match="operator 0 has code 9 of 1"):
        read_model(m.build([x], [y]))
    operator.opcodeIndex = 0
    m.model.subgraphs[0].tensors[1].buffer = 77
    with pytest.raises(ValueError, match="tensor 1 names buffer 77 of 3"):
        read_model(m.build([x], [y]))


def test_refuses_sizes_that_the_file_does_not_hold(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 4))
    y = m.dense(x, 2)
    m.model.subgraphs[0].tensors[1].shape = [2, 4000]
    with pytest.raises(ValueError, match="tensor 1 of 8000 bytes has a buffer of 8"):
        read_model(m.build([x], [y]))
    m.model.subgraphs[0].tensors[1].shape = [1 << 30, 1 << 30]
    with pytest.raises(ValueError, match=r"tensor 1 of shape .* is over 2147483648 bytes"):
        read_model(m.build([x], [y]))


def test_knows_an_open_shape(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 4))
    y = m.dense(x, 2)
    m.model.subgraphs[0].tensors[x].shapeSignature = [-1, 4]
    assert not read_model(m.build([x], [y])).main.tensors[x].dynamic, "an open batch is fixed by the shape"
    m.model.subgraphs[0].tensors[x].shapeSignature = [1, -1]
    assert read_model(m.build([x], [y])).main.tensors[x].dynamic


def test_reads_a_plan_made_offline(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 4))
    y = m.dense(x, 2)
    buffer = schema.BufferT()
    buffer.data = np.array([1, 0, 4, 0, -1, -1, 16], np.int32).view(np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = "OfflineMemoryAllocation", len(m.model.buffers)
    m.model.buffers.append(buffer)
    m.model.metadata = [entry]
    assert read_model(m.build([x], [y])).offline_offsets == (0, -1, -1, 16)


def test_every_truncation_is_refused_or_read(student: bytes) -> None:
    for length in range(0, len(student), 7):
        try:
            read_model(student[:length])
        except ValueError:
            continue


@pytest.mark.timeout(300)
@settings(max_examples=400, deadline=None)
@given(edits=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=12))
def test_damage_raises_nothing_but_value_errors(student: bytes, edits: list[tuple[int, int]]) -> None:
    damaged = bytearray(student)
    for position, value in edits:
        damaged[position % len(damaged)] = value
    try:
        model = read_model(bytes(damaged))
    except ValueError as error:
        assert str(error).startswith("model: ")
    else:
        assert sum(len(graph.tensors) + len(graph.operators) for graph in model.graphs) <= len(student)


@settings(max_examples=200, deadline=None)
@given(words=st.lists(st.integers(0, (1 << 32) - 1), min_size=2, max_size=60))
def test_hostile_offsets_raise_nothing_but_value_errors(words: list[int]) -> None:
    body = np.array(words, np.uint32).tobytes()
    try:
        read_model(body[:4] + IDENTIFIER + body[4:])
    except ValueError:
        return


def test_an_operator_without_outputs_has_none_to_give(new_model: NewModel) -> None:
    m = new_model()
    x = m.tensor((1, 4))
    m.operator("SOFTMAX", [x], [])
    operator = read_model(m.build([x], [x])).main.operators[0]
    with pytest.raises(ValueError, match="operator 0 SOFTMAX has no output"):
        _ = operator.output
