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
    """The same model with every buffer inside the flatbuffer, on 16 bytes, and with short names.

    The converter names a tensor by the paths of all modules behind it: half of a small student's file. From 256 KiB of
    weights on, ai-edge-quantizer appends them behind the flatbuffer, where LiteRT finds them and TFLM, which sees an
    empty buffer, computes on whatever its arena holds.
    """
    unpacked = flatbuffer_utils.read_model_from_bytearray(model)
    unpacked.buffers = [
        buffer if buffer.data is None or len(buffer.data) == 0 else AlignedBuffer(bytes(buffer.data))
        for buffer in unpacked.buffers
    ]
    for tensor in (tensor for graph in unpacked.subgraphs for tensor in graph.tensors):
        tensor.name = _short(tensor.name)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(unpacked))


def _short(name: bytes) -> bytes:
    """The class that made a tensor, from `package.module.Class_3/package.module.Class_1;;...`."""
    return name.split(b";")[0].split(b"/")[-1].split(b".")[-1]
