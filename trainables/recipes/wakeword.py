"""Wake word: a speech embedding or Wav2Vec2 teaches TinyConv and DS-CNN (sarpel/wakeword-training-platform)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

import numpy as np

from spaces.front_end import FrontEnd
from trainables.corpora.audio import audio_key, load_audio
from trainables.corpora.corpus import SPLITS, Corpus
from trainables.corpora.facts import data_facts
from trainables.corpora.wakeword_task import open_corpus
from trainables.detection_rows import detection_rows
from trainables.features import corpus_features
from trainables.metrics import Detection, best_f1_threshold, detection
from trainables.recipe import Judgement, Material, Recipe, Request
from trainables.teachers.cross_fitted import fold_warnings, taught_by
from trainables.teachers.layer_states import kept_layer_states
from trainables.training_set import TrainingSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.candidate import Candidate

TEACHER_CLIP_SECONDS = 1.0
WEAK_TEACHER_F1 = 0.8


@final
class Wakeword(Recipe):
    """Two classes: everything else (0) and the word (1). A clip's score is the difference of their logits."""

    def prepare(self, request: Request) -> Material:
        """Open the corpus, embed it with the frozen encoder, cross-fit the teacher's head."""
        request.refuse_captures("wakeword")
        corpus = open_corpus(request.data, request.word, request.task, request.split, request.seed)  # type: ignore[arg-type]
        layers = kept_layer_states(request.teacher, corpus, TEACHER_CLIP_SECONDS, request.teacher_layers)
        logits, teacher = _taught(corpus, request)
        data = data_facts(corpus, request.seed) | {"word": corpus.labels[1]}
        warnings = [*corpus.warnings, *_teacher_warnings(corpus, teacher, request.seed)]
        return Material(corpus, logits, data, teacher, tuple(warnings), layers)

    def summary(self, material: Material) -> tuple[str, ...]:
        """The word with its data, and the teacher's F1."""
        data, teacher = material.data, material.teacher
        counts = ", ".join(f"{split} {sum(labels.values())}" for split, labels in data["clips"].items())
        return (
            f"data: {data['name']}, {counts} clips, word {data['word']!r}, split {data['split']}",
            f"teacher: {teacher['name']}, F1 {teacher['validation']['f1']:.3f} on validation",
        )

    def arrays(self, material: Material) -> Mapping[str, NDArray[Any]]:
        """The decoded clips."""
        samples = FrontEnd().clip_samples
        return {audio_key(material.corpus, samples): load_audio(material.corpus, samples), **material.layer_arrays()}

    def training_set(self, material: Material, candidate: Candidate) -> TrainingSet:
        """Log-mel features of the candidate's front end beside the teacher's logits."""
        corpus = material.corpus
        features = corpus_features(corpus, candidate.front_end)
        return TrainingSet(
            features,
            corpus.targets(),
            material.teacher_logits,
            corpus.indices("train"),
            teacher_layers=material.layers_for(candidate),
        )

    def score(self, material: Material, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> float:
        """Highest F1 over all thresholds."""
        target, score = material.corpus.targets()[rows] == 1, _margin(outputs)
        return detection(target, score, best_f1_threshold(target, score)).f1

    def judged_rows(self, material: Material) -> NDArray[np.int64]:
        """Validation clips, then test clips."""
        return np.concatenate([material.corpus.indices("validation"), material.corpus.indices("test")])

    def judge(self, material: Material, int8: NDArray[np.float32], float32: NDArray[np.float32]) -> Judgement:
        """F1 of the INT8 model on validation, with its threshold; the same threshold on test."""
        rows = self.judged_rows(material)
        outputs = {"INT8": int8, "float": float32, "teacher": material.teacher_logits[rows]}
        figures = {name: _figures(material.corpus, rows, values) for name, values in outputs.items()}
        ours = figures["INT8"]
        return Judgement(
            score_int8=ours["validation"].f1,
            score_float=figures["float"]["validation"].f1,
            validation=ours["validation"].as_dict(),
            test=ours["test"].as_dict(),
            decision={"threshold": ours["validation"].threshold},
            rows=_evaluation(material.corpus, rows, _margin(int8), figures),
        )


RECIPE = Wakeword()


def _margin(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    margin: NDArray[np.float32] = outputs[:, 1] - outputs[:, 0]
    return margin


def _taught(corpus: Corpus, request: Request) -> tuple[NDArray[np.float32], dict[str, Any]]:
    teacher = taught_by(request.teacher, corpus, TEACHER_CLIP_SECONDS, request.seed)
    figures = _figures(corpus, np.arange(len(teacher.logits)), teacher.logits)
    return teacher.logits, {
        "name": teacher.name,
        "content_hash": teacher.content_hash,
        "score": figures["validation"].f1,
        **{split: values.as_dict() for split, values in figures.items()},
    }


def _figures(corpus: Corpus, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> dict[str, Detection]:
    target, score = corpus.targets()[rows] == 1, _margin(outputs)
    parts = {split: np.isin(rows, corpus.indices(split)) for split in SPLITS}
    threshold = best_f1_threshold(target[parts["validation"]], score[parts["validation"]])
    return {split: detection(target[part], score[part], threshold) for split, part in parts.items() if part.any()}


def _teacher_warnings(corpus: Corpus, teacher: Mapping[str, Any], seed: int) -> list[str]:
    found = fold_warnings(corpus, seed)
    for split, doubt in (("validation", "raise alpha or use another"), ("train", "its training targets mislead")):
        if teacher[split]["f1"] < WEAK_TEACHER_F1:
            weak = f"{teacher['name']} reaches F1 {teacher[split]['f1']:.2f} on {split}, under {WEAK_TEACHER_F1}"
            found.append(f"teacher: {weak}: {doubt}")
    return found


def _evaluation(
    corpus: Corpus, rows: NDArray[np.int64], margin: NDArray[np.float32], figures: Mapping[str, Mapping[str, Detection]]
) -> list[Mapping[str, Any]]:
    test = corpus.indices("test")
    target, score = corpus.targets()[test] == 1, margin[np.isin(rows, test)]
    threshold = figures["INT8"]["validation"].threshold
    names = ("f1", "precision", "recall", "false_positive_rate", "auc", "pauc", "eer")
    return [
        *detection_rows(figures, names, corpus.labels, target, score),
        _fired_by_source(corpus, test, score >= threshold),
    ]


def _fired_by_source(corpus: Corpus, rows: NDArray[np.int64], fired: NDArray[np.bool_]) -> Mapping[str, Any]:
    clips, firings = Counter[str](), Counter[str]()
    for row, hit in zip(rows, fired, strict=True):
        clips[corpus.clips[row].source_label] += 1
        firings[corpus.clips[row].source_label] += int(hit)
    return {
        "type": "table",
        "title": "Test clips that fired, by what was said",
        "columns": ["said", "clips", "fired"],
        "rows": [[said, clips[said], firings[said]] for said in sorted(clips, key=lambda said: -firings[said])],
    }
