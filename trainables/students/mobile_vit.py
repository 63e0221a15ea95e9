"""MobileViT-style students: a depthwise-separable patch embedding and a few transformer blocks, all in INT8."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.students.layers import GlobalPool
from trainables.value_losses import bin_centres

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spaces.candidate import Scalar
    from spaces.front_end import FrontEnd

EPSILON = 1e-6
DROPOUT = 0.1
ACTIVATIONS = {"relu": nn.ReLU, "hard_swish": nn.Hardswish}
POOLS = ("mean", "class_token")

# The net that winzerprince/sentio built, at 224 frames of 224 mels: 11,987,144 parameters. It shows the same map to
# three channels, filters each of them once, and so knows three numbers of every patch: a stem of 3. Its GELU has no
# kernel in TFLM; hard-swish is the nearest that has.
PUBLISHED: Mapping[str, Scalar] = {
    "dim": 384,
    "depth": 8,
    "heads": 6,
    "mlp_ratio": 3,
    "patch_frames": 16,
    "patch_mels": 16,
    "stem": 3,
    "activation": "hard_swish",
    "pool": "class_token",
    "affine": True,
    "bins": 1,
}


def build(arguments: Mapping[str, Scalar], front_end: FrontEnd, outputs: int) -> nn.Module:
    """Tokens of `dim` numbers, one for each patch of `patch_frames` by `patch_mels`, through `depth` blocks.

    Every one of the `outputs` is a value in [-1, 1]: the mean of a distribution over `bins`, or with one bin the tanh
    of a number. Arguments that do not go together are a `ValueError`.
    """
    frames, mels = int(arguments["patch_frames"]), int(arguments["patch_mels"])
    dim, heads = int(arguments["dim"]), int(arguments["heads"])
    activation, pool = str(arguments["activation"]), str(arguments["pool"])
    if dim % heads:
        raise ValueError(f"heads={heads} must divide dim={dim}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation: {activation!r} is unknown; there are {', '.join(ACTIVATIONS)}")
    if pool not in POOLS:
        raise ValueError(f"pool: {pool!r} is unknown; there are {', '.join(POOLS)}")
    if frames > front_end.frames or mels > front_end.values_per_frame:
        raise ValueError(
            f"patch_frames={frames}, patch_mels={mels}: a clip has {front_end.frames} frames of "
            f"{front_end.values_per_frame} values, which hold no patch"
        )
    return MobileViT(arguments, (front_end.frames // frames, front_end.values_per_frame // mels), outputs)


class Heard(NamedTuple):
    """What a student makes of a batch on its way.

    `values` [batch, outputs]; `logits` [batch, outputs, bins], None with one bin; after each block `tokens` [batch,
    patches, dim], and in it the attention `maps` [batch, patches, patches], averaged over heads, rows summing to 1.
    """

    values: Tensor
    logits: Tensor | None
    tokens: list[Tensor]
    maps: list[Tensor]


@final
class MobileViT(nn.Module):
    """Features [batch, 1, frames, mels] to values [batch, outputs].

    `grid` is how many patches follow each other in time, and how many lie above each other; `class_tokens` stand before
    those of the patches.
    """

    def __init__(self, arguments: Mapping[str, Scalar], grid: tuple[int, int], outputs: int) -> None:
        super().__init__()
        dim, activation = int(arguments["dim"]), ACTIVATIONS[str(arguments["activation"])]
        affine = bool(arguments["affine"])
        patch = (int(arguments["patch_frames"]), int(arguments["patch_mels"]))
        self.grid = grid
        self.class_tokens = int(arguments["pool"] == "class_token")
        self.patches = patch_embedding(patch, int(arguments["stem"]), dim, activation)
        count = math.prod(grid) + self.class_tokens
        self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, dim)) if self.class_tokens else None
        self.position = nn.Parameter(0.02 * torch.randn(1, count, dim))
        hidden = round(float(arguments["mlp_ratio"]) * dim)
        self.blocks = nn.ModuleList(
            Block(dim, int(arguments["heads"]), hidden, activation, affine) for _ in range(int(arguments["depth"]))
        )
        self.norm = TokenNorm(dim, affine)
        self.head = Head(dim, outputs, int(arguments["bins"]), activation)

    def forward(self, features: Tensor) -> Tensor:
        """As the class says."""
        return self.heard(features).values

    def heard(self, features: Tensor) -> Heard:
        """The values, and what led to them."""
        tokens = self.patches(features).permute(0, 2, 3, 1)
        tokens = tokens.reshape(tokens.shape[0], -1, tokens.shape[3])
        if self.class_token is not None:
            tokens = torch.cat([self.class_token.expand(tokens.shape[0], -1, -1), tokens], 1)
        tokens = tokens + self.position
        left, maps = [], []
        for block in self.blocks:
            tokens, weights = block(tokens)
            left.append(tokens[:, self.class_tokens :])
            maps.append(_of_patches(weights, self.class_tokens))
        tokens = self.norm(tokens)
        values, logits = self.head(tokens[:, 0] if self.class_tokens else _mean(tokens))
        return Heard(values, logits, left, maps)


def _of_patches(weights: Tensor, class_tokens: int) -> Tensor:
    """Maps [batch, heads, tokens, tokens] as `Heard` has them."""
    among = weights[:, :, class_tokens:, class_tokens:].mean(1)
    return among / among.sum(-1, keepdim=True).clamp_min(1e-9)


def patch_embedding(patch: tuple[int, int], stem: int, dim: int, activation: type[nn.Module]) -> nn.Sequential:
    """`stem` filters over each patch, mixed into `dim` channels: the one map is filtered depthwise, then pointwise."""
    return nn.Sequential(
        nn.Conv2d(1, stem, patch, patch, bias=False),
        nn.BatchNorm2d(stem),
        nn.Conv2d(stem, dim, 1, bias=False),
        nn.BatchNorm2d(dim),
        activation(),
    )


@final
class TokenLinear(nn.Conv2d):
    """A linear layer of every token as a pointwise convolution: ESP-NN runs that faster than FULLY_CONNECTED."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)

    def forward(self, input: Tensor) -> Tensor:
        """[batch, tokens, inputs] to [batch, tokens, outputs], in the memory order of both: nothing is transposed."""
        maps = super().forward(input.unsqueeze(2).permute(0, 3, 1, 2))
        return maps.permute(0, 2, 3, 1).squeeze(2)


