"""Wake word: a speech embedding or Wav2Vec2 teaches TinyConv and DS-CNN (sarpel/wakeword-training-platform)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

import numpy as np

from spaces.front_end import FrontEnd
from trainables.cache import cached_array, content_key
from trainables.corpora.audio import audio_key, load_audio
from trainables.corpora.corpus import SPLITS, Corpus
from trainables.corpora.wakeword_task import open_corpus
from trainables.distil import TrainingSet
from trainables.features import corpus_features
from trainables.metrics import Detection, best_f1_threshold, confusion, detection, roc
from trainables.recipe import Judgement, Material, Recipe, Request
from trainables.teachers import open_encoder
from trainables.teachers.head import HEAD_VERSION, cross_fitted_logits, grouped_folds

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
        corpus = open_corpus(request.data, request.word, request.task, request.split, request.seed)  # type: ignore[arg-type]
        logits, teacher = _taught_by(corpus, request)
        warnings = [*corpus.warnings, *_teacher_warnings(corpus, teacher, request.seed)]
        return Material(corpus, logits, _data_facts(corpus, request), teacher, tuple(warnings))

    def arrays(self, material: Material) -> Mapping[str, NDArray[Any]]:
        """The decoded clips."""
        samples = FrontEnd().clip_samples
        return {audio_key(material.corpus, samples): load_audio(material.corpus, samples)}

    def training_set(self, material: Material, candidate: Candidate) -> TrainingSet:
        """Log-mel features of the candidate's front end beside the teacher's logits."""
        corpus = material.corpus
        features = corpus_features(corpus, candidate.front_end)
        return TrainingSet(features, corpus.targets(), material.teacher_logits, corpus.indices("train"))

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


def _taught_by(corpus: Corpus, request: Request) -> tuple[NDArray[np.float32], dict[str, Any]]:
    encoder = open_encoder(request.teacher)
    samples = round(TEACHER_CLIP_SECONDS * corpus.sample_rate_hz)
    embedded = content_key("embeddings", encoder.content_hash, corpus.content_hash, samples)

    def embeddings() -> NDArray[np.float16]:
        return encoder.embed(np.divide(load_audio(corpus, samples), 32768, dtype=np.float32)).astype(np.float16)

    def logits() -> NDArray[np.float32]:
        training = np.isin(np.arange(len(corpus.clips)), corpus.indices("train"))
        units = _units(corpus)
        return cross_fitted_logits(
            cached_array(embedded, embeddings), corpus.targets(), units, training, 2, request.seed
        )

    outputs = np.array(cached_array(content_key("teacher-logits", HEAD_VERSION, embedded, request.seed), logits))
    figures = _figures(corpus, np.arange(len(outputs)), outputs)
    return outputs, {
        "name": encoder.name,
        "content_hash": hashlib.sha256(f"{encoder.content_hash} {HEAD_VERSION}".encode()).hexdigest(),
        "score": figures["validation"].f1,
        **{split: values.as_dict() for split, values in figures.items()},
    }


def _units(corpus: Corpus) -> NDArray[np.int64]:
    # Clips that no fold may part; where nobody is named, only copies of one recording.
    names = [clip.speaker or clip.group or clip.audio_hash for clip in corpus.clips]
    return np.unique(names, return_inverse=True)[1]


def _figures(corpus: Corpus, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> dict[str, Detection]:
    target, score = corpus.targets()[rows] == 1, _margin(outputs)
    parts = {split: np.isin(rows, corpus.indices(split)) for split in SPLITS}
    threshold = best_f1_threshold(target[parts["validation"]], score[parts["validation"]])
    return {split: detection(target[part], score[part], threshold) for split, part in parts.items() if part.any()}


def _teacher_warnings(corpus: Corpus, teacher: Mapping[str, Any], seed: int) -> list[str]:
    train, found = corpus.indices("train"), []
    if not grouped_folds(corpus.targets()[train], _units(corpus)[train], seed):
        found.append("teacher: too few speakers to leave any out; a training clip's speaker was seen by its head")
    for split, doubt in (("validation", "raise alpha or use another"), ("train", "its training targets mislead")):
        if teacher[split]["f1"] < WEAK_TEACHER_F1:
            weak = f"{teacher['name']} reaches F1 {teacher[split]['f1']:.2f} on {split}, under {WEAK_TEACHER_F1}"
            found.append(f"teacher: {weak}: {doubt}")
    return found


def _data_facts(corpus: Corpus, request: Request) -> dict[str, Any]:
    counts = Counter((clip.split, clip.label) for clip in corpus.clips)
    return {
        "name": corpus.name,
        "content_hash": corpus.content_hash,
        "word": corpus.labels[1],
        "clips": {split: {label: counts[split, label] for label in corpus.labels} for split in SPLITS},
        "speakers": {split: len(corpus.speakers(split)) for split in SPLITS},
        "split": corpus.split_rule,
        "speaker_disjoint": corpus.speaker_disjoint,
        "synthetic": corpus.synthetic,
        "skipped": [[str(path), reason] for path, reason in corpus.skipped],
        "seed": request.seed,
    }


def _evaluation(
    corpus: Corpus, rows: NDArray[np.int64], margin: NDArray[np.float32], figures: Mapping[str, Mapping[str, Detection]]
) -> list[Mapping[str, Any]]:
    test = corpus.indices("test")
    target, score = corpus.targets()[test] == 1, margin[np.isin(rows, test)]
    threshold = figures["INT8"]["validation"].threshold
    false_alarms, hits = roc(target, score)
    names = ("f1", "precision", "recall", "false_positive_rate", "auc", "pauc", "eer")
    return [
        {
            "type": "table",
            "title": "Validation chose the threshold; test is only reported",
            "columns": ["model", "split", *names],
            "rows": [
                [model, split, *(round(values.as_dict()[name], 4) for name in names)]
                for model, splits in figures.items()
                for split, values in splits.items()
            ],
        },
        {
            "type": "confusion",
            "title": "Test clips, INT8",
            "labels": list(corpus.labels),
            "counts": confusion(target, score, threshold),
        },
        {
            "type": "curve",
            "title": "ROC on test, INT8",
            "x_name": "false positive rate",
            "y_name": "recall",
            "x": false_alarms,
            "y": hits,
        },
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
