"""An audio classifier of `transformers` with its own head, whose labels are those of the corpus."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, final

import numpy as np
import torch

from trainables.cache import cached_array, content_key
from trainables.corpora.emotion_names import UnknownEmotionError, emotion_of
from trainables.teachers import CLASSIFIER, embedded
from trainables.teachers.checkpoint import content_hash, open_checkpoint
from trainables.teachers.computing import here

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainables.corpora.corpus import Corpus

BATCH = 16
MOST_LISTED = 40
# The class of all that is not looked for; every label that names none of the others belongs to it.
REST = "_other_"


@final
class Classifier:
    """`logits` of a corpus' own classes; it may have learnt from the same clips, which nothing here can tell."""

    def __init__(self, source: str) -> None:
        self.name = f"{CLASSIFIER}:{source}"
        checkpoint = open_checkpoint(self.name, source, "AutoModelForAudioClassification")
        missing = sorted(name for name in checkpoint.missing if name != "masked_spec_embed")
        if missing:
            raise ValueError(f"--teacher: {self.name} holds no whole classifier: {missing[0]} is missing")
        self._model, self._extractor = checkpoint.model, checkpoint.extractor
        names = self._model.config.id2label
        self.labels = tuple(str(names[number]) for number in sorted(names))
        self.parameters = sum(weight.numel() for weight in self._model.parameters())
        self.computing = here()
        settings = f"{self._extractor.to_json_string()} {self.computing.precision}"
        self.content_hash = content_hash(self._model, settings)

    def check_labels(self, classes: Sequence[str]) -> None:
        """Raise a `ValueError` where no label names one of the classes."""
        class_of_label(self.name, self.labels, classes)

    def logits(self, corpus: Corpus, clip_seconds: float) -> NDArray[np.float32]:
        """[clips, classes], of each class the logarithm of its labels' summed exponentials; see `class_of_label`."""
        samples = embedded.clip_samples(corpus, clip_seconds)
        key = content_key("classifier-logits", self.content_hash, corpus.content_hash, samples)

        def heard() -> NDArray[np.float32]:
            parts = [self._score(audio) for _, audio in embedded.portions(self.name, corpus, clip_seconds)]
            return np.concatenate(parts)

        return self._merged(cached_array(key, heard), corpus.labels)

    def view_logits(self, view: str, audio: NDArray[np.float32], labels: Sequence[str]) -> NDArray[np.float32]:
        """The same of clips [clips, samples] of the view of that key."""
        key = content_key("classifier-view-logits", self.content_hash, view, audio.shape)
        return self._merged(cached_array(key, lambda: self._score(audio)), labels)

    def _merged(self, outputs: NDArray[np.float32], labels: Sequence[str]) -> NDArray[np.float32]:
        classes = class_of_label(self.name, self.labels, labels)
        columns = [np.logaddexp.reduce(outputs[:, classes == number], axis=1) for number in range(len(labels))]
        return np.stack(columns, axis=1)

    @torch.no_grad()
    def _score(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        self._model.to(self.computing.device)
        found = []
        for at in range(0, len(audio), BATCH):
            inputs = self._extractor(list(audio[at : at + BATCH]), sampling_rate=16_000, return_tensors="pt")
            with self.computing.mixed():
                outputs = self._model(next(iter(inputs.values())).to(self.computing.device)).logits
            found.append(outputs.float().cpu().numpy())
        return np.concatenate(found)


def class_of_label(name: str, labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """Number of the class that each label names, -1 where it names none.

    Case, spaces and underlines do not count, `A, B` is A as well as B, and emotions agree in any spelling. What names
    no class belongs to `_other_` where there is such a class. A class that no label names is a `ValueError`.
    """
    wanted = {spelling: number for number, wanted in enumerate(classes) for spelling in _spellings(wanted)}
    found = [next((wanted[one] for one in _spellings(label) if one in wanted), -1) for label in labels]
    if REST in classes:
        found = [classes.index(REST) if number == -1 else number for number in found]
    unnamed = [of_corpus for number, of_corpus in enumerate(classes) if number not in found]
    if unnamed:
        listed = ", ".join(labels[:MOST_LISTED]) + (", ..." if len(labels) > MOST_LISTED else "")
        raise ValueError(
            f"--teacher: {name} has no label for {', '.join(unnamed)}; its labels are {listed}, and the data's "
            f"{', '.join(classes)}"
        )
    return np.array(found, np.int64)


def _spellings(label: str) -> list[str]:
    plain = [re.sub(r"[\s_-]+", " ", part).strip().lower() for part in [label, *label.split(",")]]
    return plain + [_emotion(part) for part in plain]


def _emotion(word: str) -> str:
    try:
        return emotion_of(word)
    except UnknownEmotionError:
        return word
