"""A teacher of values for a whole corpus: trained here, cross-fitted, and what it shows kept in the cache."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from sklearn.model_selection import GroupKFold, KFold

from trainables.cache import Array, Mapped, cached_array, content_key, filled_array
from trainables.grids import TEACHER_GRID
from trainables.teachers.computing import here
from trainables.teachers.cross_fitted import units
from trainables.teachers.embedded import clip_samples, half, portions
from trainables.teachers.layer_states import LayerStates
from trainables.teachers.picture import PictureTeacher, open_picture_teacher
from trainables.teachers.value_training import FROM_NOTHING, STAGED, TRAINING_VERSION, shown, train

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainables.corpora.corpus import Corpus
    from trainables.teachers.value_head import ValueRegressor

FOLDS = 3
PROGRESS = logging.getLogger(__name__)


@final
@dataclass(frozen=True)
class ValueTeacher:
    """`logits` [clips, values, bins] of every clip, by a copy that never saw it nor its group.

    `tokens` and `maps` are of the last layer on the `TEACHER_GRID`, all by the copy that saw the whole training split:
    each fold's own would be a space of its own. `parameters` are those without the head.
    """

    logits: NDArray[np.float32]
    tokens: LayerStates
    maps: LayerStates
    name: str
    content_hash: str
    parameters: int
    warnings: tuple[str, ...] = ()


def values_taught_by(spec: str, corpus: Corpus, clip_seconds: float, seed: int) -> ValueTeacher:
    """Train the teacher that `--teacher` names on the corpus's values, or take what the cache holds of it.

    For names see `open_picture_teacher`, which raises what is wrong with them.
    """
    copies = _Copies(open_picture_teacher(spec, clip_seconds), corpus, clip_seconds, seed)
    teacher = copies.teacher
    identity = hashlib.sha256(f"{teacher.content_hash} {TRAINING_VERSION} {copies.stages}".encode()).hexdigest()
    return ValueTeacher(
        copies.logits(),
        copies.kept("tokens"),
        copies.kept("maps"),
        teacher.name,
        identity,
        teacher.parameters,
        copies.warnings,
    )


def value_folds(groups: NDArray[np.int64], seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of (fitted, held out) positions that share no group, or where there are too few groups, no clip."""
    rows = np.arange(len(groups))
    if len(np.unique(groups)) >= FOLDS:
        return list(GroupKFold(FOLDS, shuffle=True, random_state=seed).split(rows, groups=groups))
    return list(KFold(FOLDS, shuffle=True, random_state=seed).split(rows))


@final
class _Copies:
    """Copies of a teacher, each trained on some of a corpus; their weights are kept, so that none is trained twice."""

    def __init__(self, teacher: PictureTeacher, corpus: Corpus, clip_seconds: float, seed: int) -> None:
        self.teacher, self._corpus, self._seconds, self._seed = teacher, corpus, clip_seconds, seed
        self.stages = STAGED if teacher.pretrained else FROM_NOTHING
        self._identity = (
            teacher.content_hash,
            TRAINING_VERSION,
            corpus.content_hash,
            clip_samples(corpus, clip_seconds),
            str(self.stages),
            seed,
        )
        self._groups = units(corpus)[corpus.indices("train")]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where a clip's group was seen by the copy that scores it."""
        if len(np.unique(self._groups)) >= FOLDS:
            return ()
        return (f"teacher: fewer than {FOLDS} groups to leave out: a training clip's group was seen by its teacher",)

    def logits(self) -> NDArray[np.float32]:
        """[clips, values, bins]."""

        def scored() -> Array:
            train_rows = self._corpus.indices("train")
            others = np.setdiff1d(np.arange(len(self._corpus.clips)), train_rows)
            folds = [(train_rows[fitted], train_rows[out]) for fitted, out in value_folds(self._groups, self._seed)]
            parts = [(rows, self._logits(fitted, rows)) for fitted, rows in [(train_rows, others), *folds]]
            found = np.empty((len(self._corpus.clips), *parts[0][1].shape[1:]), np.float32)
            for rows, logits in parts:
                found[rows] = logits
            return found

        return np.array(cached_array(content_key("value-logits", *self._identity), scored))

    def kept(self, what: str) -> LayerStates:
        """The `tokens` or `maps` of every clip, in the cache."""
        cells = TEACHER_GRID[0] * TEACHER_GRID[1]
        key = content_key(f"value-{what}", *self._identity, TEACHER_GRID)
        network = self._trained(self._corpus.indices("train"))
        width = cells if what == "maps" else network.norm.normalized_shape[0]

        def fill(array: Mapped) -> None:
            at = 0
            for found in shown(network, self._given(), here()):
                part = getattr(found, what).numpy()
                array[0, at : at + len(part)] = half(part, self.teacher.name)
                at += len(part)

        filled_array(key, (1, len(self._corpus.clips), cells, width), np.float16, fill)
        return LayerStates(key, self._seconds, (1,))

    def _logits(self, fitted: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        network = self._trained(fitted)
        parts = [found.logits for found in shown(network, self._given()[rows], here())]
        result: NDArray[np.float32] = torch.cat(parts).numpy()
        return result

    def _trained(self, rows: NDArray[np.int64]) -> ValueRegressor:
        values = self._corpus.values()
        network = self.teacher.untrained(values.shape[1], self._seed)

        def weights() -> Array:
            title = f"{self.teacher.name}: {len(rows)} clips"
            train(network, self._given(), values, rows, self.stages, self._seed, here(), title)
            flat: Array = torch.nn.utils.parameters_to_vector(network.cpu().parameters()).detach().numpy()
            return flat

        kept = cached_array(content_key("value-teacher", *self._identity, rows.tolist()), weights)
        torch.nn.utils.vector_to_parameters(torch.from_numpy(np.array(kept)), network.cpu().parameters())
        return network

    def _given(self) -> Mapped:
        """Float16 [clips, ...]: what the trained part is given."""
        key = content_key("value-given", *self._identity[:-2])

        def heard() -> Array:
            parts = [self.teacher.given(audio) for _, audio in portions(self.teacher.name, self._corpus, self._seconds)]
            return np.concatenate([half(part, self.teacher.name) for part in parts])

        return cached_array(key, heard)
