"""A teacher's logits for a whole corpus: frozen encoders, cross-fitted heads, both kept in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, final

import numpy as np

from trainables.cache import cached_array, content_key
from trainables.teachers import CLASSIFIER, TRANSFORMERS, open_encoder
from trainables.teachers.embedded import embeddings, embeddings_key
from trainables.teachers.ensemble import joined, members_of
from trainables.teachers.fine_tuning import fine_tuning_of
from trainables.teachers.head import HEAD_VERSION, cross_fitted_logits, grouped_folds, parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainables.corpora.corpus import Corpus
    from trainables.teachers.classifier import Classifier
    from trainables.teachers.encoder import Encoder
    from trainables.teachers.fine_tuned import FineTuned
    from trainables.teachers.fine_tuning import FineTuning


@final
@dataclass(frozen=True)
class Teacher:
    """`logits` [clips, classes] of every clip, and what run.json says of their origin.

    `parameters` are those of its encoders without their heads, None where one does not tell.
    """

    logits: NDArray[np.float32]
    name: str
    content_hash: str
    parameters: int | None = None


def taught_by(spec: str, corpus: Corpus, clip_seconds: float, seed: int) -> Teacher:
    """What the teacher that `--teacher` names says of each clip, through a head that never saw the clip's speaker.

    An encoder (see `open_encoder`); one whose top layers are trained with its head, as `fine_tuned(ENCODER, layers=2)`
    (see `FineTuning`); an audio classifier as it is, `classifier:NAME_OR_FOLDER`; or several of these joined as
    `mean(A, B)` or `confident(A, B)`, each with its own head.
    """
    rule, members = members_of(spec)
    # All are opened before any is run, which takes minutes.
    opened = [_opened(member, corpus) for member in members]
    taught = [taught_by_one(corpus, clip_seconds, seed) for taught_by_one in opened]
    if not rule:
        return taught[0]
    name = f"{rule}({', '.join(teacher.name for teacher in taught)})"
    identity = _hash(rule, *(teacher.content_hash for teacher in taught))
    counts = [teacher.parameters for teacher in taught if teacher.parameters]
    total = sum(counts) if len(counts) == len(taught) else None
    return Teacher(joined(rule, [teacher.logits for teacher in taught]), name, identity, total)


def _opened(spec: str, corpus: Corpus) -> Callable[[Corpus, float, int], Teacher]:
    plain, tuning = fine_tuning_of(spec)
    kind, _, source = plain.partition(":")
    if tuning is not None and (kind not in TRANSFORMERS or not source):
        known = ", ".join(f"{name}:" for name in TRANSFORMERS)
        raise ValueError(f"--teacher: {spec}: only {known} have layers that can be fine-tuned")
    if kind == CLASSIFIER and source:
        from trainables.teachers.classifier import Classifier

        classifier = Classifier(source)
        classifier.check_labels(corpus.labels)
        return partial(_taught_by_classifier, classifier)
    encoder = open_encoder(plain)
    return partial(_taught_by, encoder) if tuning is None else partial(_taught_by_tuned, _fine_tuned(encoder, tuning))


def _fine_tuned(encoder: Encoder, tuning: FineTuning) -> FineTuned:
    from trainables.teachers.fine_tuned import FineTuned
    from trainables.teachers.transformer import Transformer

    assert isinstance(encoder, Transformer)
    return FineTuned(encoder, tuning)


def _taught_by(encoder: Encoder, corpus: Corpus, clip_seconds: float, seed: int) -> Teacher:
    def logits() -> NDArray[np.float32]:
        kept = embeddings(encoder, corpus, clip_seconds)
        return cross_fitted_logits(kept, corpus.targets(), units(corpus), _training(corpus), len(corpus.labels), seed)

    embedded = embeddings_key(encoder, corpus, clip_seconds)
    outputs = np.array(cached_array(content_key("teacher-logits", HEAD_VERSION, embedded, seed), logits))
    return Teacher(outputs, encoder.name, _hash(encoder.content_hash, HEAD_VERSION), encoder.parameters)


def _taught_by_tuned(tuned: FineTuned, corpus: Corpus, clip_seconds: float, seed: int) -> Teacher:
    folds = parts(corpus.targets(), units(corpus), _training(corpus), seed)
    logits = tuned.logits(corpus, clip_seconds, folds, seed)
    return Teacher(logits, tuned.name, _hash(tuned.identity), tuned.encoder.parameters)


def _taught_by_classifier(classifier: Classifier, corpus: Corpus, clip_seconds: float, seed: int) -> Teacher:
    logits = classifier.logits(corpus, clip_seconds)
    return Teacher(logits, classifier.name, _hash(classifier.content_hash), classifier.parameters)


def _training(corpus: Corpus) -> NDArray[np.bool_]:
    return np.isin(np.arange(len(corpus.clips)), corpus.indices("train"))


def _hash(*identity: object) -> str:
    return hashlib.sha256(" ".join(map(str, identity)).encode()).hexdigest()


def units(corpus: Corpus) -> NDArray[np.int64]:
    """Number of the set of clips, each, that no fold may part: a speaker, or where nobody is named, one recording."""
    names = [clip.speaker or clip.group or clip.audio_hash for clip in corpus.clips]
    return np.unique(names, return_inverse=True)[1]


def fold_warnings(spec: str, corpus: Corpus, seed: int) -> list[str]:
    """Warnings where what the teacher says of a training clip may come of having seen it, or its speaker."""
    members = members_of(spec)[1]
    classifiers = [member for member in members if member.startswith(f"{CLASSIFIER}:")]
    found = [f"teacher: {name} is not cross-fitted: it may have learnt from these clips" for name in classifiers]
    train = corpus.indices("train")
    if len(classifiers) < len(members) and not grouped_folds(corpus.targets()[train], units(corpus)[train], seed):
        found.append("teacher: too few speakers to leave any out; a training clip's speaker was seen by its head")
    return found
