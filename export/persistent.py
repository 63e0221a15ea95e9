"""The persistent tail of the arena: what TFLM and its kernels keep for the life of a model, at 32-bit sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from export.operators import Graph, Model, Operator, Tensor

BUFFER_ALIGNMENT = 16
NODE_BYTES = 32
EVAL_TENSOR_BYTES = 12
TENSOR_BYTES = 40
AFFINE_BYTES = 12
SUBGRAPH_BYTES = 8
HANDLE_BYTES = 4
# Allocators, memory planner and graph of one MicroInterpreter: chosen so that every arena that a board has logged in
# full comes out within 1 %, mostly on the high side (builds differ by up to 200 bytes here).
INTERPRETER_BYTES = 296

# sizeof() of the parameter structs of tensorflow/lite/core/c/builtin_op_data.h.
_PARAMETERS = {
    "CONV_2D": 28, "DEPTHWISE_CONV_2D": 28, "TRANSPOSE_CONV": 20, "FULLY_CONNECTED": 16, "AVERAGE_POOL_2D": 40,
    "MAX_POOL_2D": 40, "L2_POOL_2D": 40, "SOFTMAX": 4, "RESHAPE": 36, "SQUEEZE": 36, "ADD": 8, "SUB": 8, "MUL": 4,
    "DIV": 4, "MEAN": 4, "SUM": 4, "REDUCE_MAX": 4, "CONCATENATION": 8, "STRIDED_SLICE": 24, "BATCH_MATMUL": 4,
    "SPLIT": 4, "SPLIT_V": 4, "PACK": 8, "UNPACK": 8, "GATHER": 8, "LEAKY_RELU": 4, "CAST": 8, "RESIZE_BILINEAR": 4,
    "RESIZE_NEAREST_NEIGHBOR": 4, "SVDF": 12, "UNIDIRECTIONAL_SEQUENCE_LSTM": 24, "CALL_ONCE": 4, "VAR_HANDLE": 8,
    "IF": 8, "WHILE": 8, "SHAPE": 4, "ARG_MAX": 4, "ARG_MIN": 4, "L2_NORMALIZATION": 4, "CUMSUM": 4,
}  # fmt: skip

# sizeof() of what each kernel allocates in Init, from the kernels' headers; the same structs with 8-byte pointers give
# the totals that the interpreter reports on this host.
_KERNEL_DATA = {
    "CONV_2D": 60, "DEPTHWISE_CONV_2D": 60, "TRANSPOSE_CONV": 60, "FULLY_CONNECTED": 48, "AVERAGE_POOL_2D": 32,
    "MAX_POOL_2D": 32, "SOFTMAX": 56, "ADD": 60, "SUB": 60, "MUL": 36, "DIV": 36, "MEAN": 44, "SUM": 44,
    "REDUCE_MAX": 44, "PAD": 56, "PADV2": 56, "LOGISTIC": 16, "TANH": 16, "STRIDED_SLICE": 84, "CONCATENATION": 48,
    "HARD_SWISH": 28, "LEAKY_RELU": 24, "PRELU": 32, "RELU": 28, "RELU6": 28, "QUANTIZE": 28, "DEQUANTIZE": 20,
    "BATCH_MATMUL": 72, "SVDF": 48, "VAR_HANDLE": 8, "CALL_ONCE": 8, "SQUARED_DIFFERENCE": 48, "MAXIMUM": 0,
    "RSQRT": 20, "ABS": 20, "TRANSPOSE": 0, "EXP": 260, "RESIZE_BILINEAR": 0,
}  # fmt: skip

_PER_CHANNEL = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 0, "FULLY_CONNECTED": 0}


@final
@dataclass(frozen=True)
class Tail:
    """Bytes of the tail by what they hold."""

    interpreter: int
    nodes: int
    tensors: int
    parameters: int
    kernels: int
    variables: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.interpreter + self.nodes + self.tensors + self.parameters + self.kernels + self.variables


def tail_of(model: Model, scratch_buffers: int) -> Tail:
    """Tail of a model whose kernels ask for that many scratch buffers."""
    operators = [operator for graph in model.graphs for operator in graph.operators]
    ends = [model.main.tensors[i] for i in (*model.main.inputs, *model.main.outputs)]
    return Tail(
        interpreter=INTERPRETER_BYTES + SUBGRAPH_BYTES * len(model.graphs) + _up(HANDLE_BYTES * scratch_buffers, 4),
        nodes=NODE_BYTES * len(operators),
        tensors=EVAL_TENSOR_BYTES * sum(len(g.tensors) for g in model.graphs) + sum(map(_end_bytes, ends)),
        parameters=sum(_PARAMETERS.get(op.kind, 0) for op in operators),
        kernels=sum(map(_kernel_bytes, operators)) + 2 * BUFFER_ALIGNMENT,
        variables=sum(_variable_bytes(model, g) for g in model.graphs),
    )


def _end_bytes(tensor: Tensor) -> int:
    channels = len(tensor.quantization.scales) if tensor.quantization else 0
    return TENSOR_BYTES + (AFFINE_BYTES + 4 + 4 * channels if channels else 0)


def _kernel_bytes(operator: Operator) -> int:
    return _up(_KERNEL_DATA.get(operator.kind, 0), BUFFER_ALIGNMENT) + 2 * _up(
        4 * _channels(operator), BUFFER_ALIGNMENT
    )


def _channels(operator: Operator) -> int:
    """Output channels whose multipliers and shifts the kernel keeps."""
    weights = operator.input(1)
    if operator.kind not in _PER_CHANNEL or weights is None:
        return 0
    if operator.kind == "FULLY_CONNECTED":
        scales = len(weights.quantization.scales) if weights.quantization else 0
        return scales if scales > 1 else 0
    return weights.shape[_PER_CHANNEL[operator.kind]] if len(weights.shape) == 4 else 0


def _variable_bytes(model: Model, graph: Graph) -> int:
    """Tensors marked as variables, and the values behind resource handles (each handle once, by its name)."""
    marked = sum(_up(t.size_bytes, BUFFER_ALIGNMENT) for t in graph.tensors if t.variable)
    if graph is not model.main:
        return marked
    made = [op for op in graph.operators if op.kind == "VAR_HANDLE" and op.outputs]
    handles = {op.output.index: str(op.options.get("shared_name")) for op in made}
    reads = [(op.input(0), op) for op in graph.operators if op.kind == "READ_VARIABLE" and op.outputs]
    values = {
        handles[handle.index]: op.output.size_bytes
        for handle, op in reads
        if handle is not None and handle.index in handles
    }
    return marked + sum(_up(size, BUFFER_ALIGNMENT) for size in values.values())


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
