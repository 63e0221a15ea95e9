"""Wav2Tiny: seven 3x3 convolutions over log-mels and a pool over time (arXiv 2408.13920; the 15,879-parameter net)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.functional import melscale_fbanks

from trainables.students.layers import Halve, conv_block

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spaces.candidate import Scalar
    from spaces.front_end import FrontEnd

DROPOUT = 0.2
POOLS = ("mean", "attention", "gram")

# The published front end: 4 ms windows every 2 ms, 26 mels.
N_FFT, HOP, MELS, WIDTH = 64, 32, 26, 13
RATE_HZ = 16_000


def build(arguments: Mapping[str, Scalar], front_end: FrontEnd, outputs: int) -> nn.Module:
    """`width` channels throughout and one of `POOLS`; width 13, mean and 26 mels are the published trunk and head.

    The published net normalises the waveform and computes its own spectrogram: on the chip the firmware's front end
    takes their place. `Published` is the whole net.
    """
    width = int(arguments["width"])
    return nn.Sequential(trunk(width), pooled_linear(str(arguments["pool"]), width, front_end.mels, outputs))


def trunk(width: int) -> nn.Sequential:
    """[batch, 1, frames, mels] to [batch, width, frames / 2, mels / 2], both rounded up."""
    before = [conv_block(inputs, width, (3, 3), (1, 1)) for inputs in (1, width, width)]
    after = [conv_block(width, width, (3, 3), (1, 1)) for _ in range(4)]
    drops = [nn.Dropout(DROPOUT), nn.Dropout(DROPOUT)]
    return nn.Sequential(*before, Halve(), drops[0], *after, drops[1], nn.Conv2d(width, width, 1))


def pooled_linear(pool: str, width: int, mels: int, outputs: int) -> nn.Sequential:
    """Pool over time and a linear layer: the trunk's maps to [batch, outputs].

    Both are linear, so that the layer may come first, frame by frame; the mean over all that is left then needs no
    RESHAPE, in which the converter would fix the batch. An unknown pool is a `ValueError`.
    """
    rows = -(-mels // 2)
    if pool == "mean":
        return nn.Sequential(nn.Conv2d(width, outputs, (1, rows)), Mean())
    if pool == "attention":
        return nn.Sequential(Gated(width, rows), nn.Conv2d(width * rows, outputs, 1), Mean())
    if pool == "gram":
        return nn.Sequential(FrameAndGram(width, rows, outputs), Mean())
    raise ValueError(f"pool: {pool!r} is unknown; there are {', '.join(POOLS)}")


@final
class Gated(nn.Module):
    """Attention over time before the mean: two linear maps of each frame, one through a sigmoid that gates the other.

    The source takes the softmax over time instead. In INT8 its output has steps of 1/256, while the share of one of 62
    frames is 4/256; a sigmoid uses all of them.
    """

    def __init__(self, channels: int, rows: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(channels, channels * rows, (1, rows))
        self.value = nn.Conv2d(channels, channels * rows, (1, rows))

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, channels, frames, rows] to [batch, channels * rows, frames, 1]."""
        gated: Tensor = torch.sigmoid(self.gate(maps)) * self.value(maps)
        return gated


@final
class FrameAndGram(nn.Module):
    """A linear layer of each frame and of its Gram matrix: the products of the channels' means over its rows.

    Of the symmetric matrix one triangle is kept, as products between two selections of channels: BATCH_MATMUL would
    keep transposed copies in the arena.
    """

    left: Tensor
    right: Tensor

    def __init__(self, channels: int, rows: int, outputs: int) -> None:
        super().__init__()
        for name, chosen in zip(("left", "right"), torch.triu_indices(channels, channels), strict=True):
            selection = functional.one_hot(chosen, channels).float()[..., None, None]
            self.register_buffer(name, selection, persistent=False)
        self.of_frame = nn.Conv2d(channels, outputs, (1, rows))
        self.of_gram = nn.Conv2d(len(self.left), outputs, 1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, channels, frames, rows] to [batch, outputs, frames, 1]."""
        means = functional.avg_pool2d(maps, (1, maps.shape[3]))
        products = functional.conv2d(means, self.left) * functional.conv2d(means, self.right)
        total: Tensor = self.of_frame(maps) + self.of_gram(products)
        return total


@final
class Mean(nn.Module):
    """Mean over the whole map."""

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, channels, height, width] to [batch, channels]."""
        return torch.flatten(functional.adaptive_avg_pool2d(maps, 1), 1)


@final
class Published(nn.Module):
    """The published net whole, for the record: 5,082 frozen weights of its front end and 10,797 that are trained.

    Its hop of 2 ms needs two activations of 338 KB.
    """

    stft: Tensor
    filters: Tensor

    def __init__(self, outputs: int = 7) -> None:
        super().__init__()
        self.stft = nn.Parameter(_fourier(N_FFT), requires_grad=False)
        self.filters = nn.Parameter(_triangles(), requires_grad=False)
        self.net = nn.Sequential(trunk(WIDTH), pooled_linear("mean", WIDTH, MELS, outputs))

    def forward(self, audio: Tensor) -> Tensor:
        """float32 audio [batch, samples] at 16 kHz to logits [batch, outputs]."""
        logits: Tensor = self.net(torch.log(self.mel_energies(audio) + 1e-5).unsqueeze(1))
        return logits

    def mel_energies(self, audio: Tensor) -> Tensor:
        """Of each utterance at mean 0 and variance 1: [batch, samples] to [batch, frames, mels]."""
        normal = (audio - audio.mean(1, keepdim=True)) / (audio.std(1, keepdim=True) + 1e-7)
        real, imaginary = functional.conv1d(normal.unsqueeze(1), self.stft, stride=HOP).chunk(2, dim=1)
        return (real.square() + imaginary.square()).transpose(1, 2) @ self.filters


def _triangles() -> Tensor:
    with warnings.catch_warnings():
        # At 250 Hz between bins some of 26 triangles are empty on any scale.
        warnings.simplefilter("ignore")
        filters: Tensor = melscale_fbanks(N_FFT // 2 + 1, 0.0, RATE_HZ / 2, MELS, RATE_HZ)
    return filters


def _fourier(n_fft: int) -> Tensor:
    """Hann-windowed cosines, then sines, as filters of a convolution [2 * (n_fft / 2 + 1), 1, n_fft]."""
    turns = torch.arange(n_fft // 2 + 1)[:, None] * torch.arange(n_fft)[None] * (2 * torch.pi / n_fft)
    return (torch.cat([turns.cos(), -turns.sin()]) * torch.hann_window(n_fft)).unsqueeze(1)
