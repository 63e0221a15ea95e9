"""A student in evaluation mode as a graph of operators, batch normalisation folded as the converter folds it."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any, cast, final

import torch
from torch import Tensor, fx, nn

from trainables.fake_quantization import folded_bias, folded_weight

if TYPE_CHECKING:
    from collections.abc import Iterator

ATEN = torch.ops.aten
CONVOLUTIONS = (ATEN.conv1d.default, ATEN.conv2d.default)
WEIGHTED = (*CONVOLUTIONS, ATEN.linear.default)
STUDENT = "student"


def folded_graph(module: nn.Module, inputs: tuple[Tensor, ...]) -> fx.Graph:
    """The graph of a module for any batch, its weights read from attribute `student` of whatever runs the graph.

    `inputs` are examples, each with a batch of at least 2 first. Dropout is left out; a hard sigmoid becomes a sum, a
    clipping and a product, a batch normalisation that follows no convolution four operators: so the values inside are
    those of the .tflite.
    """
    program = _exported(module, inputs)
    return _Folding(program).graph


def _exported(module: nn.Module, inputs: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    logging.getLogger("torch.export").setLevel(logging.ERROR)
    plain = copy.deepcopy(module).to("cpu", memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    batch = torch.export.Dim("batch", min=1, max=1 << 20)
    shapes: Any = tuple({0: batch} for _ in inputs)
    if len(inputs) > 1:
        # The step of a streaming student takes its states as *states.
        shapes = (shapes[0], shapes[1:])
    return torch.export.export(plain, inputs, dynamic_shapes=shapes)


@final
class _Folding:
    """One walk over an exported program."""

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        signature = program.graph_signature
        if signature.inputs_to_lifted_tensor_constants:
            raise ValueError(f"student: its graph holds constants {signature.inputs_to_lifted_tensor_constants}")
        self.names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self.graph = fx.Graph()
        # Before all else, so that a GraphModule shares the student instead of copying the weights that it reads.
        self.graph.create_node("get_attr", STUDENT)
        self.seen: dict[fx.Node, Any] = {}
        for node in program.graph.nodes:
            self.seen[node] = self._taken(node)

    def _taken(self, node: fx.Node) -> Any:
        if node.op == "placeholder" and node.name in self.names:
            return self.graph.create_node("get_attr", f"{STUDENT}.{self.names[node.name]}")
        rewrite = _REWRITES.get(node.target) if node.op == "call_function" else None
        if rewrite is not None:
            return rewrite(self, node)
        return self.graph.node_copy(node, lambda argument: self.seen[argument])

    def argument(self, node: fx.Node, position: int) -> Any:
        given = node.args[position] if position < len(node.args) else None
        return self.seen[given] if isinstance(given, fx.Node) else given

    def convolution(self, node: fx.Node) -> fx.Node:
        normalised = _folded_into(node)
        if normalised is None:
            return self.graph.node_copy(node, lambda argument: self.seen[argument])
        data, weight, bias, *rest = (self.argument(node, at) for at in range(max(3, len(node.args))))
        gamma, beta, mean, variance = (self._early(part) for part in normalised.args[1:5])
        epsilon = normalised.args[7]
        weight = self.graph.call_function(folded_weight, (weight, gamma, variance, epsilon))
        bias = self.graph.call_function(folded_bias, (bias, gamma, beta, mean, variance, epsilon))
        return self.graph.call_function(node.target, (data, weight, bias, *rest), node.kwargs)  # type: ignore[arg-type]

    def batch_norm(self, node: fx.Node) -> Any:
        data, gamma, beta, mean, variance = (self.argument(node, at) for at in range(5))
        before = cast("fx.Node", node.args[0])
        if before.target in CONVOLUTIONS and _folded_into(before) is node:
            return data
        graph, epsilon = self.graph, node.args[7]
        centred = graph.call_function(torch.sub, (data, graph.call_function(_per_channel, (mean,))))
        deviation = graph.call_function(_inverse_deviation, (variance, epsilon))
        scaled = graph.call_function(torch.mul, (centred, deviation))
        weighed = graph.call_function(torch.mul, (scaled, graph.call_function(_per_channel, (gamma,))))
        return graph.call_function(torch.add, (weighed, graph.call_function(_per_channel, (beta,))))

    def hard_sigmoid(self, node: fx.Node) -> fx.Node:
        raised = self.graph.call_function(torch.add, (self.argument(node, 0), 3.0))
        clipped = self.graph.call_function(torch.clamp, (raised, 0.0, 6.0))
        return self.graph.call_function(torch.mul, (clipped, 1 / 6))

    def dropout(self, node: fx.Node) -> Any:
        return self.argument(node, 0)

    def _early(self, argument: Any) -> fx.Node:
        # Weights are placeholders, all of which come before any operator.
        return cast("fx.Node", self.seen[argument])


_REWRITES: dict[Any, Any] = {
    **dict.fromkeys(CONVOLUTIONS, _Folding.convolution),
    ATEN.batch_norm.default: _Folding.batch_norm,
    ATEN.hardsigmoid.default: _Folding.hard_sigmoid,
    ATEN.dropout.default: _Folding.dropout,
}


def _folded_into(convolution: fx.Node) -> fx.Node | None:
    users = list(convolution.users)
    return users[0] if len(users) == 1 and users[0].target is ATEN.batch_norm.default else None


def _per_channel(values: Tensor) -> Tensor:
    return values[:, None, None]


def _inverse_deviation(variance: Tensor, epsilon: float) -> Tensor:
    return _per_channel(torch.rsqrt(variance + epsilon))


def weighted(graph: fx.Graph) -> Iterator[fx.Node]:
    """Convolutions and linear layers; their second argument is the weight [outputs, ...]."""
    return (node for node in graph.nodes if node.op == "call_function" and node.target in WEIGHTED)


def runnable(graph: fx.Graph, student: nn.Module, **others: nn.Module) -> fx.GraphModule:
    """The graph as a module that shares the weights of `student`, and finds `others` under their names."""
    root = nn.Module()
    root.student = student
    for name, module in others.items():
        setattr(root, name, module)
    return fx.GraphModule(root, copy.deepcopy(graph))
