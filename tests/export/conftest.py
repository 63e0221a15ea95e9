"""A builder of small int8 .tflite files, without TensorFlow or torch."""

from __future__ import annotations

from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

_TYPES = {"int8": np.int8, "int32": np.int32, "float32": np.float32, "int16": np.int16}


class ModelBuilder:
    """Tensors and operators in the order they are asked for; every int8 tensor has scale 1/16."""

    def __init__(self) -> None:
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.buffers = [schema.BufferT()]
        self._model.operatorCodes = []
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._model.subgraphs = [self._graph]

    def tensor(
        self,
        shape: tuple[int, ...],
        dtype: str = "int8",
        data: Any = None,
        zero: int = 3,
        scales: int = 1,
        scale: float = 1 / 16,
    ) -> int:
        """Index of a new tensor; `data` makes it a constant."""
        tensor = schema.TensorT()
        tensor.shape, tensor.type = list(shape), getattr(schema.TensorType, dtype.upper())
        tensor.name = f"t{len(self._graph.tensors)}"
        tensor.quantization = schema.QuantizationParametersT()
        if dtype != "float32":
            tensor.quantization.scale = [scale] * scales
            tensor.quantization.zeroPoint = [zero] * scales
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.asarray(data, _TYPES[dtype]).tobytes(), np.uint8)
            tensor.buffer = len(self._model.buffers)
            self._model.buffers.append(buffer)
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def shape(self, index: int) -> tuple[int, ...]:
        """Shape of a tensor."""
        return tuple(self._graph.tensors[index].shape)

    def operator(self, kind: str, inputs: list[int], outputs: list[int], options: Any = None, custom: str = "") -> None:
        """Append an operator."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(127, code.builtinCode)
        code.version = 1
        code.customCode = custom or None
        operator = schema.OperatorT()
        operator.inputs, operator.outputs, operator.opcodeIndex = inputs, outputs, len(self._model.operatorCodes)
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
        self._model.operatorCodes.append(code)
        self._graph.operators.append(operator)

    def conv(self, x: int, out: int, size: tuple[int, int] = (1, 1), stride: int = 1, same: bool = True) -> int:
        """A CONV_2D with its weights and bias."""
        channels = self.shape(x)[3]
        options = schema.Conv2DOptionsT()
        self._window(options, stride, same)
        weights = self.tensor((out, *size, channels), data=np.ones((out, *size, channels)), zero=0, scales=out)
        bias = self.tensor((out,), "int32", data=np.zeros(out), zero=0, scales=out, scale=1 / 256)
        y = self.tensor((1, *self._spatial(x, size, stride, same), out))
        self.operator("CONV_2D", [x, weights, bias], [y], options)
        return y

    def depthwise(self, x: int, size: tuple[int, int] = (3, 3), stride: int = 1, multiplier: int = 1) -> int:
        """A DEPTHWISE_CONV_2D with SAME padding."""
        out = self.shape(x)[3] * multiplier
        options = schema.DepthwiseConv2DOptionsT()
        self._window(options, stride, True)
        options.depthMultiplier = multiplier
        weights = self.tensor((1, *size, out), data=np.ones((1, *size, out)), zero=0, scales=out)
        self._graph.tensors[weights].quantization.quantizedDimension = 3
        bias = self.tensor((out,), "int32", data=np.zeros(out), zero=0, scales=out, scale=1 / 256)
        y = self.tensor((1, *self._spatial(x, size, stride, True), out))
        self.operator("DEPTHWISE_CONV_2D", [x, weights, bias], [y], options)
        return y

    def pad(self, x: int) -> int:
        """One row and column on every side."""
        batch, height, width, channels = self.shape(x)
        widths = self.tensor((4, 2), "int32", data=[[0, 0], [1, 1], [1, 1], [0, 0]])
        y = self.tensor((batch, height + 2, width + 2, channels))
        self.operator("PAD", [x, widths], [y], schema.PadOptionsT())
        return y

    def add(self, x: int, y: int) -> int:
        """An element-wise ADD of equal shapes."""
        out = self.tensor(self.shape(x))
        self.add_into(x, y, out)
        return out

    def add_into(self, x: int, y: int, out: int) -> None:
        """An ADD to a given tensor."""
        self.operator("ADD", [x, y], [out], schema.AddOptionsT())

    def sub(self, x: int, y: int) -> int:
        """An element-wise SUB."""
        out = self.tensor(self.shape(x))
        self.operator("SUB", [x, y], [out], schema.SubOptionsT())
        return out

    def sliced(self, x: int, begin: list[int], size: list[int]) -> int:
        """A SLICE by constants; a size of -1 goes to the end."""
        ends = [self.tensor((len(values),), "int32", data=values) for values in (begin, size)]
        shape = [whole - at if n < 0 else n for whole, at, n in zip(self.shape(x), begin, size, strict=True)]
        out = self.tensor(tuple(shape))
        self.operator("SLICE", [x, *ends], [out], schema.SliceOptionsT())
        return out

    def unary(self, kind: str, x: int) -> int:
        """An operator of one tensor without options."""
        y = self.tensor(self.shape(x))
        self.operator(kind, [x], [y])
        return y

    def mean(self, x: int) -> int:
        """A global MEAN over height and width."""
        axes = self.tensor((2,), "int32", data=[1, 2])
        y = self.tensor((1, self.shape(x)[3]))
        options = schema.ReducerOptionsT()
        options.keepDims = False
        self.operator("MEAN", [x, axes], [y], options)
        return y

    def dense(self, x: int, out: int) -> int:
        """A FULLY_CONNECTED."""
        width = self.shape(x)[-1]
        weights = self.tensor((out, width), data=np.ones((out, width)), zero=0)
        bias = self.tensor((out,), "int32", data=np.zeros(out), zero=0, scale=1 / 256)
        y = self.tensor((1, out))
        self.fully_connected(x, weights, bias, y)
        return y

    def fully_connected(self, x: int, weights: int, bias: int, y: int) -> None:
        """A FULLY_CONNECTED of given tensors."""
        self.operator("FULLY_CONNECTED", [x, weights, bias], [y], schema.FullyConnectedOptionsT())

    def build(self, inputs: list[int], outputs: list[int]) -> bytes:
        """The file."""
        self._graph.inputs, self._graph.outputs = inputs, outputs
        builder = flatbuffers.Builder(1024)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def build_outside(self, inputs: list[int], outputs: list[int]) -> bytes:
        """The file with its values behind the flatbuffer, as ai-edge-quantizer writes it from 256 KiB of weights on."""
        held = [(b, bytes(np.asarray(b.data, np.uint8))) for b in self._model.buffers if b.data is not None]
        for buffer, _ in held:
            buffer.data, buffer.offset, buffer.size = None, 1 << 20, 1
        start = -(-len(self.build(inputs, outputs)) // 16) * 16
        behind = b""
        for buffer, values in held:
            buffer.offset, buffer.size = start + len(behind), len(values)
            behind += values + bytes(-len(values) % 16)
        return self.build(inputs, outputs).ljust(start, b"\0") + behind

    @property
    def model(self) -> Any:
        """The object behind it, for tests that break it."""
        return self._model

    @staticmethod
    def _window(options: Any, stride: int, same: bool) -> None:
        options.padding = schema.Padding.SAME if same else schema.Padding.VALID
        options.strideW = options.strideH = stride
        options.dilationWFactor = options.dilationHFactor = 1

    def _spatial(self, x: int, size: tuple[int, int], stride: int, same: bool) -> tuple[int, int]:
        _, height, width, _ = self.shape(x)
        taken = (0, 0) if same else (size[0] - 1, size[1] - 1)
        return -(-(height - taken[0]) // stride), -(-(width - taken[1]) // stride)


@pytest.fixture
def new_model() -> type[ModelBuilder]:
    """Start a model with `new_model()`."""
    return ModelBuilder


@pytest.fixture(scope="session")
def student() -> bytes:
    """A small student: strided convolution, depthwise-separable block, global mean, two classes."""
    m = ModelBuilder()
    x = m.tensor((1, 49, 20, 1))
    y = m.conv(x, 16, (3, 3), stride=2)
    y = m.depthwise(y)
    y = m.conv(y, 24)
    return m.build([x], [m.dense(m.mean(y), 2)])
