"""Tests of the verdict on what TFLM runs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from export.operators import Model, Operator, read_model
from export.tflm_host import TFLM
from export.verdict import BUILTIN, refusals, remarks, stopping_operator

if TYPE_CHECKING:
    from collections.abc import Callable

    NewModel = Callable[[], Any]


def changed(model: Model, operator: Operator) -> Model:
    return replace(model, graphs=(replace(model.main, operators=(operator,)),))


@pytest.fixture
def convolution(new_model: NewModel) -> Model:
    m = new_model()
    x = m.tensor((1, 8, 8, 4))
    return read_model(m.build([x], [m.conv(x, 8)]))


def test_an_int8_network_runs(student: bytes) -> None:
    assert refusals(read_model(student)) == []
    assert remarks(read_model(student)) == []


def test_custom_and_delegate_operators_are_named(convolution: Model) -> None:
    operator = convolution.main.operators[0]
    assert refusals(changed(convolution, replace(operator, kind="CUSTOM:Mfcc"))) == [
        "operator 0 CUSTOM:Mfcc: a custom operator, which needs a kernel of its own"
    ]
    assert "belongs to a delegate" in refusals(changed(convolution, replace(operator, kind="DELEGATE")))[0]
    assert refusals(changed(convolution, replace(operator, kind="GELU"))) == [
        "operator 0 GELU: TFLM has no kernel for it"
    ]


def test_types_and_open_shapes_are_named(convolution: Model) -> None:
    operator = convolution.main.operators[0]
    wide = replace(operator.output, dtype="float64", name="y")
    assert refusals(changed(convolution, replace(operator, outputs=(wide,)))) == [
        "operator 0 CONV_2D: tensor 'y' has the type float64, which TFLM does not hold"
    ]
    opened = replace(operator.output, dynamic=True, name="y", shape=(1, -1, 8, 8))
    assert refusals(changed(convolution, replace(operator, outputs=(opened,)))) == [
        "operator 0 CONV_2D: tensor 'y' has an open shape [1, -1, 8, 8]; TFLM needs fixed ones"
    ]


def test_weights_alone_quantized_do_not_run(convolution: Model) -> None:
    operator = convolution.main.operators[0]
    source = operator.inputs[0]
    assert source is not None
    hybrid = replace(operator, inputs=(replace(source, dtype="float32"), *operator.inputs[1:]))
    assert "float activations with int8 weights" in refusals(changed(convolution, hybrid))[0]


def test_types_that_fail_at_invoke_are_named(new_model: NewModel) -> None:
    m = new_model()
    x, y = m.tensor((1, 4), "int16", zero=0), m.tensor((1, 4), "int16", zero=0)
    m.operator("HARD_SWISH", [x], [y])
    data = m.build([x], [y])
    assert TFLM.arena(data).total_bytes > 0, "the interpreter alone says yes until Invoke"
    assert refusals(read_model(data)) == [
        "operator 0 HARD_SWISH: int16 data; TFLM's kernel computes float32, int8 only"
    ]


def holds_at_most(operators: int, data: bytes) -> bool:
    return len(read_model(data).main.operators) <= operators


def test_the_first_operator_that_stops_an_interpreter_is_found(student: bytes) -> None:
    model = read_model(student)
    for at in range(len(model.main.operators)):
        found = stopping_operator(model, student, partial(holds_at_most, at))
        assert found is model.main.operators[at]
    assert stopping_operator(model, student, lambda data: True) is None


def test_slow_parts_are_remarked(convolution: Model) -> None:
    operator = convolution.main.operators[0]
    dilated = replace(operator, options={**operator.options, "dilation_wfactor": 4})
    assert remarks(changed(convolution, dilated)) == ["operator 0 CONV_2D: dilation 1x4 runs on reference kernels"]
    wide = replace(operator, outputs=(replace(operator.output, dtype="int16"),))
    assert remarks(changed(convolution, wide)) == ["operator 0 CONV_2D: int16 activations run on reference kernels"]
    island = replace(operator, outputs=(replace(operator.output, dtype="float32"),))
    assert remarks(changed(convolution, island)) == ["operator 0 CONV_2D: float inside a quantized model"]


def test_the_interpreter_agrees_on_a_kind_that_it_lacks(new_model: NewModel) -> None:
    m = new_model()
    x, y = m.tensor((1, 4)), m.tensor((1, 4))
    m.operator("GELU", [x], [y])
    data = m.build([x], [y])
    assert "GELU" not in BUILTIN and refusals(read_model(data))
    with pytest.raises(ValueError, match=r"interpreter of this host refuses this model: .*GELU"):
        TFLM.arena(data)
