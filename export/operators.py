"""The operators and tensors of a .tflite file, as plain frozen records."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

import numpy as np
from ai_edge_litert import schema_py_generated as schema

if TYPE_CHECKING:
    from collections.abc import Mapping

IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
MAX_TENSOR_BYTES = 1 << 31
OFFLINE_PLAN = b"OfflineMemoryAllocation"

_BITS = {
    "float32": 32, "float16": 16, "int32": 32, "uint8": 8, "int64": 64, "string": 0, "bool": 8, "int16": 16,
    "complex64": 64, "int8": 8, "float64": 64, "complex128": 128, "uint64": 64, "resource": 32, "variant": 0,
    "uint32": 32, "uint16": 16, "int4": 4, "bfloat16": 16, "int2": 2, "uint4": 4, "float8_e4m3fn": 8, "float8_e5m2": 8,
}  # fmt: skip


def _names(enum: type) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


_KINDS = _names(schema.BuiltinOperator)
_DTYPES = {value: name.lower() for value, name in _names(schema.TensorType).items()}
_OPTION_TYPES = _names(schema.BuiltinOptions)
_ACTIVATIONS = _names(schema.ActivationFunctionType)
_PADDINGS = _names(schema.Padding)
_ACCESSORS = ("BufferHasIdentifier", "Length", "AsNumpy", "IsNone")


@final
@dataclass(frozen=True)
class Quantization:
    """Affine parameters: one scale and zero point, or one per channel of `axis`."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int


