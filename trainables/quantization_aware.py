"""A student that trains on what INT8 leaves of its weights and activations."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, fx, nn

from export.scales import TrainedRanges
from trainables.conversion import runs_on_device
from trainables.fake_quantization import affine, rounded, rounded_weight
from trainables.folded_graph import folded_graph, runnable, weighted
from trainables.placement import place
from trainables.students.streaming import StreamingStudent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from export.operators import Quantization
    from trainables.placement import Placement

# A moving mean of the extremes lags behind logits that still grow, and cuts them off.
RELEASE = 0.01


@final
class ActivationRange(nn.Module):
    """The range of one or several tensors: while `collecting` it widens to whatever comes through.

    Afterwards it widens at once to the extremes of a training batch, and narrows towards them slowly.
    """

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.collecting = False
        for side in ("low", "high"):
            self.register_buffer(side, torch.zeros(()))

    def forward(self, values: Tensor) -> Tensor:
        """The same shape, as INT8 of this range holds it; unchanged while collecting."""
        if self.collecting:
            self._widen(values)
            return values
        if self.training:
            self._follow(values.detach())
        return rounded(values, *affine(self.low, self.high))

    def _widen(self, values: Tensor) -> None:
        low, high = torch.aminmax(values)
        self.low.copy_(torch.minimum(self.low, low))
        self.high.copy_(torch.maximum(self.high, high))

    def _follow(self, values: Tensor) -> None:
        low, high = torch.aminmax(values)
        self.low.copy_(torch.minimum(low, self.low.lerp(low.clamp(max=0.0), RELEASE)))
        self.high.copy_(torch.maximum(high, self.high.lerp(high.clamp(min=0.0), RELEASE)))


@final
class FixedScale(nn.Module):
    """A scale that the quantizer gives to whatever comes out of an operator, as of a sigmoid."""

    scale: Tensor
    zero_point: Tensor

    def __init__(self, quantization: Quantization) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(quantization.scales[0]), persistent=False)
        zero_point = torch.tensor(quantization.zero_points[0], dtype=torch.int32)
        self.register_buffer("zero_point", zero_point, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """The same shape, as INT8 holds it."""
        return rounded(values, self.scale, self.zero_point)


@final
class QuantizationAware(nn.Module):
    """A student whose weights and activations are rounded wherever its INT8 .tflite rounds them.

    Batch normalisation is folded with its running statistics, which stay as they are, and there is no dropout: training
    and evaluation give the same, but that ranges follow in training. The student's own weights are what is trained.
    """

    def __init__(self, student: nn.Module, frames: int, mels: int) -> None:
        super().__init__()
        module, inputs = runs_on_device(student, frames, mels)
        graph = folded_graph(module, tuple(tensor.repeat(2, *[1] * (tensor.dim() - 1)) for tensor in inputs))
        self.placement = place(student, graph, frames, mels)
        points = _inserted(graph, self.placement)
        self.body = runnable(graph, module, points=points)

    @property
    def student(self) -> nn.Module:
        """The network itself, whose weights it shares."""
        module = self.body.student
        student = module.student if hasattr(module, "student") else module
        assert isinstance(student, nn.Module)
        return student

    def forward(self, clips: Tensor) -> Tensor:
        """[batch, 1, frames, mels] to logits [batch, outputs], in float32 whatever else is cast."""
        with torch.autocast(clips.device.type, enabled=False):
            return self._rounded(clips)

    def _rounded(self, clips: Tensor) -> Tensor:
        student = self.student
        if not isinstance(student, StreamingStudent):
            return self._after(clips)[0]
        states = [state.to(clips.device) for state in student.initial_states(len(clips))]
        for frame in student.frames(clips.squeeze(1)):
            logits, *states = self._after(frame, *states)
        return logits

    def _after(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.body(*inputs)
        return outputs

    @torch.no_grad()
    def collect(self, clips: Tensor) -> None:
        """Set every range to the extremes that clips [n, 1, frames, mels] produce."""
        points = list(self._ranges().values())
        for point in points:
            point.low.zero_()
            point.high.zero_()
            point.collecting = True
        self(clips)
        for point in points:
            point.collecting = False

    def trained_ranges(self) -> TrainedRanges:
        """The range of every .tflite tensor that one decides about."""
        ranges = {number: (float(point.low), float(point.high)) for number, point in self._ranges().items()}
        placement = self.placement
        bounds = {tensor: own for number, own in ranges.items() for tensor in placement.tensors[number]}
        return TrainedRanges(placement.shapes, bounds)

    def _ranges(self) -> dict[int, ActivationRange]:
        found = ((number, self.body.get_submodule(f"points.range_{number}")) for number in self.placement.tensors)
        return {number: point for number, point in found if isinstance(point, ActivationRange)}


def _inserted(graph: fx.Graph, placement: Placement) -> nn.ModuleDict:
    """Put rounding behind every weight and INT8 point of the graph; returns its modules by their names there."""
    for node in list(weighted(graph)):
        _round_weight(graph, node)
    points: dict[str, nn.Module] = {}
    for number in placement.tensors:
        points[f"range_{number}"] = ActivationRange()
        for node in _named(graph, {name for name, own in placement.ranges.items() if own == number}):
            _round_after(graph, node, f"points.range_{number}")
    for number, (name, quantization) in enumerate(placement.fixed.items()):
        points[f"fixed_{number}"] = FixedScale(quantization)
        for node in _named(graph, {name}):
            _round_after(graph, node, f"points.fixed_{number}")
    graph.lint()
    return nn.ModuleDict(points)


def _named(graph: fx.Graph, names: set[str]) -> Iterator[fx.Node]:
    # A state comes in as it went out, rounded already.
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    return (node for node in list(graph.nodes) if node.name in names and node not in inputs[1:])


def _round_weight(graph: fx.Graph, node: fx.Node) -> None:
    with graph.inserting_before(node):
        weight = graph.call_function(rounded_weight, (node.args[1],))
    node.update_arg(1, weight)


def _round_after(graph: fx.Graph, node: fx.Node, target: str) -> None:
    with graph.inserting_after(node):
        point = graph.call_module(target, (node,))
    node.replace_all_uses_with(point, delete_user_cb=lambda user: user is not point)
