"""A teacher's logits for a whole corpus: frozen encoders, cross-fitted heads, both kept in the cache."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from trainables.cache import cached_array, content_key
from trainables.teachers import open_encoder
from trainables.teachers.embedded import embeddings, embeddings_key
from trainables.teachers.ensemble import joined, members_of
from trainables.teachers.head import HEAD_VERSION, cross_fitted_logits, grouped_folds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainables.corpora.corpus import Corpus
    from trainables.teachers.encoder import Encoder


@final
@dataclass(frozen=True)
class Teacher:
    """`logits` [clips, classes] of every clip, and what run.json says of their origin."""

    logits: NDArray[np.float32]
    name: str
    content_hash: str


def taught_by(spec: str, corpus: Corpus, clip_seconds: float, seed: int) -> Teacher:
    """What the teacher that `--teacher` names says of each clip, through a head that never saw the clip's speaker.

    An encoder (see `open_encoder`), or several joined as `mean(A, B)` or `confident(A, B)`, each with its own head.
    """
    rule, members = members_of(spec)
    # All are opened before any is run, which takes minutes.
    encoders = [open_encoder(member) for member in members]
    taught = [_taught_by(encoder, corpus, clip_seconds, seed) for encoder in encoders]
    if not rule:
        return taught[0]
    name = f"{rule}({', '.join(teacher.name for teacher in taught)})"
    identity = hashlib.sha256(" ".join([rule, *(teacher.content_hash for teacher in taught)]).encode()).hexdigest()
    return Teacher(joined(rule, [teacher.logits for teacher in taught]), name, identity)


def _taught_by(encoder: Encoder, corpus: Corpus, clip_seconds: float, seed: int) -> Teacher:
    embedded = embeddings_key(encoder, corpus, clip_seconds)

    def logits() -> NDArray[np.float32]:
        training = np.isin(np.arange(len(corpus.clips)), corpus.indices("train"))
        kept = embeddings(encoder, corpus, clip_seconds)
        return cross_fitted_logits(kept, corpus.targets(), units(corpus), training, len(corpus.labels), seed)

    outputs = np.array(cached_array(content_key("teacher-logits", HEAD_VERSION, embedded, seed), logits))
    identity = hashlib.sha256(f"{encoder.content_hash} {HEAD_VERSION}".encode()).hexdigest()
    return Teacher(outputs, encoder.name, identity)


def units(corpus: Corpus) -> NDArray[np.int64]:
    """Number of the set of clips, each, that no fold may part: a speaker, or where nobody is named, one recording."""
    names = [clip.speaker or clip.group or clip.audio_hash for clip in corpus.clips]
    return np.unique(names, return_inverse=True)[1]


def fold_warnings(corpus: Corpus, seed: int) -> list[str]:
    """A warning where the head's folds cannot keep speakers apart."""
    train = corpus.indices("train")
    if grouped_folds(corpus.targets()[train], units(corpus)[train], seed):
        return []
    return ["teacher: too few speakers to leave any out; a training clip's speaker was seen by its head"]