@final
@dataclass(frozen=True)
class Tensor:
    """One tensor: `data` holds the bytes of a constant, and `dynamic` marks a shape that is open at run time.

    `outside` marks values that a buffer's offset and size place behind the flatbuffer, where TFLM does not look.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    size_bytes: int
    variable: bool
    dynamic: bool
    quantization: Quantization | None
    data: bytes | memoryview | None = field(default=None, repr=False, compare=False)
    outside: bool = False

    @property
    def constant(self) -> bool:
        """Whether its values are stored in the file."""
        return self.data is not None

    @property
    def elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def values(self) -> np.ndarray[Any, Any]:
        """The values of a constant integer or float tensor, in its shape; `ValueError` where there are none."""
        if self.data is None or self.dtype not in np.sctypeDict:
            raise ValueError(f"tensor {self.index} ({self.name}): no stored values of a plain type ({self.dtype})")
        return np.frombuffer(self.data, dtype=self.dtype)[: self.elements].reshape(self.shape)


@final
@dataclass(frozen=True)
class Operator:
    """One node: its kind as TFLite spells it (`CUSTOM:<name>` for custom ones), tensors (None: left out), options."""

    index: int
    kind: str
    version: int
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: Mapping[str, int | float | bool | str]

    @property
    def output(self) -> Tensor:
        """The first output; `ValueError` where there is none."""
        if not self.outputs:
            raise ValueError(f"operator {self.index} {self.kind} has no output")
        return self.outputs[0]

    def input(self, position: int) -> Tensor | None:
        """Input at a position, None where it was left out."""
        return self.inputs[position] if position < len(self.inputs) else None

    @property
    def data_inputs(self) -> tuple[Tensor, ...]:
        """Inputs that are computed, not stored."""
        return tuple(t for t in self.inputs if t is not None and not t.constant)

    @property
    def constant_inputs(self) -> tuple[Tensor, ...]:
        """Inputs that are stored in the file."""
        return tuple(t for t in self.inputs if t is not None and t.constant)


@final
@dataclass(frozen=True)
class Graph:
    """One subgraph, in execution order; inputs and outputs are positions in `tensors`."""

    name: str
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[Operator, ...]


@final
@dataclass(frozen=True)
class Model:
    """A whole file; `offline_offsets` are the arena offsets that some converters plan ahead, -1 where left open."""

    graphs: tuple[Graph, ...]
    size_bytes: int
    offline_offsets: tuple[int, ...] | None = None

    @property
    def main(self) -> Graph:
        """The graph that Invoke runs."""
        return self.graphs[0]

    @property
    def is_step(self) -> bool:
        """Whether it takes states beside its features, and so a clip in steps."""
        return len(self.main.inputs) > 1

    @cached_property
    def constant_bytes(self) -> int:
        """Bytes of distinct stored tensors."""
        stored = {id(t.data): len(t.data) for g in self.graphs for t in g.tensors if t.data is not None}
        return sum(stored.values())


def read_model(data: bytes, source: str = "model") -> Model:
    """Read a .tflite held in memory; `source` names it in the `ValueError` that a damaged file raises."""
    try:
        return _Reader(data).model()
    except _MalformedError as error:
        raise ValueError(f"{source}: {error}") from None
    except (IndexError, TypeError, ValueError, OverflowError, UnicodeError, MemoryError, ArithmeticError) as error:
        raise ValueError(f"{source}: not a readable .tflite: an offset or a length points outside the file") from error
    except Exception as error:
        if type(error).__module__ == "struct":
            raise ValueError(f"{source}: not a readable .tflite: an offset points outside the file") from error
        raise


class _MalformedError(ValueError):
    """A rule of the format that a file breaks."""


@final
class _Reader:
    """Walks the flatbuffer once; no more elements are visited than the file has bytes, whatever its lengths claim."""

    def __init__(self, data: bytes) -> None:
        if len(data) < 8 or data[4:8] != IDENTIFIER:
            raise _MalformedError("not a .tflite file: the identifier TFL3 is missing at byte 4")
        self._data = data
        self._left = len(data)
        self._root = schema.Model.GetRootAs(data, 0)
        if self._root.Version() != SCHEMA_VERSION:
            raise _MalformedError(f"schema version {self._root.Version()} must be {SCHEMA_VERSION}")
        self._buffers: dict[int, bytes | memoryview | None] = {}
        self._option_readers: dict[str, list[str]] = {}

    def model(self) -> Model:
        """Everything in the file."""
        graphs = tuple(self._graph(self._root.Subgraphs(i)) for i in self._count(self._root.SubgraphsLength()))
        if not graphs:
            raise _MalformedError("holds no graph")
        if not graphs[0].operators:
            raise _MalformedError("the first graph holds no operator")
        return Model(graphs, len(self._data), self._offline_offsets())

    def _count(self, length: int) -> range:
        self._left -= length
        if length < 0 or self._left < 0:
            raise _MalformedError("not a readable .tflite: its vectors claim more elements than the file has bytes")
        return range(length)

    def _graph(self, table: Any) -> Graph:
        tensors = tuple(self._tensor(i, table.Tensors(i)) for i in self._count(table.TensorsLength()))
        inputs = self._indices(table.InputsLength(), table.Inputs, tensors, "graph input")
        outputs = self._indices(table.OutputsLength(), table.Outputs, tensors, "graph output")
        operators = tuple(self._operator(i, table.Operators(i), tensors) for i in self._count(table.OperatorsLength()))
        name = table.Name()
        return Graph(_text(name), tensors, inputs, outputs, operators)

    def _indices(self, length: int, at: Any, tensors: tuple[Tensor, ...], what: str) -> tuple[int, ...]:
        found = tuple(at(i) for i in self._count(length))
        for index in found:
            if not 0 <= index < len(tensors):
                raise _MalformedError(f"{what} {index} is no tensor of its graph, which has {len(tensors)}")
        return found

    def _tensor(self, index: int, table: Any) -> Tensor:
        shape = tuple(int(table.Shape(i)) for i in self._count(table.ShapeLength()))
        signature = tuple(int(table.ShapeSignature(i)) for i in self._count(table.ShapeSignatureLength()))
        dtype = _DTYPES.get(table.Type())
        if dtype is None:
            raise _MalformedError(f"tensor {index} has the unknown type {table.Type()}")
        size = 0 if min(shape, default=0) < 0 else math.ceil(math.prod(shape) * _BITS[dtype] / 8)
        if len(shape) > 16 or size > MAX_TENSOR_BYTES:
            raise _MalformedError(
                f"tensor {index} of shape {list(shape)[:16]} is over {MAX_TENSOR_BYTES} bytes or 16 dimensions"
            )
        data = self._buffer(table.Buffer(), index)
        if data is not None and dtype != "string" and len(data) < size:
            raise _MalformedError(f"tensor {index} of {size} bytes has a buffer of {len(data)}")
        return Tensor(
            index=index,
            name=_text(table.Name()),
            shape=shape,
            dtype=dtype,
            size_bytes=size,
            variable=bool(table.IsVariable()),
            dynamic=min(shape, default=0) < 0 or min(signature[1:], default=0) < 0,
            quantization=self._quantization(table.Quantization()),
            data=data,
            outside=data is not None and self._root.Buffers(table.Buffer()).Offset() > 1,
        )

    def _buffer(self, number: int, tensor: int) -> bytes | memoryview | None:
        if number == 0:
            return None
        if number >= self._root.BuffersLength():
            raise _MalformedError(f"tensor {tensor} names buffer {number} of {self._root.BuffersLength()}")
        if number not in self._buffers:
            self._buffers[number] = self._stored(self._root.Buffers(number))
        return self._buffers[number]

    def _stored(self, table: Any) -> bytes | memoryview | None:
        if table.Offset() > 1:
            start, length = table.Offset(), table.Size()
        elif table.DataLength():
            start = table._tab.Vector(table._tab.Offset(4))
            length = table.DataLength()
        else:
            return None
        if start < 0 or length <= 0 or start + length > len(self._data):
            raise _MalformedError(f"a buffer of {length} bytes at {start} lies outside the file")
        return memoryview(self._data)[start : start + length]

    def _quantization(self, table: Any) -> Quantization | None:
        if table is None or not table.ScaleLength() or not table.ZeroPointLength():
            return None
        self._count(table.ScaleLength())
        self._count(table.ZeroPointLength())
        scales = tuple(float(v) for v in table.ScaleAsNumpy())
        zero_points = tuple(int(v) for v in table.ZeroPointAsNumpy())
        return Quantization(scales, zero_points, int(table.QuantizedDimension()))

    def _operator(self, index: int, table: Any, tensors: tuple[Tensor, ...]) -> Operator:
        inputs = [table.Inputs(i) for i in self._count(table.InputsLength())]
        for number in inputs:
            if not -1 <= number < len(tensors):
                raise _MalformedError(f"operator {index} reads tensor {number} of {len(tensors)}")
        outputs = self._indices(table.OutputsLength(), table.Outputs, tensors, f"output of operator {index}:")
        kind, version = self._kind(index, table.OpcodeIndex())
        return Operator(
            index=index,
            kind=kind,
            version=version,
            inputs=tuple(tensors[i] if i >= 0 else None for i in inputs),
            outputs=tuple(tensors[i] for i in outputs),
            options=self._options(table),
        )

    def _kind(self, operator: int, number: int) -> tuple[str, int]:
        if number >= self._root.OperatorCodesLength():
            raise _MalformedError(f"operator {operator} has code {number} of {self._root.OperatorCodesLength()}")
        code = self._root.OperatorCodes(number)
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kind = _KINDS.get(builtin, f"BUILTIN_{builtin}")
        return (f"CUSTOM:{_text(code.CustomCode())}" if kind == "CUSTOM" else kind), int(code.Version())

    def _options(self, table: Any) -> dict[str, int | float | bool | str]:
        union, kind = table.BuiltinOptions(), _OPTION_TYPES.get(table.BuiltinOptionsType(), "NONE")
        if union is None or kind == "NONE":
            return {}
        options = getattr(schema, kind)()
        options.Init(union.Bytes, union.Pos)
        names = self._option_readers.setdefault(kind, _scalar_fields(type(options)))
        return {_snake(name): _named(name, getattr(options, name)()) for name in names}

    def _offline_offsets(self) -> tuple[int, ...] | None:
        for i in self._count(self._root.MetadataLength()):
            entry = self._root.Metadata(i)
            if entry.Name() == OFFLINE_PLAN:
                data = self._buffer(entry.Buffer(), -1)
                if data is None or len(data) % 4:
                    raise _MalformedError("its offline memory plan is no list of 32-bit offsets")
                return tuple(int(v) for v in np.frombuffer(data, dtype="<i4")[3:])
        return None


def _scalar_fields(options: type) -> list[str]:
    own = [name for name, member in vars(options).items() if callable(member) and not name.startswith("_")]
    vectors = {name.removesuffix("Length") for name in own if name.endswith("Length")}
    return [
        n
        for n in own
        if n not in vectors and n != "Init" and not n.startswith("GetRootAs") and not n.endswith(_ACCESSORS)
    ]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _named(name: str, value: Any) -> int | float | bool | str:
    if name == "FusedActivationFunction":
        return _ACTIVATIONS.get(value, str(value))
    if name == "Padding":
        return _PADDINGS.get(value, str(value))
    return value if isinstance(value, int | float | bool) else _text(value)


def _text(raw: bytes | None) -> str:
    return raw.decode("utf-8", errors="replace") if isinstance(raw, bytes) else ""
