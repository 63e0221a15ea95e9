"""The persistent tail of the arena: what TFLM and its kernels keep for the life of a model, at 32-bit sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from export.operators import Graph, Model, Operator, Tensor

BUFFER_ALIGNMENT = 16


# sizeof() of the parameter structs of tensorflow/lite/core/c/builtin_op_data.h.
_PARAMETERS = {
    "CONV_2D": 28, "DEPTHWISE_CONV_2D": 28, "TRANSPOSE_CONV": 20, "FULLY_CONNECTED": 16, "AVERAGE_POOL_2D": 40,
    "MAX_POOL_2D": 40, "L2_POOL_2D": 40, "SOFTMAX": 4, "RESHAPE": 36, "SQUEEZE": 36, "ADD": 8, "SUB": 8, "MUL": 4,
    "DIV": 4, "MEAN": 1, "SUM": 1, "REDUCE_MAX": 1, "REDUCE_MIN": 1, "CONCATENATION": 8, "STRIDED_SLICE": 24,
    "BATCH_MATMUL": 3, "SPLIT": 4, "SPLIT_V": 4, "PACK": 8, "UNPACK": 8, "GATHER": 8, "LEAKY_RELU": 4, "CAST": 8,
    "RESIZE_BILINEAR": 2, "RESIZE_NEAREST_NEIGHBOR": 2, "SVDF": 12, "UNIDIRECTIONAL_SEQUENCE_LSTM": 24,
    "CALL_ONCE": 4, "VAR_HANDLE": 8, "IF": 8, "WHILE": 8, "SHAPE": 4, "ARG_MAX": 4, "ARG_MIN": 4,
    "L2_NORMALIZATION": 4, "CUMSUM": 4,
}  # fmt: skip

# sizeof() of what each kernel allocates in Init, from the kernels' headers. Those that hold no pointer are as large in
# the interpreter of this host, which tells its own.
_KERNEL_DATA = {
    "CONV_2D": 60, "DEPTHWISE_CONV_2D": 60, "TRANSPOSE_CONV": 60, "FULLY_CONNECTED": 48, "AVERAGE_POOL_2D": 32,
    "MAX_POOL_2D": 32, "SOFTMAX": 56, "ADD": 60, "SUB": 52, "MUL": 36, "DIV": 36, "MEAN": 44, "SUM": 44,
    "REDUCE_MAX": 44, "REDUCE_MIN": 44, "PAD": 56, "PADV2": 56, "LOGISTIC": 16, "TANH": 16, "STRIDED_SLICE": 84,
    "CONCATENATION": 24, "HARD_SWISH": 20, "LEAKY_RELU": 24, "PRELU": 28, "RELU": 28, "RELU6": 8, "QUANTIZE": 32,
    "DEQUANTIZE": 32, "BATCH_MATMUL": 64, "SVDF": 48, "VAR_HANDLE": 8, "CALL_ONCE": 8, "SQUARED_DIFFERENCE": 112,
    "RSQRT": 28, "ABS": 28, "ELU": 256,
}  # fmt: skip


@final
@dataclass(frozen=True)
class Sizes:
    """sizeof() of TFLM's own structs in one build, and of the kernels' where they differ from the table."""

    pointer: int
    node: int
    eval_tensor: int
    tensor: int
    affine: int
    interpreter: int
    kernels: Mapping[str, int]
    parameters: Mapping[str, int]


# The allocators, planner and graph of one MicroInterpreter are chosen so that every arena that a board has logged in
# full comes out within 1 %, mostly on the high side: builds differ by up to 200 bytes here.
S3 = Sizes(
    pointer=4, node=32, eval_tensor=12, tensor=40, affine=12, interpreter=300, kernels={}, parameters={}
)  # fmt: skip
# The interpreter of the tflite-micro wheel for a 64-bit host, which also keeps indices for compressed weights.
HOST = Sizes(
    pointer=8, node=64, eval_tensor=24, tensor=64, affine=24, interpreter=472,
    kernels={"CONV_2D": 80, "DEPTHWISE_CONV_2D": 80, "TRANSPOSE_CONV": 88, "FULLY_CONNECTED": 72, "SOFTMAX": 80,
             "CONCATENATION": 80, "BATCH_MATMUL": 80},
    parameters={"FULLY_CONNECTED": 32},
)  # fmt: skip

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


def tail_of(model: Model, scratch_buffers: int, sizes: Sizes = S3) -> Tail:
    """Tail of a model whose kernels ask for that many scratch buffers."""
    operators = [operator for graph in model.graphs for operator in graph.operators]
    ends = [model.main.tensors[i] for i in (*model.main.inputs, *model.main.outputs)]
    lists = sum(_up(sizes.pointer * len(side), BUFFER_ALIGNMENT) for side in (model.main.inputs, model.main.outputs))
    parameters = {**_PARAMETERS, **sizes.parameters}
    return Tail(
        interpreter=sizes.interpreter + 2 * sizes.pointer * len(model.graphs) + sizes.pointer * scratch_buffers,
        nodes=sizes.node * len(operators),
        tensors=sizes.eval_tensor * sum(len(g.tensors) for g in model.graphs) + sum(_end_bytes(t, sizes) for t in ends),
        parameters=sum(parameters.get(op.kind, 0) for op in operators),
        kernels=sum(_kernel_bytes(op, sizes) for op in operators) + lists,
        variables=sum(_variable_bytes(model, g) for g in model.graphs),
    )


def _end_bytes(tensor: Tensor, sizes: Sizes) -> int:
    channels = len(tensor.quantization.scales) if tensor.quantization else 0
    return sizes.tensor + (sizes.affine + 4 + 4 * channels if channels else 0)


def _kernel_bytes(operator: Operator, sizes: Sizes) -> int:
    own = sizes.kernels.get(operator.kind, _KERNEL_DATA.get(operator.kind, 0))
    per_channel = 2 * _up(4 * _channels(operator), BUFFER_ALIGNMENT)
    return _up(own, BUFFER_ALIGNMENT) + per_channel + sum(_transposed_bytes(operator, sizes))


def _transposed_bytes(operator: Operator, sizes: Sizes) -> list[int]:
    """Copies that BATCH_MATMUL keeps of the factors it has to transpose, each with its tensor and its shape."""
    if operator.kind != "BATCH_MATMUL":
        return []
    left, right = operator.input(0), operator.input(1)
    turned = [left if operator.options.get("adj_x") else None, None if operator.options.get("adj_y") else right]
    parts = [(sizes.eval_tensor, 4 + 4 * len(t.shape), t.size_bytes) for t in turned if t is not None]
    return [_up(part, BUFFER_ALIGNMENT) for copy in parts for part in copy]


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