@final
class TokenNorm(nn.Module):
    """Layer normalisation of every token [batch, tokens, dim].

    Means are convolutions onto one channel: TFLM computes MEAN on a reference kernel at 168 cycles an element. Without
    `affine` its scale and shift are left to the linear layer behind it.
    """

    share: Tensor

    def __init__(self, dim: int, affine: bool) -> None:
        super().__init__()
        self.register_buffer("share", torch.full((1, dim, 1, 1), 1 / dim), persistent=False)
        self.weight = nn.Parameter(torch.ones(dim)) if affine else None
        self.bias = nn.Parameter(torch.zeros(dim)) if affine else None

    def forward(self, tokens: Tensor) -> Tensor:
        """As torch's layer_norm."""
        centred = tokens - self._mean(tokens)
        normal = centred * torch.rsqrt(self._mean(centred * centred) + EPSILON)
        return normal if self.weight is None or self.bias is None else normal * self.weight + self.bias

    def _mean(self, tokens: Tensor) -> Tensor:
        maps = functional.conv2d(tokens.unsqueeze(2).permute(0, 3, 1, 2), self.share)
        return maps.permute(0, 2, 3, 1).squeeze(2)


@final
class Attention(nn.Module):
    """Self-attention of tokens [batch, tokens, dim]: what they become, and its maps [batch, heads, tokens, tokens]."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (TokenLinear(dim, dim) for _ in range(4))
        # In place of a division of every product: what is learnt may be scaled anyhow.
        with torch.no_grad():
            self.query.weight.mul_((dim // heads) ** -0.5)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """As the class says."""
        batch, count, dim = tokens.shape
        split = (batch, count, self.heads, dim // self.heads)
        query, value = (part(tokens).reshape(split).permute(0, 2, 1, 3) for part in (self.query, self.value))
        key = self.key(tokens).reshape(split).permute(0, 2, 3, 1)
        weights = torch.softmax(query @ key, -1)
        return self.out((weights @ value).permute(0, 2, 1, 3).reshape(batch, count, dim)), weights


@final
class Block(nn.Module):
    """Attention, then two linear layers of every token, each behind a normalisation and added to its input."""

    def __init__(self, dim: int, heads: int, hidden: int, activation: type[nn.Module], affine: bool) -> None:
        super().__init__()
        self.first_norm, self.second_norm = TokenNorm(dim, affine), TokenNorm(dim, affine)
        self.attention, self.dropout = Attention(dim, heads), nn.Dropout(DROPOUT)
        self.mlp = nn.Sequential(TokenLinear(dim, hidden), activation(), TokenLinear(hidden, dim), nn.Dropout(DROPOUT))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [batch, tokens, dim], as they were, and the attention's maps."""
        heard, weights = self.attention(self.first_norm(tokens))
        tokens = tokens + self.dropout(heard)
        return tokens + self.mlp(self.second_norm(tokens)), weights


@final
class Head(nn.Module):
    """[batch, dim] to values [batch, outputs], and to the logits [batch, outputs, bins] that they are the means of."""

    centres: Tensor

    def __init__(self, dim: int, outputs: int, bins: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(dim, dim // 2), activation())
        # One layer for each value rather than one that is cut apart.
        sizes = [outputs] if bins == 1 else [bins] * outputs
        self.logits = nn.ModuleList(nn.Linear(dim // 2, size) for size in sizes)
        self.register_buffer("centres", bin_centres(bins)[None], persistent=False)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor | None]:
        """As the class says; with one bin, the tanh of a number and no logits."""
        hidden = self.hidden(pooled)
        logits = [layer(hidden) for layer in self.logits]
        if self.centres.shape[1] == 1:
            return torch.tanh(logits[0]), None
        means = [functional.linear(torch.softmax(each, -1), self.centres) for each in logits]
        return torch.cat(means, 1), torch.stack(logits, 1)


def _mean(tokens: Tensor) -> Tensor:
    pooled: Tensor = GlobalPool()(tokens.unsqueeze(2).permute(0, 3, 1, 2))
    return pooled
