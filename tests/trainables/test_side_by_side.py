"""Networks side by side against the same networks one after another: every student of every recipe."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from tests.trainables.points import RECIPES, point, students
from trainables import side_by_side
from trainables.assignment import candidate_of
from trainables.draws import Draws
from trainables.side_by_side import heard_by_all
from trainables.stacked_gru import WIDEST, stacked_gru
from trainables.students import build_student

CASES = [(recipe, student) for recipe in RECIPES for student in students(recipe)]
CPU = torch.device("cpu")


def said(network: nn.Module, features: Tensor) -> Tensor:
    outputs: Tensor = network(features)
    return outputs


def alone(network: nn.Module, batch: Tensor, seed: int) -> Tensor:
    torch.manual_seed(seed)
    return said(network, batch)


def beside(networks: Sequence[nn.Module], batches: Sequence[Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
    """What the networks say side by side, and their stacked weights and buffers."""
    weights = {
        name: torch.stack([dict(network.named_parameters())[name].detach() for network in networks]).requires_grad_()
        for name, _ in networks[0].named_parameters()
    }
    buffers = {
        name: torch.stack([dict(network.named_buffers())[name] for network in networks])
        for name, _ in networks[0].named_buffers()
    }
    draws = [Draws(seed, CPU) for seed in range(len(networks))]
    return heard_by_all(networks[0], said, weights | buffers, batches, draws), weights | buffers


@pytest.mark.parametrize("clips", [(6, 6, 6), (7, 6, 4)], ids=["even", "ragged"])
@pytest.mark.parametrize(("recipe", "student"), CASES)
def test_side_by_side_as_one_after_another(recipe: str, student: str, clips: tuple[int, ...]) -> None:
    assert_as_one_after_another(recipe, student, clips)


def test_so_is_a_gru_where_all_frames_are_one_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "FRAME_BY_FRAME", frozenset())
    assert_as_one_after_another("wakeword", "gru", (6, 6, 6))


def test_half_precision_as_on_a_gpu_stays_near() -> None:
    candidate = candidate_of("wakeword", point("wakeword", "tcn"))
    front_end = candidate.front_end
    torch.manual_seed(0)
    networks = [build_student(candidate.student, front_end, 2) for _ in range(2)]
    for clips in ((6, 6), (6, 4)):
        batches = [torch.randn(count, 1, front_end.frames, front_end.mels) for count in clips]
        exact, _ = beside(copy.deepcopy(networks), batches)
        with torch.autocast("cpu", torch.bfloat16):
            rounded, _ = beside(copy.deepcopy(networks), batches)
        for ours, theirs in zip(rounded, exact, strict=True):
            torch.testing.assert_close(ours.float(), theirs, rtol=0.1, atol=0.1)


def assert_as_one_after_another(recipe: str, student: str, clips: tuple[int, ...]) -> None:
    candidate = candidate_of(recipe, point(recipe, student))
    front_end, outputs = candidate.front_end, 161 if student == "cruse" else 2
    torch.manual_seed(0)
    # In float64, in which rounding cannot pass for a difference or hide one.
    networks = [build_student(candidate.student, front_end, outputs).double() for _ in clips]
    shape = (1, front_end.frames, front_end.values_per_frame)
    batches = [torch.randn(count, *shape, dtype=torch.float64) for count in clips]
    apart = [copy.deepcopy(network).to(memory_format=torch.channels_last) for network in networks]  # type: ignore[call-overload]
    wanted = [alone(network, batch, seed) for seed, (network, batch) in enumerate(zip(apart, batches, strict=True))]
    heard, stacked = beside(networks, batches)
    for ours, theirs in zip(heard, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    for outputs_of in (heard, wanted):
        torch.stack([own.square().mean() for own in outputs_of]).sum().backward()
    for number, network in enumerate(apart):
        size = max(float(weight.grad.abs().max()) for weight in network.parameters() if weight.grad is not None)
        for name, weight in network.named_parameters():
            theirs = torch.zeros_like(weight) if weight.grad is None else weight.grad
            gradient = stacked[name].grad
            assert gradient is not None
            torch.testing.assert_close(gradient[number], theirs, rtol=1e-8, atol=1e-8 * size)
        for name, buffer in network.named_buffers():
            torch.testing.assert_close(stacked[name][number], buffer)


def test_dropout_of_each_is_its_own() -> None:
    dropping = nn.Sequential(nn.Flatten(), nn.Dropout(0.5))
    ones = [torch.ones(4, 1, 8, 8)] * 2
    (first, second), _ = beside([dropping, dropping], ones)
    assert not torch.equal(first, second)
    assert torch.equal(first, alone(dropping, ones[0], 0))
    assert torch.equal(second, alone(dropping, ones[1], 1))


def test_draws_go_on_where_they_were_and_leave_no_trace() -> None:
    torch.manual_seed(5)
    whole, after = torch.rand(6), torch.rand(2)
    draws = Draws(5, CPU)
    torch.manual_seed(5)
    parts = []
    for _ in range(2):
        with draws.used():
            parts.append(torch.rand(3))
    assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(torch.rand(6), whole), "nobody else's numbers were touched"
    assert torch.equal(torch.rand(2), after)


def test_grus_of_any_depth() -> None:
    torch.manual_seed(0)
    networks = [nn.GRU(5, 7, 3, batch_first=True) for _ in range(2)]
    frames = torch.randn(2, 4, 9, 5)
    names = [[f"{kind}_l{depth}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")] for depth in range(3)]
    weights = [[torch.stack([getattr(own, name) for own in networks]) for name in layers] for layers in names]
    wanted = torch.stack([network(own)[0] for network, own in zip(networks, frames, strict=True)])
    torch.testing.assert_close(stacked_gru(frames, weights), wanted)


def test_what_draws_in_another_way_is_refused() -> None:
    class Noisy(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            return features + torch.randn_like(features)

    with pytest.raises(RuntimeError, match="random"):
        beside([Noisy(), Noisy()], [torch.ones(2, 1, 4, 4)] * 2)


class Last(nn.Module):
    """A recurrent layer, heard at the last frame."""

    def __init__(self, layers: nn.GRU | nn.LSTM) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, features: Tensor) -> Tensor:
        heard: Tensor = self.layers(features.squeeze(1))[0][:, -1]
        return heard


@pytest.mark.parametrize(
    "layers",
    [
        lambda: nn.GRU(6, 8, 2, batch_first=True),
        lambda: nn.GRU(6, WIDEST + 1, batch_first=True),
        lambda: nn.GRU(6, 8, batch_first=True, bidirectional=True),
        lambda: nn.LSTM(6, 8, 2, batch_first=True),
        lambda: nn.LSTM(6, 8, batch_first=True, bidirectional=True),
    ],
    ids=["gru", "wide gru", "bidirectional gru", "lstm", "bidirectional lstm"],
)
def test_recurrent_layers(layers: Callable[[], nn.GRU | nn.LSTM]) -> None:
    networks = [Last(layers()) for _ in range(2)]
    batches = [torch.randn(3, 1, 10, 6), torch.randn(2, 1, 10, 6)]
    heard, _ = beside(networks, batches)
    for own, network, batch in zip(heard, networks, batches, strict=True):
        torch.testing.assert_close(own, said(network, batch))
