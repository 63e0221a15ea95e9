"""Students that begin wider and lose their least important channels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from spaces.candidate import Student


def wider(student: Student, factor: float) -> Student:
    """The same architecture with `factor` times its width."""
    if "width" not in student.arguments:
        raise ValueError(f"prune_from: a {student.kind} has no width; use 1")
    return replace(student, arguments={**student.arguments, "width": round(int(student.arguments["width"]) * factor)})


def prune(wide: nn.Module, slim: nn.Module, example: Tensor) -> None:
    """Give `slim` the weights of those channels of `wide`, an architecture of its kind, that have the largest L1 norm.

    A channel counts in all layers that must lose it together: its filter, its batch normalisation, the filters that
    read it, and whatever a shortcut adds to it. `wide`, which hears an `example` batch, is cut down in place.
    """
    import torch_pruning

    wide.eval()
    importance = torch_pruning.importance.GroupMagnitudeImportance(p=1)
    graph = torch_pruning.DependencyGraph().build_dependency(wide, example)
    for name, wanted in _filters(slim).items():
        layer = wide.get_submodule(name)
        function = graph.get_pruner_of_module(layer).prune_out_channels
        every = graph.get_pruning_group(layer, function, list(range(_filters(wide)[name])))
        least = importance(every).argsort(stable=True)[: _filters(wide)[name] - wanted]
        if len(least):
            graph.get_pruning_group(layer, function, sorted(least.tolist())).prune()
    slim.load_state_dict(wide.state_dict())


def _filters(network: nn.Module) -> dict[str, int]:
    return {
        name: len(module.weight)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
