"""A .tflite rewritten so that TFLM can run it in place."""

from __future__ import annotations

from typing import Any, final

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

ALIGNMENT_BYTES = 16


@final
class AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer that lands on 16 bytes, as the schema asks and the Python writer forgets: ESP-NN loads whole vectors."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data = data

    def Pack(self, builder: Any) -> int:  # noqa: N802
        """Write data, then table; returns the table's offset."""
        builder.Prep(ALIGNMENT_BYTES, len(self.data))
        data = builder.CreateByteVector(self.data)
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return int(schema.BufferEnd(builder))


def for_microcontrollers(model: bytes | bytearray) -> bytes:
    """The same model with every buffer inside the flatbuffer, on 16 bytes, with short names and without idle copies.

    The converter names a tensor by the paths of all modules behind it: half of a small student's file. From 256 KiB of
    weights on, ai-edge-quantizer appends them behind the flatbuffer, where LiteRT finds them and TFLM, which sees an
    empty buffer, computes on whatever its arena holds. Before a concatenation it requantizes to the scale that is there
    already: copies of every state, of a network that has some.
    """
    unpacked = flatbuffer_utils.read_model_from_bytearray(model)
    unpacked.buffers = [
        buffer if buffer.data is None or len(buffer.data) == 0 else AlignedBuffer(bytes(buffer.data))
        for buffer in unpacked.buffers
    ]
    for graph in unpacked.subgraphs:
        _drop_copies(graph, unpacked)
    for tensor in (tensor for graph in unpacked.subgraphs for tensor in graph.tensors):
        tensor.name = _short(tensor.name)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(unpacked))


def _drop_copies(graph: Any, model: Any) -> None:
    """Read every tensor that a QUANTIZE gives in the scale of its input from that input instead."""
    copies = {
        int(operator.outputs[0]): int(operator.inputs[0])
        for operator in graph.operators
        if _kind(operator, model) == schema.BuiltinOperator.QUANTIZE and _is_copy(operator, graph)
    }
    graph.operators = [operator for operator in graph.operators if int(operator.outputs[0]) not in copies]
    for operator in graph.operators:
        operator.inputs = [copies.get(int(tensor), int(tensor)) for tensor in operator.inputs]
    graph.outputs = [copies.get(int(tensor), int(tensor)) for tensor in graph.outputs]
    for tensor in (tensor for signature in model.signatureDefs or () for tensor in signature.outputs):
        tensor.tensorIndex = copies.get(tensor.tensorIndex, tensor.tensorIndex)


def _kind(operator: Any, model: Any) -> int:
    code = model.operatorCodes[operator.opcodeIndex]
    return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))


def _is_copy(operator: Any, graph: Any) -> bool:
    before, after = (graph.tensors[int(ends[0])] for ends in (operator.inputs, operator.outputs))
    # What goes straight through keeps its copy: an output must not be an input.
    through = int(operator.inputs[0]) in map(int, graph.inputs) and int(operator.outputs[0]) in map(int, graph.outputs)
    return not through and _scale(before) == _scale(after)


def _scale(tensor: Any) -> tuple[Any, ...]:
    found = tensor.quantization
    return tensor.type, *(tuple(map(float, values)) for values in (found.scale, found.zeroPoint) if values is not None)


def _short(name: bytes) -> bytes:
    """The class that made a tensor, from `package.module.Class_3/package.module.Class_1;;...`."""
    return name.split(b";")[0].split(b"/")[-1].split(b".")[-1]
