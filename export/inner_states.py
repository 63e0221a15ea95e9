"""A step whose states are variables inside the model, and which says one probability: what ESPHome runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from export.c_operators import operators_of
from export.flatbuffer import AlignedBuffer

if TYPE_CHECKING:
    from collections.abc import Sequence

# As TFLite has it for every int8 sigmoid.
PROBABILITY_SCALE = 1 / 256
# Log-odds beyond +-8 are 0 or 1 in 256 steps.
WIDEST_STEP = 16 / 255
WEIGHT = 127


def with_inner_states(model: bytes, frame_shape: tuple[int, int, int], event: int) -> bytes:
    """(frame, *states) to (two logits, *states) made frame [1, frames, values] to the uint8 probability of `event`.

    States begin at their zero points, in a graph that is called once. Operators that ESPHome does not register become
    others that do the same where there are such.
    """
    rewriter = _Rewriter(model)
    rewriter.spell_otherwise()
    rewriter.fold(frame_shape)
    rewriter.say_probability(event)
    return rewriter.packed()


def operators_left(model: bytes) -> tuple[str, ...]:
    """Kinds of operator that a model has where those that can be are spelt otherwise."""
    rewriter = _Rewriter(model)
    rewriter.spell_otherwise()
    return operators_of(rewriter.packed())


@final
class _Rewriter:
    """Changes a model's main graph in flatbuffers' object form."""

    def __init__(self, model: bytes) -> None:
        self._model: Any = schema.ModelT.InitFromPackedBuf(model, 0)
        self._graph: Any = self._model.subgraphs[0]
        self._model.signatureDefs = []

    def packed(self) -> bytes:
        """The file."""
        self._model.buffers = [
            buffer if buffer.data is None or len(buffer.data) == 0 else AlignedBuffer(bytes(buffer.data))
            for buffer in self._model.buffers
        ]
        return bytes(flatbuffer_utils.convert_object_to_bytearray(self._model))

    def spell_otherwise(self) -> None:
        """A SLICE of constants as a STRIDED_SLICE, a SUB of a constant as an ADD of its negative."""
        for place, operator in enumerate(self._graph.operators):
            kind, inputs = self._kind(operator), [int(index) for index in operator.inputs]
            if kind == schema.BuiltinOperator.SLICE and all(self._stored(index) for index in inputs[1:]):
                self._graph.operators[place] = self._strided(operator, inputs)
            elif kind == schema.BuiltinOperator.SUB and self._stored(inputs[1]):
                self._graph.operators[place] = self._added(operator, inputs)

    def _strided(self, operator: Any, inputs: Sequence[int]) -> Any:
        begin, size = (np.frombuffer(self._stored(index), np.int32) for index in inputs[1:])
        whole = np.array(self._shape(inputs[0]), np.int32)
        bounds = begin, np.where(size < 0, whole, begin + size).astype(np.int32), np.ones_like(begin)
        constants = [
            self._constant(self._graph, f"slice_{name}", np.array(values), schema.TensorType.INT32)
            for name, values in zip(("begin", "end", "strides"), bounds, strict=True)
        ]
        outputs = [int(index) for index in operator.outputs]
        return self._operator("STRIDED_SLICE", [inputs[0], *constants], outputs, schema.StridedSliceOptionsT())

    def _added(self, operator: Any, inputs: Sequence[int]) -> Any:
        # Of code q and zero point z, ~q and ~z stand for the negative, and both are int8 again.
        quantization = self._graph.tensors[inputs[1]].quantization
        codes = ~np.frombuffer(self._stored(inputs[1]), np.int8).reshape(self._shape(inputs[1]))
        scale, zero = float(quantization.scale[0]), ~int(quantization.zeroPoint[0])
        negative = self._constant(self._graph, "negative", codes, schema.TensorType.INT8, scale, zero)
        options = schema.AddOptionsT()
        options.fusedActivationFunction = operator.builtinOptions.fusedActivationFunction
        outputs = [int(index) for index in operator.outputs]
        return self._operator("ADD", [inputs[0], negative], outputs, options)

    def fold(self, frame_shape: tuple[int, int, int]) -> None:
        """Read every state from a variable before the operators, and assign it after them."""
        frame, *states = (int(index) for index in self._graph.inputs)
        logits, *after = (int(index) for index in self._graph.outputs)
        handles = [self._handle(self._graph, number) for number in range(len(states))]
        heard = self._like(self._graph, frame, "features", frame_shape)
        shape = self._constant(self._graph, "shape", np.array(self._shape(frame), np.int32), schema.TensorType.INT32)
        before = [
            self._operator("CALL_ONCE", [], [], self._called_once(states)),
            *(self._var_handle(handle, number) for number, handle in enumerate(handles)),
            self._operator("RESHAPE", [heard, shape], [frame], schema.ReshapeOptionsT()),
            *(
                self._operator("READ_VARIABLE", [handle], [state], schema.ReadVariableOptionsT())
                for handle, state in zip(handles, states, strict=True)
            ),
        ]
        assigned = [
            self._operator("ASSIGN_VARIABLE", [handle, state], [], schema.AssignVariableOptionsT())
            for handle, state in zip(handles, after, strict=True)
        ]
        self._graph.operators = [*before, *self._graph.operators, *assigned]
        self._graph.inputs, self._graph.outputs = [heard], [logits]

    def say_probability(self, event: int) -> None:
        """Take one logit from the other, then a sigmoid, as uint8."""
        logits = int(self._graph.outputs[0])
        scale = float(self._graph.tensors[logits].quantization.scale[0])
        signs = [WEIGHT if output == event else -WEIGHT for output in range(2)]
        weights = self._constant(
            self._graph, "signs", np.array([signs], np.int8), schema.TensorType.INT8, 1 / WEIGHT, 0
        )
        odds = self._tensor(self._graph, "log_odds", (1, 1), schema.TensorType.INT8, min(2 * scale, WIDEST_STEP), 0)
        told = self._tensor(self._graph, "sigmoid", (1, 1), schema.TensorType.INT8, PROBABILITY_SCALE, -128)
        last = self._tensor(self._graph, "probability", (1, 1), schema.TensorType.UINT8, PROBABILITY_SCALE, 0)
        self._graph.operators += [
            self._operator("FULLY_CONNECTED", [logits, weights, -1], [odds], schema.FullyConnectedOptionsT()),
            self._operator("LOGISTIC", [odds], [told], None),
            self._operator("QUANTIZE", [told], [last], schema.QuantizeOptionsT()),
        ]
        self._graph.outputs = [last]

    def _called_once(self, states: Sequence[int]) -> Any:
        """A graph that sets every variable to its zero point."""
        graph = schema.SubGraphT()
        graph.name, graph.tensors, graph.operators, graph.inputs, graph.outputs = "first_states", [], [], [], []
        self._model.subgraphs.append(graph)
        for number, state in enumerate(states):
            quantization = self._graph.tensors[state].quantization
            scale, zero = float(quantization.scale[0]), int(quantization.zeroPoint[0])
            values = np.full(self._shape(state), zero, np.int8)
            first = self._constant(graph, f"first_{number}", values, schema.TensorType.INT8, scale, zero)
            handle = self._handle(graph, number)
            graph.operators += [
                self._var_handle(handle, number),
                self._operator("ASSIGN_VARIABLE", [handle, first], [], schema.AssignVariableOptionsT()),
            ]
        options = schema.CallOnceOptionsT()
        options.initSubgraphIndex = len(self._model.subgraphs) - 1
        return options

    def _var_handle(self, handle: int, number: int) -> Any:
        options = schema.VarHandleOptionsT()
        options.container, options.sharedName = "", f"state_{number}"
        return self._operator("VAR_HANDLE", [], [handle], options)

    def _handle(self, graph: Any, number: int) -> int:
        return self._tensor(graph, f"handle_{number}", (), schema.TensorType.RESOURCE)

    def _kind(self, operator: Any) -> int:
        code = self._model.operatorCodes[operator.opcodeIndex]
        return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))

    def _stored(self, tensor: int) -> bytes:
        """The values of a constant; none of what is computed."""
        data = self._model.buffers[self._graph.tensors[tensor].buffer].data
        return b"" if data is None else bytes(data)

    def _shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(map(int, self._graph.tensors[tensor].shape))

    def _like(self, graph: Any, tensor: int, name: str, shape: tuple[int, ...]) -> int:
        quantization = graph.tensors[tensor].quantization
        scale, zero = float(quantization.scale[0]), int(quantization.zeroPoint[0])
        return self._tensor(graph, name, shape, schema.TensorType.INT8, scale, zero)

    def _constant(self, graph: Any, name: str, values: Any, dtype: int, scale: float = 0.0, zero: int = 0) -> int:
        index = self._tensor(graph, name, values.shape, dtype, scale, zero)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        graph.tensors[index].buffer = len(self._model.buffers)
        self._model.buffers.append(buffer)
        return index

    def _tensor(
        self, graph: Any, name: str, shape: tuple[int, ...], dtype: int, scale: float = 0.0, zero: int = 0
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), dtype, 0
        if scale:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero]
        graph.tensors.append(tensor)
        return len(graph.tensors) - 1

    def _operator(self, kind: str, inputs: list[int], outputs: list[int], options: Any) -> Any:
        operator = schema.OperatorT()
        operator.inputs, operator.outputs, operator.opcodeIndex = inputs, outputs, self._code(kind)
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        return operator

    def _code(self, kind: str) -> int:
        number = getattr(schema.BuiltinOperator, kind)
        for index, code in enumerate(self._model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == number:
                return index
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(127, number), 1
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1
