"""A model of `transformers` with its feature extractor, from a hub name, a folder or a file of weights."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import safetensors
import safetensors.torch
import torch

SAMPLE_RATE_HZ = 16_000
SAFETENSORS = ".safetensors"
WEIGHTS = (SAFETENSORS, ".pt", ".pth", ".bin")
# Of a configuration, what only tells where it lay and who wrote it.
ELSEWHERE = {"_name_or_path", "transformers_version", "architectures", "dtype"}


@final
@dataclass(frozen=True)
class Checkpoint:
    """`model` in eval mode; `missing` weights of it are random numbers."""

    model: Any
    extractor: Any
    missing: frozenset[str]


def open_checkpoint(name: str, source: str, class_name: str, hears: bool = True) -> Checkpoint:
    """The model of `transformers.<class_name>` in `source`; what cannot be read is a `ValueError` that calls it `name`.

    `source` is a name on the hub, a folder made by `save_pretrained`, or a state dict in a .safetensors or .pt file,
    whose folder holds the configurations of model and feature extractor; the latter is None unless it `hears`.
    """
    import transformers

    path = Path(source)
    plain = path.suffix in WEIGHTS and path.is_file()
    kept = str(path.parent) if plain else source
    try:
        config = transformers.AutoConfig.from_pretrained(kept)
        extractor: Any = transformers.AutoFeatureExtractor.from_pretrained(kept) if hears else None
        model_class = getattr(transformers, class_name)
        model, loading = (
            _from_weights(path, model_class, config)
            if plain
            else model_class.from_pretrained(source, output_loading_info=True)
        )
    except (OSError, ValueError, RuntimeError, KeyError, safetensors.SafetensorError) as error:
        raise ValueError(f"--teacher: {name} cannot be loaded: {str(error).splitlines()[0]}") from error
    if hears and extractor.sampling_rate != SAMPLE_RATE_HZ:
        raise ValueError(f"--teacher: {name} hears {extractor.sampling_rate} Hz, and is to hear {SAMPLE_RATE_HZ}")
    return Checkpoint(model.eval(), extractor, frozenset(loading["missing_keys"]))


def kind_of(name: str, source: str) -> str:
    """The model_type of the configuration in `source`, such as wav2vec2."""
    import transformers

    path = Path(source)
    kept = path.parent if path.suffix in WEIGHTS and path.is_file() else source
    try:
        found: str = transformers.AutoConfig.from_pretrained(kept).model_type
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"--teacher: {name} cannot be loaded: {str(error).splitlines()[0]}") from error
    return found


def _from_weights(path: Path, model_class: Any, config: Any) -> tuple[Any, Any]:
    found = safetensors.torch.load_file(path) if path.suffix == SAFETENSORS else _plain_tensors(path)
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ValueError("it holds no state dict, names with tensors and nothing else")
    # As DataParallel writes them.
    state = {name.removeprefix("module."): value for name, value in found.items()}
    concrete = type(model_class.from_config(config)) if hasattr(model_class, "from_config") else model_class
    loaded: tuple[Any, Any] = concrete.from_pretrained(None, config=config, state_dict=state, output_loading_info=True)
    return loaded


def _plain_tensors(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    # A file that was never written by torch fails as whatever its bytes happen to say.
    except Exception as error:
        raise ValueError("it is no file of torch.save, or holds more than tensors") from error


def content_hash(model: Any, settings: str) -> str:
    """Of weights, configuration and `settings`: where a norm stands, say, no weight tells."""
    config = {name: value for name, value in model.config.to_dict().items() if name not in ELSEWHERE}
    digest = hashlib.sha256(f"{settings} {json.dumps(config, sort_keys=True, default=str)}".encode())
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
