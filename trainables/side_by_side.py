"""Networks of one architecture run at once: their weights stacked, each on a batch of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from trainables.stacked_gru import WIDEST, stacked_gru

if TYPE_CHECKING:
    from trainables.draws import Draws

Listen = Callable[[nn.Module, Tensor], Any]
# Device types on which a frame of a small GRU takes a dozen operators; others have one kernel for all frames.
FRAME_BY_FRAME = frozenset({"cpu"})
# What torch.nn's recurrent layers call; vmap has no rule for them.
RECURRENT = (torch.gru, torch.lstm)


def heard_by_all(
    network: nn.Module,
    listen: Listen,
    weights: Mapping[str, Tensor],
    batches: Sequence[Tensor],
    draws: Sequence[Draws],
) -> list[Any]:
    """What `listen(network, batch)` gives with each member's weights on its own batch, as if one after another.

    `weights` are parameters and buffers of `network` by name, those of all members stacked [members, ...]; running
    statistics are updated in place. Batches [clips, ...] may differ in their clips: short ones are padded, and what is
    padded is neither heard nor counted. Dropout takes each member's own `draws`.
    """
    counts = [len(batch) for batch in batches]
    features = nn.utils.rnn.pad_sequence(list(batches), batch_first=True)
    there = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
    ragged = min(counts) < max(counts)
    spec: list[pytree.TreeSpec] = []

    def one(member: Mapping[str, Tensor], clips: Tensor, there: Tensor) -> list[Tensor]:
        with _Stacked(counts, draws, there if ragged else None):
            heard = functional_call(_Listening(network, listen), dict(member), (clips,))
        leaves, shape = pytree.tree_flatten(heard)
        spec[:] = [shape]
        return leaves

    named = {f"network.{name}": stacked for name, stacked in weights.items()}
    leaves = vmap(one, randomness="error")(named, features, there.to(features.device))
    apart = zip(*(leaf.unbind() for leaf in leaves), strict=True)
    return [
        pytree.tree_unflatten([leaf[:count] for leaf in own], spec[0]) for own, count in zip(apart, counts, strict=True)
    ]


@final
class _Listening(nn.Module):
    """A network heard as `listen` does, as a module: only of one can the weights be given in a call."""

    def __init__(self, network: nn.Module, listen: Listen) -> None:
        super().__init__()
        self.network, self._listen = network, listen

    def forward(self, features: Tensor) -> Any:
        """As `listen`."""
        return self._listen(self.network, features)


@final
class _Stacked(TorchFunctionMode):
    """Does what vmap has no rule for, or no quick one, and what depends on which member it is."""

    def __init__(self, counts: Sequence[int], draws: Sequence[Draws], there: Tensor | None) -> None:
        """`there` [clips] says which clips are not padding, None where none is."""
        super().__init__()
        self._counts, self._draws, self._there = counts, draws, there

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.dropout:
            return self._dropout(*args, **kwargs)
        if func is functional.batch_norm and self._there is not None:
            return _batch_norm_of(self._there, *args, **kwargs)
        if func in RECURRENT:
            return _recurrent(func, *args)
        return func(*args, **kwargs)

    def _dropout(self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or not p:
            return input
        return input * _behind_vmap(partial(_noise, p, self._counts, self._draws), input.detach())


@final
class _BehindVmap(torch.autograd.Function):
    """Works on the stacked tensors themselves; what is done with them counts for the gradient as ever."""

    @staticmethod
    def forward(*args: Any) -> Any:
        """Never: all is stacked."""
        raise AssertionError

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing to keep."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, work: Callable[..., Tensor], *args: Tensor) -> tuple[Tensor, int]:
        """What `work` gives, stacked, for arguments [members, ...]."""

        def of_all(arg: Tensor, at: int | None) -> Tensor:
            return arg.expand(info.batch_size, *arg.shape) if at is None else arg.movedim(at, 0)

        return work(*map(of_all, args, in_dims[1:])), 0


def _behind_vmap(work: Callable[..., Tensor], *args: Tensor) -> Tensor:
    """What `work` makes of the stacked tensors behind these."""
    made: Tensor = _BehindVmap.apply(work, *args)  # type: ignore[no-untyped-call]
    return made


def _by_turns(call: Callable[..., Tensor], *args: Tensor) -> Tensor:
    """One operator, member after member."""
    return torch.stack([call(*own) for own in zip(*(arg.unbind() for arg in args), strict=True)])


def _noise(p: float, counts: Sequence[int], draws: Sequence[Draws], input: Tensor) -> Tensor:
    """What dropout multiplies by, from each member's own random numbers; padding is multiplied by 0."""
    noise = torch.zeros_like(input)
    # Maps of one that trains alone lie channels last in memory, and random numbers fall in that order.
    order = torch.channels_last if input.dim() == 5 else torch.contiguous_format
    for own, count, draw in zip(noise, counts, draws, strict=True):
        with draw.used():
            own[:count] = functional.dropout(torch.ones_like(own[:count], memory_format=order), p)
    return noise


def _recurrent(func: Any, input: Tensor, states: Any, weights: Sequence[Tensor], *settings: Any) -> Any:
    bias, layers, dropout, _, bidirectional, _ = settings
    assert (bias, dropout) == (True, 0.0), settings
    units = weights[1].shape[1]
    if func is torch.gru and units <= WIDEST and not bidirectional and input.device.type in FRAME_BY_FRAME:
        work = partial(_layers, layers)
    else:
        # A kernel for all frames is worth more than a step for all members.
        work = partial(_by_turns, partial(_kernel, func, states, settings))
    heard = _behind_vmap(work, input, *weights)
    # No student reads the last states.
    return (heard, *states) if isinstance(states, tuple) else (heard, states)


def _kernel(func: Any, states: Any, settings: Sequence[Any], input: Tensor, *weights: Tensor) -> Tensor:
    heard: Tensor = func(input, states, weights, *settings)[0]
    return heard


def _layers(count: int, input: Tensor, *weights: Tensor) -> Tensor:
    return stacked_gru(input, [weights[at : at + 4] for at in range(0, 4 * count, 4)])


def _batch_norm_of(
    there: Tensor,
    input: Tensor,
    running_mean: Tensor,
    running_variance: Tensor,
    weight: Tensor,
    bias: Tensor,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    """Batch normalisation by the statistics of the clips that are `there` [batch], which the running ones follow."""
    assert training
    one, axes = (1, -1, *(1 for _ in input.shape[2:])), (0, *range(2, input.dim()))
    given, input = input.dtype, input.to(weight.dtype)
    kept = there.view(-1, *(1 for _ in input.shape[1:])).to(input.dtype)
    count = kept.sum() * math.prod(input.shape[2:])
    mean = (input * kept).sum(axes) / count
    centred = (input - mean.view(one)) * kept
    variance = centred.square().sum(axes) / count
    with torch.no_grad():
        running_mean.mul_(1 - momentum).add_(momentum * mean)
        running_variance.mul_(1 - momentum).add_(momentum * variance * count / (count - 1))
    return (centred * ((variance + eps).rsqrt() * weight).view(one) + bias.view(one)).to(given)
