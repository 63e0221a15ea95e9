"""A large CRUSE that teaches small ones: trained on the corpus on first use, or from a file of weights."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast, final

import numpy as np
import torch
from torch.nn.utils import vector_to_parameters

from spaces.candidate import Candidate, Distillation, MaskDistillation, Schedule, Student
from trainables.cache import cache_folder, cached_array, content_key, filled_array
from trainables.distil import Progress, teach
from trainables.mask_criterion import MaskCriterion
from trainables.mixture_features import clean_targets, noisy_features
from trainables.students import build_student
from trainables.students.cruse import Cruse
from trainables.teachers.computing import here
from trainables.training_set import TrainingSet

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from spaces.candidate import Scalar
    from spaces.front_end import FrontEnd
    from trainables.corpora.mixtures import Mixtures

NAME = "cruse"
VERSION = 1
PROGRESS = logging.getLogger(__name__)

Arguments = dict[str, "Scalar"]
# Estimated from the time of a step: eight minutes of one core, and for the source's hours. Never trained so long yet.
SMALL: Arguments = {"width": 8, "depth": 5, "top": 36, "groups": 2, "slope": 0.2}
LARGE: Arguments = {"width": 16, "depth": 5, "top": 122, "groups": 2, "slope": 0.2}
TRAINED: dict[str, tuple[Arguments, int]] = {NAME: (SMALL, 14), f"{NAME}:large": (LARGE, 30)}
CLIPS_AT_ONCE = 8


@final
@dataclass(frozen=True)
class Enhancer:
    """A frozen CRUSE whose weights lie in the cache under `key`; `name` is for people."""

    name: str
    arguments: Arguments
    key: str
    parameters: int
    content_hash: str

    def network(self, front_end: FrontEnd) -> Cruse:
        """The network, in evaluation mode and without gradients."""
        network = _untrained(self.arguments, front_end)
        vector_to_parameters(torch.from_numpy(np.array(self.weights())), network.parameters())
        return network.eval().requires_grad_(False)

    def weights(self) -> NDArray[np.float32]:
        """All of them in a row; a `RuntimeError` where this cache has none."""
        return cached_array(self.key, self._absent)

    def masks(self, mixtures: Mixtures, front_end: FrontEnd) -> NDArray[np.float16]:
        """Its masks of every mixture [mixtures, frames, bins], memory-mapped; computed once."""
        features = noisy_features(mixtures, front_end)

        @torch.no_grad()
        def fill(masks: NDArray[np.float16]) -> None:
            network = self.network(front_end)
            for at in range(0, len(masks), CLIPS_AT_ONCE):
                heard = torch.from_numpy(np.array(features[at : at + CLIPS_AT_ONCE]))
                masks[at : at + CLIPS_AT_ONCE] = network(heard.unsqueeze(1)).half().numpy()

        key = content_key("enhancer-masks", VERSION, self.content_hash, mixtures.key, front_end)
        return filled_array(key, features.shape, np.float16, fill)

    def _absent(self) -> NDArray[np.float32]:
        raise RuntimeError(f"cache: {self.key} is not there; the driver makes it and hands it to its workers")


def enhancer(
    spec: str, mixtures: Mixtures, front_end: FrontEnd, seed: int, score: Callable[[nn.Module], float]
) -> Enhancer:
    """The teacher that `spec` names: `cruse`, `cruse:large` or `cruse:PATH`; any other is a `ValueError`.

    The first two are trained on the corpus, once, and kept at their best epoch by `score`, higher being better; an
    interrupted training goes on from its last epoch. A file holds the state dict of a CRUSE, saved by torch.
    """
    if spec in TRAINED:
        return _trained(spec, mixtures, front_end, seed, score)
    if not spec.startswith(f"{NAME}:"):
        raise ValueError(f"--teacher: {spec!r} enhances no speech; use {', '.join(TRAINED)} or {NAME}:PATH")
    return _from_file(Path(spec.removeprefix(f"{NAME}:")), front_end)


def _trained(
    spec: str, mixtures: Mixtures, front_end: FrontEnd, seed: int, score: Callable[[nn.Module], float]
) -> Enhancer:
    arguments, epochs = TRAINED[spec]
    key = content_key("enhancer", VERSION, arguments, epochs, mixtures.key, front_end, seed)
    make = partial(_train, key, arguments, epochs, mixtures, front_end, seed, score)
    weights = cached_array(key, make)
    name = f"{NAME} of {len(weights):,} parameters, {epochs} epochs on {mixtures.corpus.name}"
    return Enhancer(name, arguments, key, len(weights), _hash(weights, arguments))


def _train(
    key: str,
    arguments: Arguments,
    epochs: int,
    mixtures: Mixtures,
    front_end: FrontEnd,
    seed: int,
    score: Callable[[nn.Module], float],
) -> NDArray[np.float32]:
    candidate = _candidate(arguments, front_end)
    targets = clean_targets(mixtures, front_end)
    data = TrainingSet(
        noisy_features(mixtures, front_end),
        targets,
        np.zeros((len(targets), 0), np.float32),
        mixtures.rows("train"),
        criterion=MaskCriterion,
    )
    torch.manual_seed(seed)
    network = _untrained(arguments, front_end).to(here().device)
    checkpoint = cache_folder() / f"{key}.checkpoint.pt"
    teach(
        network,
        data,
        candidate,
        epochs=epochs,
        seed=seed,
        validate=score,
        checkpoint=checkpoint,
        identity=key,
        on_epoch=partial(_say, epochs),
    )
    checkpoint.unlink(missing_ok=True)
    return _vector(network.cpu())


def _say(epochs: int, progress: Progress) -> None:
    row = progress.history[-1]
    PROGRESS.info("%s: epoch %d of %d, %.2f dB", NAME, progress.epoch, epochs, row["validation_score"])


def _candidate(arguments: Arguments, front_end: FrontEnd) -> Candidate:
    return Candidate(
        front_end,
        Student(NAME, arguments),
        Distillation(temperature=1.0, alpha=1.0),
        Schedule("flat_then_linear", peak_lr=2e-3, batch=16),
        masks=MaskDistillation("none"),
    )


def _untrained(arguments: Arguments, front_end: FrontEnd) -> Cruse:
    return cast("Cruse", build_student(Student(NAME, arguments), front_end, front_end.values_per_frame))


def _from_file(path: Path, front_end: FrontEnd) -> Enhancer:
    arguments, state = _read(path)
    network = _untrained(arguments, front_end)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"--teacher: {path} holds no CRUSE: {str(error).splitlines()[-1].strip()}") from error
    vector = _vector(network)
    content_hash = _hash(vector, arguments)
    key = content_key("enhancer-weights", content_hash)
    weights = cached_array(key, lambda: vector)
    return Enhancer(f"{NAME} of {len(weights):,} parameters, {path.name}", arguments, key, len(weights), content_hash)


def _read(path: Path) -> tuple[Arguments, dict[str, Tensor]]:
    """Settings, told by the shapes, and state of a CRUSE; its slope, which no shape tells, is the source's."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        channels = [len(state[name]) for name in state if name.startswith("encoder.") and name.endswith("weight")]
        groups = len([name for name in state if name.endswith("weight_hh_l0")])
        arguments: Arguments = {"width": channels[0], "depth": len(channels), "top": channels[-1], "groups": groups}
    # A file that was never written by torch fails as whatever its bytes happen to say.
    except Exception as error:
        raise ValueError(f"--teacher: {path} holds no state dict of a CRUSE, saved by torch") from error
    return arguments | {"slope": 0.2}, state


def _vector(network: nn.Module) -> NDArray[np.float32]:
    return np.concatenate([weights.detach().numpy().ravel() for weights in network.parameters()])


def _hash(weights: NDArray[np.float32], arguments: Arguments) -> str:
    digest = hashlib.sha256(repr(sorted(arguments.items())).encode())
    digest.update(np.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()[:16]
