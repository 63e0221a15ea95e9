"""CRUSE: a convolutional U-net over frequency with parallel GRUs in its middle (arXiv 2101.09249, 2309.08144)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.students.gru import gru_step
from trainables.students.recurrent import gates_of
from trainables.students.streaming import StreamingStudent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spaces.candidate import Scalar
    from spaces.front_end import FrontEnd


def build(arguments: Mapping[str, Scalar], front_end: FrontEnd, outputs: int) -> nn.Module:
    """`depth` layers, the first of `width` channels, each of twice as many but at most `top`; `groups` GRUs.

    `slope` is that of the leaky ReLU below 0; a plain one, of slope 0, costs the device nothing.
    The sources state kernels, strides and parameters, 1.9 M, 0.35 M, 62 K and 30 K, but neither depth nor groups:
    `spaces.speech_enhancement.SIZES` has sizes of this family that are as large.
    """
    width, depth, top, groups = (int(arguments[key]) for key in ("width", "depth", "top", "groups"))
    channels = [min(width << layer, top) for layer in range(depth)]
    return Cruse(channels, groups, float(arguments["slope"]), outputs)


@final
class Cruse(StreamingStudent):
    """Log-power spectra to masks, frame by frame.

    States are what every layer heard one frame ago, [batch, 1, bins, channels], and the GRUs' outputs [batch, units].
    """

    every_frame = True

    def __init__(self, channels: list[int], groups: int, slope: float, bins: int) -> None:
        """Bins halve, rounded up, in every layer; the GRUs share the deepest one's channels among them."""
        super().__init__()
        self.bins = [bins]
        for _ in channels:
            self.bins.append(-(-self.bins[-1] // 2))
        ends = list(pairwise([1, *channels]))
        self.encoder = nn.ModuleList(Down(*pair) for pair in ends)
        self.down_activations = nn.ModuleList(LeakyRelu(own, slope) for own in channels)
        self.up_activations = nn.ModuleList(LeakyRelu(own, slope) for own in channels[:-1])
        self.bottleneck = ParallelGrus(channels[-1], self.bins[-1], groups)
        self.skips = nn.ModuleList(ChannelScale(own, own, 1, groups=own, bias=False) for own in channels)
        self.decoder = nn.ModuleList(Up(own, below, bins) for (below, own), bins in zip(ends, self.bins, strict=False))

    def forward(self, clips: Tensor) -> Tensor:
        """[batch, 1, frames, bins] to masks 0-1 [batch, frames, bins]."""
        return self.maps(clips)["mask"]

    def maps(self, clips: Tensor) -> dict[str, Tensor]:
        """What every layer gives, [batch, channels, frames, bins], by its name, and the `mask`, as `forward`."""
        found, maps = dict[str, Tensor](), clips
        for place, (layer, activation) in enumerate(zip(self.encoder, self.down_activations, strict=True)):
            maps = found[f"encoder_{place}"] = activation(layer(_with_last(maps)))
        maps = found["bottleneck"] = self.bottleneck(maps)
        for place, skip, layer in self._way_up():
            maps = self._active(place, layer(_with_last(maps + skip(found[f"encoder_{place}"]))))
            found[f"decoder_{place}"] = maps
        return found | {"mask": found.pop("decoder_0").squeeze(1).sigmoid()}

    def bins_of_maps(self) -> dict[str, int]:
        """How many bins each of `maps` has, without the mask."""
        depth = len(self.encoder)
        down = {f"encoder_{place}": self.bins[place + 1] for place in range(depth)}
        up = {f"decoder_{place}": self.bins[place] for place in range(1, depth)}
        return down | {"bottleneck": self.bins[-1]} | up

    def initial_states(self, batch: int) -> tuple[Tensor, ...]:
        """Zeros for the layers on the way down, for the GRUs, and for the layers on the way up."""
        down = [torch.zeros(batch, 1, bins, channels) for bins, channels in self._histories()]
        up = [torch.zeros(batch, 1, bins, channels) for bins, channels in self._histories(1)]
        return (*down[:-1], *self.bottleneck.initial_states(batch), *reversed(up))

    def step(self, frame: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """A frame [batch, bins] and the states to its mask [batch, bins] and the states after it."""
        depth = len(self.encoder)
        maps = frame.reshape(len(frame), 1, -1, 1)
        heard, skipped = list[Tensor](), list[Tensor]()
        for layer, activation, last in zip(self.encoder, self.down_activations, states, strict=False):
            heard.append(maps)
            skipped.append(activation(layer(_channels_first(torch.cat([last, maps], dim=3)))))
            maps = _channels_last(skipped[-1])
        maps, units = self.bottleneck.step(maps, states[depth : len(states) - depth])
        heard += units
        for (place, skip, layer), last in zip(self._way_up(), states[-depth:], strict=True):
            heard.append(maps + _channels_last(skip(skipped[place])))
            maps = self._active(place, layer.step(_channels_first(torch.cat([last, heard[-1]], dim=3))))
            maps = _channels_last(maps)
        return torch.flatten(maps, 1).sigmoid(), *heard

    def _active(self, place: int, maps: Tensor) -> Tensor:
        return cast("Tensor", self.up_activations[place - 1](maps)) if place else maps

    def _way_up(self) -> Iterable[tuple[int, nn.Module, Up]]:
        places = range(len(self.decoder))
        return reversed(list(zip(places, self.skips, cast("Iterable[Up]", self.decoder), strict=True)))

    def _histories(self, first: int = 0) -> list[tuple[int, int]]:
        """Bins and channels of the spectrum and of every layer's maps, from the `first` on."""
        channels = [1, *(cast("nn.Conv2d", layer).out_channels for layer in self.encoder)]
        return list(zip(self.bins, channels, strict=True))[first:]


@final
class ChannelScale(nn.Conv2d):
    """A factor for each channel, 1 at first: as a convolution, because ESP-NN has no product that broadcasts."""

    def reset_parameters(self) -> None:
        """Set every factor to 1."""
        nn.init.ones_(self.weight)


@final
class LeakyRelu(nn.Module):
    """A leaky ReLU as a sum and a depthwise convolution: the converter leaves the operator of that name in float32."""

    falls: Tensor

    def __init__(self, channels: int, slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.register_buffer("falls", torch.full((channels, 1, 1, 1), slope - 1), persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, channels, frames, bins] to the same shape."""
        if not self.slope:
            return functional.relu(maps)
        if self.training:
            return functional.leaky_relu(maps, self.slope)
        return maps + functional.conv2d(maps, self.falls, groups=len(self.falls)).relu()


@final
class Down(nn.Conv2d):
    """Kernel (2, 3) over time and frequency, stride (1, 2): this frame and the last one come as channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(2 * inputs, outputs, (1, 3), (1, 2), (0, 1))


@final
class Up(nn.ConvTranspose2d):
    """Kernel (2, 3) over time and frequency, stride (1, 2), to `bins`: this frame and the last one come as channels."""

    def __init__(self, inputs: int, outputs: int, bins: int) -> None:
        super().__init__(2 * inputs, outputs, (1, 3), (1, 2), (0, 1), output_padding=(0, 1 - bins % 2))
        self.bins = bins

    def step(self, maps: Tensor) -> Tensor:
        """[batch, 2 * inputs, 1, bins] to [batch, outputs, 1, bins above], as a plain convolution.

        It gives bins 2m and 2m + 1 side by side as channels of bin m: reading them in order is their place.
        """
        before, at, after = self.weight.unbind(3)
        even, odd = torch.stack([at, torch.zeros_like(at)], 3), torch.stack([after, before], 3)
        weight = torch.cat([even, odd], 1).transpose(0, 1)
        bias = None if self.bias is None else torch.cat([self.bias, self.bias])
        pairs = _channels_last(functional.conv2d(functional.pad(maps, (0, 1)), weight, bias))
        return _channels_first(pairs.reshape(len(maps), 1, -1, self.out_channels)[:, :, : self.bins])


@final
class ParallelGrus(nn.Module):
    """GRUs side by side, each of its own channels at every bin, as many out as in."""

    def __init__(self, channels: int, bins: int, groups: int) -> None:
        super().__init__()
        if not 1 <= groups <= channels:
            raise ValueError(f"groups: {groups} must lie within 1-{channels}, the channels of the deepest layer")
        self.groups = groups
        sizes = [bins * len(own) for own in torch.arange(channels).tensor_split(groups)]
        self.layers = nn.ModuleList(nn.GRU(size, size, batch_first=True) for size in sizes)

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, channels, frames, bins] to the same shape."""
        parts = _channels_last(maps).tensor_split(self.groups, dim=3)
        heard = [layer(part.flatten(2))[0] for layer, part in zip(self.layers, parts, strict=True)]
        return _channels_first(torch.cat([own.reshape(part.shape) for own, part in zip(heard, parts, strict=True)], 3))

    def initial_states(self, batch: int) -> tuple[Tensor, ...]:
        """Zeros [batch, units] for each GRU."""
        return tuple(torch.zeros(batch, cast("nn.GRU", layer).hidden_size) for layer in self.layers)

    def step(self, maps: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
        """[batch, 1, bins, channels] and the states to the same shape and the states after it."""
        parts = maps.tensor_split(self.groups, dim=3)
        after = [
            gru_step(part.flatten(1), state, gates_of(cast("nn.GRU", layer), 0))
            for layer, part, state in zip(self.layers, parts, states, strict=True)
        ]
        return torch.cat([own.reshape(part.shape) for own, part in zip(after, parts, strict=True)], 3), after


def _with_last(maps: Tensor) -> Tensor:
    """[batch, channels, frames, bins] with the frame before as further channels, first."""
    return torch.cat([functional.pad(maps, (0, 0, 1, -1)), maps], dim=1)


def _channels_last(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1)


def _channels_first(maps: Tensor) -> Tensor:
    return maps.permute(0, 3, 1, 2)
