"""A conditional GAN of log-mel features: generator, discriminator and their training (winzerprince/sentio)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from numpy.typing import NDArray

LATENT = 100
HIDDEN = 512
GRID_CHANNELS = 64
# What each upsampling doubles: mels three times, frames four times, so that 16 x 81 cells hold 128 mels x 1,292 frames.
UPSAMPLINGS = (((2, 2), 128), ((2, 2), 64), ((2, 2), 32), ((2, 1), 1))
DISCRIMINATOR_CHANNELS = (32, 64, 128, 256)
SLOPE = 0.2


@final
@dataclass(frozen=True)
class GanSettings:
    """The source's: Adam, labels of .9 and .1, and noise on what the discriminator sees that falls to nothing.

    With `mismatched`, which the source has not, the discriminator is also shown real clips under others' conditions, as
    no match (Reed et al., arXiv 1605.05396). Without it the clips hardly carry their conditions: what ridge regressions
    trained on real clips read from them has a CCC of .08 and .17, with it one of .60 and .70 (synthesised music).
    """

    epochs: int = 15
    batch: int = 32
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    real_label: float = 0.9
    fake_label: float = 0.1
    instance_noise: float = 0.1
    mismatched: bool = True


@final
class Generator(nn.Module):
    """Noise [batch, 100] and conditions [batch, n] to features [batch, 1, frames, mels] in [-1, 1].

    A grid of 64 channels on an eighth of the mels and a sixteenth of the frames, four times upsampled and convolved,
    and cut to size. For the source's 1,292 frames of 128 mels that is its grid, 16 x 81 x 64.
    """

    def __init__(self, frames: int, mels: int, conditions: int) -> None:
        super().__init__()
        self.frames, self.mels = frames, mels
        self.grid = -(-frames // 16), -(-mels // 8)
        cells = GRID_CHANNELS * self.grid[0] * self.grid[1]
        self.spread = nn.Sequential(
            nn.Linear(LATENT + conditions, HIDDEN), nn.LeakyReLU(SLOPE), nn.Linear(HIDDEN, cells), nn.LeakyReLU(SLOPE)
        )
        layers: list[nn.Module] = []
        channels = GRID_CHANNELS
        for factors, wider in UPSAMPLINGS:
            layers += [nn.Upsample(scale_factor=factors), nn.Conv2d(channels, wider, 3, padding=1)]
            layers += [nn.BatchNorm2d(wider), nn.LeakyReLU(SLOPE)] if wider > 1 else [nn.Tanh()]
            channels = wider
        self.grow = nn.Sequential(*layers)

    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        """One clip for each row."""
        cells = self.spread(torch.cat([noise, condition], dim=1)).unflatten(1, (GRID_CHANNELS, *self.grid))
        grown: Tensor = self.grow(cells)[:, :, : self.frames, : self.mels]
        return grown


@final
class Discriminator(nn.Module):
    """A logit [batch] of features [batch, 1, frames, mels] being real and of their conditions [batch, n].

    Conditions are planes beside the features and join the fully connected layers again: where, the source leaves open.
    """

    def __init__(self, frames: int, mels: int, conditions: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1 + conditions
        for wider in DISCRIMINATOR_CHANNELS:
            layers += [nn.Conv2d(channels, wider, 4, 2, 1), nn.LeakyReLU(SLOPE)]
            channels, frames, mels = wider, frames // 2, mels // 2
        self.shrink = nn.Sequential(*layers, nn.Flatten())
        self.decide = nn.Sequential(
            nn.Linear(channels * frames * mels + conditions, HIDDEN), nn.LeakyReLU(SLOPE), nn.Linear(HIDDEN, 1)
        )

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """One logit for each clip."""
        planes = condition[:, :, None, None].expand(-1, -1, *features.shape[2:])
        seen = self.shrink(torch.cat([features, planes], dim=1))
        logits: Tensor = self.decide(torch.cat([seen, condition], dim=1)).squeeze(1)
        return logits


def trained_generator(
    features: NDArray[np.float32], conditions: NDArray[np.float32], settings: GanSettings, seed: int
) -> Generator:
    """A generator of clips like `features` [clips, frames, mels] in [-1, 1] under conditions like `conditions`.

    The same arguments give the same weights on one device. Fewer than 16 frames or mels are a `ValueError`.
    """
    frames, mels = features.shape[1:]
    if min(frames, mels) < 16:
        raise ValueError(f"synthetic clips: features of {frames} frames x {mels} mels are too small; 16 x 16 at least")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pair = Generator(frames, mels, conditions.shape[1]), Discriminator(frames, mels, conditions.shape[1])
        duel = _Duel(*pair, settings)
        for epoch in range(settings.epochs):
            order = np.random.default_rng([seed, 12, epoch]).permutation(len(features))
            for rows in np.array_split(order, max(1, round(len(order) / settings.batch))):
                real = torch.from_numpy(features[rows]).unsqueeze(1)
                duel.step(real, torch.from_numpy(conditions[rows]), 1 - epoch / settings.epochs)
    return pair[0].eval()


@torch.no_grad()
def generated(
    generator: Generator, conditions: NDArray[np.float32], random: np.random.Generator
) -> NDArray[np.float32]:
    """Features [clips, frames, mels] in [-1, 1] for `conditions` [clips, n]."""
    noise = torch.from_numpy(random.standard_normal((len(conditions), LATENT), np.float32))
    clips: NDArray[np.float32] = generator(noise, torch.from_numpy(conditions)).squeeze(1).numpy()
    return clips


@final
class _Duel:
    """Generator and discriminator with their optimizers."""

    def __init__(self, generator: Generator, discriminator: Discriminator, settings: GanSettings) -> None:
        self._generator, self._discriminator, self._settings = generator, discriminator, settings
        self._optimizers = [
            torch.optim.Adam(network.parameters(), settings.learning_rate, settings.betas)
            for network in (generator, discriminator)
        ]

    def step(self, real: Tensor, condition: Tensor, noise: float) -> None:
        """One step of the discriminator, one of the generator; `noise` is the share of the instance noise left."""
        settings, level = self._settings, noise * self._settings.instance_noise
        fake = self._generator(torch.randn(len(real), LATENT), condition)
        losses = [
            self._loss(real, condition, level, settings.real_label),
            self._loss(fake.detach(), condition, level, settings.fake_label),
        ]
        if settings.mismatched:
            losses.append(self._loss(real, condition.roll(1, dims=0), level, settings.fake_label))
        self._descend(1, torch.stack(losses).mean())
        self._descend(0, self._loss(fake, condition, level, settings.real_label))

    def _loss(self, features: Tensor, condition: Tensor, level: float, label: float) -> Tensor:
        logits = self._discriminator(features + level * torch.randn_like(features), condition)
        return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

    def _descend(self, number: int, loss: Tensor) -> None:
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        loss.backward()
        self._optimizers[number].step()
