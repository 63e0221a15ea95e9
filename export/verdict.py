"""Whether TensorFlow Lite Micro runs a model: operators, types and shapes that it has no kernel for."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ai_edge_litert import schema_py_generated as schema

from export.geometry import CONVOLUTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from export.operators import Model, Operator, Tensor

# The registrations of tflite-micro, October 2026.
BUILTIN = frozenset(
    """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_ARGS
    BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV
    DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED
    GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG
    LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG
    NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE
    RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND
    SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE
    TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
    """.split()  # noqa: SIM905 - a list of words reads better than quotes
)
TYPES = frozenset(("float32", "int8", "int16", "int32", "int64", "uint8", "uint32", "bool", "int4", "resource"))
# What these kernels compute; with other types they pass AllocateTensors and fail at Invoke (tried with the tflite-micro
# wheel's interpreter).
_COMPUTED = {
    **dict.fromkeys(("COS", "FLOOR", "LOG", "NEG", "SIN", "SQRT", "SQUARE", "FLOOR_DIV", "FLOOR_MOD"), ("float32",)),
    **dict.fromkeys(("DIV", "ELU", "HARD_SWISH", "LOG_SOFTMAX"), ("float32", "int8")),
    **dict.fromkeys(("EQUAL", "NOT_EQUAL"), ("bool", "float32", "int8", "int32", "int64")),
    **dict.fromkeys(("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"), ("float32", "int8", "int32", "int64")),
    "ZEROS_LIKE": ("float32", "int8", "int32", "int64"),
}
_HYBRID = (*CONVOLUTIONS, "TRANSPOSE_CONV", "FULLY_CONNECTED")
_MOVES = frozenset(("QUANTIZE", "DEQUANTIZE", "CAST", "SHAPE", "RESHAPE", "VAR_HANDLE"))


def refusals(model: Model) -> list[str]:
    """Why TFLM does not run it, one line for each operator, type or shape; empty where it runs."""
    operators = [operator for graph in model.graphs for operator in graph.operators]
    return [*_outside(operators), *(line for operator in operators for line in _refused(operator))]


def _outside(operators: list[Operator]) -> Iterator[str]:
    """One line for all values that a file keeps behind its flatbuffer: TFLM computes on garbage and says nothing."""
    found = [(operator, t) for operator in operators for t in operator.constant_inputs if t.outside]
    if found:
        operator, tensor = found[0]
        more = f" and those of {len(found) - 1} more" if len(found) > 1 else ""
        yield (
            f"operator {operator.index} {operator.kind}: the values of tensor {tensor.name!r}{more} lie behind the "
            "flatbuffer (buffer offset and size), where TFLM reads an empty buffer and computes on garbage; rewrite "
            "the file with export.flatbuffer.for_microcontrollers (arena and latency given here are those it will have)"
        )


def _refused(operator: Operator) -> Iterator[str]:
    where = f"operator {operator.index} {operator.kind}"
    if operator.kind.startswith("CUSTOM:"):
        yield f"{where}: a custom operator, which needs a kernel of its own"
    elif operator.kind == "DELEGATE":
        yield f"{where}: belongs to a delegate; convert the model without one"
    elif operator.kind not in BUILTIN:
        yield f"{where}: TFLM has no kernel for it"
    for tensor in _tensors(operator):
        if tensor.dtype not in TYPES:
            yield f"{where}: tensor {tensor.name!r} has the type {tensor.dtype}, which TFLM does not hold"
        elif tensor.dynamic:
            yield f"{where}: tensor {tensor.name!r} has an open shape {list(tensor.shape)}; TFLM needs fixed ones"
    data, weights = operator.input(0), operator.input(1)
    hybrid = operator.kind in _HYBRID and data is not None and data.dtype == "float32"
    if hybrid and weights is not None and weights.dtype in ("int8", "int4"):
        yield f"{where}: float activations with {weights.dtype} weights; quantize the activations too"
    computed = _COMPUTED.get(operator.kind)
    if computed and data is not None and data.dtype in TYPES and data.dtype not in computed:
        yield f"{where}: {data.dtype} data; TFLM's kernel computes {', '.join(computed)} only"
    if operator.kind == "L2_POOL_2D" and data is not None and data.dtype != "float32":
        yield f"{where}: TFLM's kernel takes float32 only"


def stopping_operator(model: Model, tflite: bytes, loads: Callable[[bytes], bool]) -> Operator | None:
    """The first operator with which an interpreter does not load the model; None where no part of it fails.

    `loads` tells whether a .tflite loads; it is asked for the first 1, 2, ... operators by halving.
    """
    operators = model.main.operators
    good, bad = 0, len(operators)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if loads(_first_operators(model, tflite, middle)) else (good, middle)
    return None if bad == len(operators) and loads(_first_operators(model, tflite, bad)) else operators[bad - 1]


def _first_operators(model: Model, tflite: bytes, count: int) -> bytes:
    """The file with fewer operators and the last one's output as the graph's, changed in place."""
    ends = [t.index for operator in model.main.operators[:count] for t in operator.outputs]
    graph = schema.Model.GetRootAs(tflite, 0).Subgraphs(0)
    outputs, operators = (graph._tab.Vector(graph._tab.Offset(field)) for field in (8, 10))
    changed = bytearray(tflite)
    struct.pack_into("<I", changed, operators - 4, count)
    if ends and graph.OutputsLength():
        struct.pack_into("<Ii", changed, outputs - 4, 1, ends[-1])
    return bytes(changed)


def remarks(model: Model) -> list[str]:
    """What runs, but not on fast kernels: float islands, int16 activations, dilation and 4-bit weights."""
    quantized = any(t.dtype == "int8" for op in model.main.operators for t in op.data_inputs)
    lines = []
    for operator in model.main.operators:
        where = f"operator {operator.index} {operator.kind}"
        types = {tensor.dtype for tensor in (*operator.data_inputs, *operator.outputs)}
        weights = operator.input(1)
        if quantized and "float32" in types and operator.kind not in _MOVES:
            lines.append(f"{where}: float inside a quantized model")
        if "int16" in types:
            lines.append(f"{where}: int16 activations run on reference kernels")
        if operator.kind in _HYBRID and weights is not None and weights.dtype == "int4":
            lines.append(f"{where}: 4-bit weights are unpacked at every call and run on reference kernels")
        dilation = (operator.options.get("dilation_hfactor", 1), operator.options.get("dilation_wfactor", 1))
        if operator.kind in CONVOLUTIONS and dilation not in ((1, 1), (0, 0)):
            lines.append(f"{where}: dilation {dilation[0]}x{dilation[1]} runs on reference kernels")
    return lines


def _tensors(operator: Operator) -> list[Tensor]:
    return [tensor for tensor in (*operator.inputs, *operator.outputs) if tensor is not None]
