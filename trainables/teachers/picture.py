"""Transformers that see a clip's spectrogram as a picture: ViT and AST of `transformers`, and a small ViT made here."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

from trainables.cache import content_key
from trainables.teachers.checkpoint import SAMPLE_RATE_HZ, content_hash, kind_of, open_checkpoint
from trainables.teachers.computing import here
from trainables.teachers.value_head import ValueRegressor

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALL = "small_vit"
KINDS = {"vit": "ViTModel", "audio-spectrogram-transformer": "ASTModel"}
NAMES = {"vit": "vit", "ast": "audio-spectrogram-transformer"}
# The spectrogram of winzerprince/sentio, whose rate is 22,050 Hz: as long windows and steps, as many bands.
WINDOW_SAMPLES, HOP_SAMPLES, MELS, LOW_HZ, HIGH_HZ, TOP_DB = 1486, 372, 128, 20.0, 8000.0, 80.0
_SPECTROGRAM = (WINDOW_SAMPLES, HOP_SAMPLES, MELS, LOW_HZ, HIGH_HZ, TOP_DB)
# Mean and spread in dB of what the synthesised music gives.
LEVELS = (-14.0, 15.0)
TOP_LAYERS = 4
BATCH = 16
# Of the default teacher: 0.8 million weights, trained whole on the corpus at hand.
SMALL_SHAPE = {"image_size": 96, "patch_size": 16, "hidden_size": 128, "num_hidden_layers": 4}
SMALL_HEADS, SMALL_MLP_RATIO, SMALL_VERSION = 4, 4, 2


class PictureTeacher(ABC):
    """A teacher before it is trained; `parameters` are those without a head, `pretrained` whether it knows anything."""

    name: str
    content_hash: str
    parameters: int
    pretrained: bool

    @abstractmethod
    def given(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """What its trained part is given for audio [clips, samples] in [-1, 1) at 16 kHz."""

    @abstractmethod
    def untrained(self, values: int, seed: int) -> ValueRegressor:
        """The part that is trained, with a fresh head for so many values, the same for the same seed."""


def open_picture_teacher(spec: str, clip_seconds: float) -> PictureTeacher:
    """The teacher that `--teacher` names: `small_vit`, `vit:NAME_OR_FOLDER` or `ast:NAME_OR_FOLDER`."""
    kind, _, source = spec.partition(":")
    if kind == SMALL and not source:
        return SmallViT()
    if kind in NAMES and source:
        return Pretrained(kind, source, clip_seconds)
    known = ", ".join(f"{name}:NAME_OR_FOLDER" for name in NAMES)
    raise ValueError(f"--teacher: {spec!r} is unknown; values are taught by {SMALL}, {known}")


@final
class SmallViT(PictureTeacher):
    """A small ViT with random weights, all of it to be trained; it is given pictures [clips, 1, height, width]."""

    pretrained = False

    def __init__(self) -> None:
        self.name = SMALL
        shape = (*SMALL_SHAPE.values(), SMALL_HEADS, SMALL_MLP_RATIO)
        self.content_hash = content_key(SMALL, SMALL_VERSION, shape, _SPECTROGRAM)
        self.parameters = sum(weight.numel() for weight in self._model().parameters())

    def given(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pictures."""
        return pictures(audio, SMALL_SHAPE["image_size"], levels=True)[:, None]

    def untrained(self, values: int, seed: int) -> ValueRegressor:
        """All of it."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model: Any = self._model()
            side = SMALL_SHAPE["image_size"] // SMALL_SHAPE["patch_size"]
            return ValueRegressor(model.embeddings, model.layers, model.layernorm, values, 1, (side, side, side))

    def _model(self) -> nn.Module:
        import transformers

        width = SMALL_SHAPE["hidden_size"]
        shape: dict[str, Any] = {**SMALL_SHAPE, "attn_implementation": "eager"}
        config = transformers.ViTConfig(
            **shape,
            num_attention_heads=SMALL_HEADS,
            intermediate_size=SMALL_MLP_RATIO * width,
            num_channels=1,
            hidden_dropout_prob=0.1,
        )
        return transformers.ViTModel(config, add_pooling_layer=False)


@final
class Pretrained(PictureTeacher):
    """A pretrained transformer, its last `TOP_LAYERS` to be trained; these are given tokens [clips, tokens, width]."""

    pretrained = True

    def __init__(self, kind: str, source: str, clip_seconds: float) -> None:
        self.name = f"{kind}:{source}"
        found = kind_of(self.name, source)
        if found != NAMES[kind]:
            raise ValueError(f"--teacher: {self.name} holds a {found}, not a {kind}")
        checkpoint = open_checkpoint(self.name, source, KINDS[found], hears=kind == "ast")
        missing = sorted(name for name in checkpoint.missing if not name.startswith("pooler."))
        if missing:
            raise ValueError(f"--teacher: {self.name} holds no whole {kind}: {missing[0]} is missing")
        # The faster ways to compute attention give no maps.
        checkpoint.model.set_attn_implementation("eager")
        self._model, self._kind, self._extractor = checkpoint.model, kind, checkpoint.extractor
        self.computing = here()
        self.parameters = sum(weight.numel() for weight in self._model.parameters())
        settings = self._extractor.to_json_string() if kind == "ast" else str(_SPECTROGRAM)
        self.content_hash = content_hash(self._model, f"{settings} {TOP_LAYERS} {self.computing.precision}")
        self._grid = self._patches(clip_seconds)

    @torch.no_grad()
    def given(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the layers below the trained ones leave."""
        parts = []
        self._model.to(self.computing.device)
        below = len(self._model.layers) - self._trained
        for at in range(0, len(audio), BATCH):
            seen = self._inputs(audio[at : at + BATCH]).to(self.computing.device)
            with self.computing.mixed():
                tokens = self._model.embeddings(seen)
                for layer in self._model.layers[:below]:
                    tokens = layer(tokens, None)
            parts.append(tokens.float().cpu().numpy())
        self._model.cpu()
        return np.concatenate(parts)

    def untrained(self, values: int, seed: int) -> ValueRegressor:
        """Copies of its last layers and of the norm behind them."""
        model = self._model
        layers = nn.ModuleList(copy.deepcopy(layer) for layer in model.layers[-self._trained :])
        class_tokens = 1 if self._kind == "vit" else 2
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return ValueRegressor(
                nn.Identity(), layers, copy.deepcopy(model.layernorm), values, class_tokens, self._grid
            )

    @property
    def _trained(self) -> int:
        return min(TOP_LAYERS, len(self._model.layers))

    def _inputs(self, audio: NDArray[np.float32]) -> Tensor:
        if self._kind == "ast":
            heard = self._extractor(list(audio), sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
            return heard.input_values  # type: ignore[no-any-return]
        config = self._model.config
        seen = torch.from_numpy(pictures(audio, config.image_size))
        return seen.unsqueeze(1).expand(-1, config.num_channels, -1, -1)

    def _patches(self, clip_seconds: float) -> tuple[int, int, int]:
        """Bands, steps, and how many of the steps a clip lasts: AST hears ten seconds, whatever the clip's length."""
        config = self._model.config
        if self._kind == "vit":
            side = config.image_size // config.patch_size
            return side, side, side
        bands = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
        steps = (config.max_length - config.patch_size) // config.time_stride + 1
        return bands, steps, max(1, min(steps, round(100 * clip_seconds / config.time_stride)))


def pictures(audio: NDArray[np.float32], side: int, levels: bool = False) -> NDArray[np.float32]:
    """Spectrograms [clips, side, side], low bands first: mels in dB, of each clip at mean 0 and variance 1, resized.

    With `levels` all clips are shifted and scaled alike, so that loud ones stay brighter than soft ones.
    """
    mels = MelSpectrogram(
        SAMPLE_RATE_HZ, WINDOW_SAMPLES, WINDOW_SAMPLES, HOP_SAMPLES, LOW_HZ, HIGH_HZ, n_mels=MELS, norm=None
    )
    decibels = AmplitudeToDB(top_db=TOP_DB)
    parts = []
    for clip in torch.from_numpy(np.ascontiguousarray(audio)):
        energy = decibels(mels(clip))
        mean, spread = LEVELS if levels else (energy.mean(), energy.std().clamp_min(1e-5))
        energy = (energy - mean) / spread
        parts.append(functional.interpolate(energy[None, None], (side, side), mode="bilinear", antialias=True)[0, 0])
    result: NDArray[np.float32] = torch.stack(parts).numpy()
    return result
