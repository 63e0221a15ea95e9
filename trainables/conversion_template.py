"""Templates: a float .tflite of an architecture, converted once, into which other weights are put bit for bit."""

from __future__ import annotations

import copy
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import nn

from trainables.cache import cached_array, content_key, keep_record, read_record
from trainables.students import sources_hash

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VERSION = 1
_HEADER_BYTES = 8
_CONVERTERS = ("litert-torch", "torch")

Convert = Callable[[nn.Module], bytes]


@final
@dataclass(frozen=True)
class Source:
    """What a constant is made of: a tensor of the network, or one with the batch normalisation behind it folded in.

    `rule` is tensor, scaled (a convolution's weights), shift (its bias) or inverse (one over each
    deviation of a lone normalisation); `gate` of `gates` is the part of a recurrent layer's tensor that it is, and
    `axes` permute what is left of its shape without axes of length 1.
    """

    rule: str
    tensor: str
    norm: str = ""
    gate: int = 0
    gates: int = 1
    axes: tuple[int, ...] = ()


def converted_once(architecture: object, network: nn.Module, convert: Convert) -> bytes:
    """What `convert(network)` gives, from the template of `architecture`, which says what `convert` depends on.

    Converting takes seconds, most of them spent on a graph that no weight changes. The template is made with other
    weights, all distinct, and every constant in it must come from one source exactly, to the last bit; where one does
    not, or none at all, there is no template and every network is converted by itself; nor is one tried again for a
    network of the same layers.
    """
    versions = (_VERSION, *(version(name) for name in _CONVERTERS), sources_hash())
    untemplated = content_key("untemplated", versions, sorted({type(layer).__name__ for layer in network.modules()}))
    if read_record(untemplated) is not None:
        return convert(network)
    key = content_key("template", versions, architecture)
    stored = cached_array(key, lambda: np.frombuffer(_made(network, convert), np.uint8)).tobytes()
    length = int.from_bytes(stored[:_HEADER_BYTES], "little")
    sources = json.loads(stored[_HEADER_BYTES : _HEADER_BYTES + length])
    if sources is None:
        keep_record(untemplated, {})
        return convert(network)
    tensors = _tensors(network)
    template = bytearray(stored[_HEADER_BYTES + length :])
    for start, shape, source in sources:
        values = _value(tensors, Source(**{**source, "axes": tuple(source["axes"])})).reshape(shape)
        template[start : start + values.nbytes] = values.tobytes()
    return bytes(template)


def _made(network: nn.Module, convert: Convert) -> bytes:
    """The length of the sources, the sources as JSON (null: there is no template), the .tflite."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        example = with_distinct_weights(copy.deepcopy(network).cpu().eval())
    model = convert(example)
    try:
        sources: list[Any] | None = list(_sources(example, model))
    except LookupError:
        sources = None
    text = json.dumps(sources).encode()
    return len(text).to_bytes(_HEADER_BYTES, "little") + text + (model if sources is not None else b"")


def with_distinct_weights(network: nn.Module) -> nn.Module:
    """The network, no two of whose tensors are equal.

    The converter stores equal tensors once, and an untrained student's biases are all zero. Constants, which no state
    holds, stay as they are: those that are equal stay so in training. Variances grow; the others change as much up as
    down: what all weights of a wide layer gain together saturates a GRU's gates, and TFLM stops on a sum that is always
    0.
    """
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                least = 0.0 if name.endswith("running_var") else -0.5
                tensor.add_(torch.rand_like(tensor) + least, alpha=0.1)
    return network


def _sources(network: nn.Module, model: bytes) -> Iterator[tuple[int, tuple[int, ...], dict[str, Any]]]:
    """Place in the file, shape and source of every float constant; a `LookupError` where one has none, or several."""
    tensors = _tensors(network)
    known: dict[tuple[int, ...], list[Source]] = defaultdict(list)
    for source in _possible(network):
        known[tuple(sorted(_value(tensors, source).shape))].append(source)
    for start, shape, content in _constants(model):
        values = np.frombuffer(content, np.float32).reshape(shape).squeeze()
        found = [
            replace(source, axes=axes)
            for source in known[tuple(sorted(values.shape))]
            for axes in itertools.permutations(range(values.ndim))
            if np.array_equal(_value(tensors, source).transpose(axes), values)
        ]
        # A number that no weight has, such as the slope of an activation, is the same whatever the weights; so are the
        # zeros of a layer without bias.
        if found or (values.size > 1 and values.any()):
            yield start, shape, asdict(_only(found))


def _only(found: Sequence[Source]) -> Source:
    if len(found) != 1:
        raise LookupError
    return found[0]


def _possible(network: nn.Module) -> Iterator[Source]:
    norms = {name: m for name, m in network.named_modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)}
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            continue
        yield Source("tensor", name)
        for norm, module in norms.items():
            if name.endswith("weight") and tensor.ndim > 1 and len(tensor) == module.num_features:
                yield Source("scaled", name, norm)
    for norm in norms:
        yield Source("shift", "", norm)
        yield Source("inverse", "", norm)
    for name, layer in network.named_modules():
        gates = 4 if isinstance(layer, nn.LSTM) else 3 if isinstance(layer, nn.GRU) else 0
        for tensor, _ in layer.named_parameters() if gates else ():
            yield from (Source("tensor", f"{name}.{tensor}", "", gate, gates) for gate in range(gates))


def _value(tensors: dict[str, NDArray[np.float32]], source: Source) -> NDArray[np.float32]:
    """In the order of the converter's own operations, so that the last bit agrees."""
    if source.rule == "tensor":
        values = tensors[source.tensor]
        values = np.split(values, source.gates)[source.gate] if source.gates > 1 else values
    else:
        gamma, beta, mean, inverse = (
            tensors[f"{source.norm}.{name}"] for name in ("weight", "bias", "running_mean", "inverse_deviation")
        )
        if source.rule == "shift":
            values = (np.float32(0) - mean) * inverse * gamma + beta
        elif source.rule == "inverse":
            values = inverse
        else:
            weights = tensors[source.tensor]
            behind = (-1, *[1] * (weights.ndim - 1))
            values = weights * inverse.reshape(behind) * gamma.reshape(behind)
    values = values.squeeze()
    return np.ascontiguousarray(values.transpose(source.axes) if source.axes else values)


def _tensors(network: nn.Module) -> dict[str, NDArray[np.float32]]:
    found = {name: tensor.detach().cpu().float().numpy() for name, tensor in network.state_dict().items()}
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            variance = found[f"{name}.running_var"] + np.float32(module.eps)
            found[f"{name}.inverse_deviation"] = np.float32(1) / np.sqrt(variance)
    return found


def _constants(model: bytes) -> Iterator[tuple[int, tuple[int, ...], bytes]]:
    """Where each float tensor's values begin in the file, its shape, and the values."""
    root = schema.Model.GetRootAs(model, 0)
    for graph in (root.Subgraphs(i) for i in range(root.SubgraphsLength())):
        for tensor in (graph.Tensors(i) for i in range(graph.TensorsLength())):
            buffer = root.Buffers(tensor.Buffer())
            if tensor.Type() != schema.TensorType.FLOAT32 or not buffer.DataLength():
                continue
            start = buffer._tab.Vector(buffer._tab.Offset(4))
            shape = tuple(int(tensor.Shape(i)) for i in range(tensor.ShapeLength()))
            yield start, shape, model[start : start + buffer.DataLength()]
