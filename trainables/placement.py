"""Which values of a student's graph become INT8 tensors, and which range of the .tflite each of them has."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, fx, nn

from export.operators import Quantization
from export.scales import activation_tensors, deciders, state_pairs, tensor_values
from trainables.conversion import float_student, runs_on_device
from trainables.folded_graph import runnable
from trainables.students.streaming import StreamingStudent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

TOLERANCE = 1e-4
SEEDS = 8

Decider = int | Quantization | None


@dataclass(frozen=True)
class Placement:
    """INT8 points of a graph, by node name: the number of their range, or the scale that the quantizer fixes.

    A range is named by the number of the .tflite tensor that decides it; `tensors` are all that it decides about,
    `shapes` those of every tensor, `unmatched` the tensors whose values no node has.
    """

    ranges: Mapping[str, int]
    fixed: Mapping[str, Quantization]
    tensors: Mapping[int, tuple[int, ...]]
    shapes: tuple[tuple[int, ...], ...]
    unmatched: tuple[int, ...]


def place(student: nn.Module, graph: fx.Graph, frames: int, mels: int) -> Placement:
    """Where the converter puts activation tensors, found by values: with random weights no two tensors are alike.

    The graph is that of what runs on the device. The result depends on the architecture alone, not on the weights.
    """
    for seed in range(SEEDS):
        found = _placed(student, graph, frames, mels, seed)
        if found is not None:
            return found
    raise ValueError(f"student: under {SEEDS} seeds two of its tensors had the same values: no telling their ranges")


def _placed(student: nn.Module, graph: fx.Graph, frames: int, mels: int, seed: int) -> Placement | None:
    generator = torch.Generator().manual_seed(seed)
    example = _with_random_weights(student, generator)
    module, shapes = runs_on_device(example, frames, mels)
    inputs = tuple(torch.randn(shape.shape, generator=generator) for shape in shapes)
    model = float_student(example, frames, mels)
    sample = tuple(_as_converted(tensor, isinstance(student, StreamingStudent)) for tensor in inputs)
    decided = _with_one_range_per_state(deciders(model, sample), state_pairs(model))
    nodes = _first_with_values(_node_values(graph, module, inputs), tensor_values(model, sample))
    if _ambiguous(nodes, decided):
        return None
    return _placement(nodes, decided, tuple(tensor.shape for tensor in activation_tensors(model)))


def _as_converted(tensor: Tensor, streams: bool) -> NDArray[np.float32]:
    values: NDArray[np.float32] = (tensor if streams else tensor.permute(0, 2, 3, 1)).contiguous().numpy()
    return values


def _with_random_weights(student: nn.Module, generator: torch.Generator) -> nn.Module:
    example = copy.deepcopy(student).to("cpu", memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    constants = {name for name, _ in example.named_buffers() if "running" not in name}
    with torch.no_grad():
        for name, tensor in example.state_dict().items():
            if tensor.is_floating_point() and name not in constants:
                drawn = _random(tensor, generator)
                tensor.copy_(drawn.abs() + 0.5 if name.endswith("running_var") else drawn)
    return example  # type: ignore[no-any-return]


def _random(weight: Tensor, generator: torch.Generator) -> Tensor:
    # More above zero than below: a ReLU that lets nothing through would make tensors alike.
    spread = 1.0 if weight.dim() < 2 else 2.0 * float(weight[0].numel()) ** -0.5
    return (torch.rand(weight.shape, generator=generator) - 0.3) * spread


def _node_values(graph: fx.Graph, module: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, NDArray[np.float32]]:
    """What each node of the graph gives for these inputs, by its name, in the graph's order."""
    interpreter = fx.Interpreter(runnable(graph, module), garbage_collect_values=False)
    with torch.no_grad():
        interpreter.run(*inputs)
    return {
        node.name: interpreter.env[node].detach().numpy()
        for node in interpreter.graph.nodes
        if node.op != "get_attr" and isinstance(interpreter.env.get(node), Tensor)
    }


def _first_with_values(
    nodes: Mapping[str, NDArray[np.float32]], tensors: Sequence[NDArray[np.float32]]
) -> list[str | None]:
    """For each tensor the first node that holds the same values in whatever order: layouts differ, ranges do not."""
    ordered = {name: np.sort(values, axis=None) for name, values in nodes.items()}
    return [_first_alike(np.sort(values, axis=None), ordered) for values in tensors]


def _first_alike(values: NDArray[np.float32], nodes: Mapping[str, NDArray[np.float32]]) -> str | None:
    tolerance = TOLERANCE * max(float(np.abs(values).max()), 1e-6)
    alike = (
        name for name, own in nodes.items() if own.shape == values.shape and np.abs(own - values).max() <= tolerance
    )
    return next(alike, None)


def _with_one_range_per_state(decided: list[Decider], pairs: Sequence[tuple[int, int]]) -> list[Decider]:
    """A state is fed back as it is: what decides about its input is decided by its output's range."""
    for before, after in pairs:
        own, other = decided[before], decided[after]
        decided = [other if decider == own else decider for decider in decided]
    return decided


def _ambiguous(nodes: Sequence[str | None], decided: Sequence[Decider]) -> bool:
    claims = {(node, decider) for node, decider in zip(nodes, decided, strict=True) if node is not None}
    return len(claims) > len({node for node, _ in claims})


def _placement(
    nodes: Sequence[str | None], decided: Sequence[Decider], shapes: tuple[tuple[int, ...], ...]
) -> Placement:
    points = [(node, decider) for node, decider in zip(nodes, decided, strict=True) if node is not None]
    used = {decider for _, decider in points if isinstance(decider, int)}
    return Placement(
        ranges={node: decider for node, decider in points if isinstance(decider, int)},
        fixed={node: decider for node, decider in points if isinstance(decider, Quantization)},
        tensors={number: tuple(at for at, own in enumerate(decided) if own == number) for number in sorted(used)},
        shapes=shapes,
        unmatched=tuple(at for at, node in enumerate(nodes) if node is None),
    )
