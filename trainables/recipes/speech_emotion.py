"""Speech emotion: a large encoder teaches Wav2Small and Wav2Tiny (ujpjm30/Knowledge-Distillation-for-TinyML)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

import numpy as np
from optuna.trial import FixedTrial
from scipy.special import softmax

from spaces import speech_emotion
from spaces.front_end import FrontEnd
from trainables.baseline import statistics_logits
from trainables.corpora.audio import audio_key, load_audio
from trainables.corpora.corpus import SPLITS, Corpus
from trainables.corpora.emotion_task import open_emotions
from trainables.corpora.facts import data_facts
from trainables.detection_rows import calibration_row
from trainables.features import corpus_features
from trainables.metrics import Classification, choice_counts, classification, reliability
from trainables.recipe import Judgement, Material, Recipe, Request
from trainables.teachers.assistant import assistant_logits
from trainables.teachers.cross_fitted import fold_warnings, taught_by
from trainables.teachers.layer_states import asked_layer_states, fixed_alignment
from trainables.training_set import TrainingSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.candidate import Candidate, Scalar

# Lengths that the space cuts clips to; the teacher hears the longest.
CLIP_SECONDS = (1.0, 1.5, 2.0)
TEACHER_CLIP_SECONDS = CLIP_SECONDS[-1]
BASELINE_FRONT_END = FrontEnd(clip_seconds=TEACHER_CLIP_SECONDS, hop_samples=256, mels=26)
BASELINE_SOLVES = 0.9

Figures = Mapping[str, Classification]


@final
class SpeechEmotion(Recipe):
    """As many classes as the data have emotions. A clip's emotion is the class with the highest logit."""

    def prepare(self, request: Request) -> Material:
        """Open the corpus, embed it with the frozen encoder, cross-fit the teacher's head, fit the baseline."""
        request.refuse_streams("speech_emotion")
        if request.word is not None:
            raise ValueError("--word: speech_emotion has no word; leave it out")
        request.refuse_captures("speech_emotion")
        corpus = open_emotions(request.data, request.task, request.split, request.seed)
        layers = asked_layer_states(request, corpus, TEACHER_CLIP_SECONDS)
        teacher = taught_by(request.teacher, corpus, TEACHER_CLIP_SECONDS, request.seed)
        everyone = np.arange(len(corpus.clips))
        taught = _figures(corpus, everyone, teacher.logits)
        plain = _figures(corpus, everyone, statistics_logits(corpus, BASELINE_FRONT_END))
        facts = {
            "name": teacher.name,
            "content_hash": teacher.content_hash,
            "parameters": teacher.parameters,
            "score": taught["validation"].uar,
            **_plain(taught),
        }
        data = data_facts(corpus, request.seed) | {"baseline": _plain(plain)}
        unfair = fold_warnings(request.teacher, corpus, request.seed)
        warnings = [*corpus.warnings, *unfair, *_doubts(request.split, taught, plain)]
        return Material(corpus, teacher.logits, data, facts, tuple(warnings), layers)

    def summary(self, material: Material) -> tuple[str, ...]:
        """The emotions with their data, the teacher's and the baseline's UAR."""
        data, teacher, labels = material.data, material.teacher, material.corpus.labels
        counts = ", ".join(f"{split} {sum(clips.values())}" for split, clips in data["clips"].items())
        emotions = f"{len(labels)} emotions ({', '.join(labels)})"
        return (
            f"data: {data['name']}, {counts} clips, {emotions}, split {data['split']}",
            f"teacher: {teacher['name']}, UAR {teacher['validation']['uar']:.3f} on validation",
            f"baseline: log-mel statistics, UAR {data['baseline']['validation']['uar']:.3f} on validation",
        )

    def arrays(self, material: Material) -> Mapping[str, NDArray[Any]]:
        """The decoded clips at every length."""
        samples = [round(seconds * material.corpus.sample_rate_hz) for seconds in CLIP_SECONDS]
        clips = {audio_key(material.corpus, length): load_audio(material.corpus, length) for length in samples}
        return {**clips, **material.layer_arrays()}

    def fixed(self, request: Request) -> Mapping[str, Scalar]:
        """Nobody is aligned with a teacher that shows no layers."""
        return fixed_alignment(request)

    def training_set(self, material: Material, candidate: Candidate) -> TrainingSet:
        """Log-mel features of the candidate's front end beside the logits of the teacher, or of its assistant."""
        corpus = material.corpus
        features = corpus_features(corpus, candidate.front_end)
        return TrainingSet(
            features,
            corpus.targets(),
            self._logits(material, candidate),
            corpus.indices("train"),
            teacher_layers=material.layers_for(candidate),
        )

    def _logits(self, material: Material, candidate: Candidate) -> NDArray[np.float32]:
        assistant = candidate.distillation.assistant
        if assistant is None:
            return material.teacher_logits
        settings = speech_emotion.space(FixedTrial(speech_emotion.ASSISTANTS[assistant]))
        return assistant_logits(self, material, settings, speech_emotion.EPOCHS)

    def score(self, material: Material, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> float:
        """Unweighted average recall."""
        return _classified(material.corpus, rows, outputs).uar

    def judge(self, material: Material, int8: NDArray[np.float32], float32: NDArray[np.float32]) -> Judgement:
        """UAR of the INT8 model on validation, with accuracy, macro-F1 and the share of the teacher's UAR it keeps."""
        corpus, rows = material.corpus, self.judged_rows(material)
        outputs = {
            "INT8": int8,
            "float": float32,
            "teacher": material.teacher_logits[rows],
            "log-mel statistics": statistics_logits(corpus, BASELINE_FRONT_END)[rows],
        }
        figures = {name: _figures(corpus, rows, values) for name, values in outputs.items()}
        validation, test = (_with_retention(figures, split) for split in ("validation", "test"))
        return Judgement(
            score_int8=validation["uar"],
            score_float=figures["float"]["validation"].uar,
            validation=validation,
            test=test,
            decision={},
            rows=_evaluation(corpus, rows, int8, figures),
        )


RECIPE = SpeechEmotion()


def _classified(corpus: Corpus, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> Classification:
    return classification(corpus.targets()[rows], outputs.argmax(axis=1), len(corpus.labels))


def _figures(corpus: Corpus, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> dict[str, Classification]:
    parts = {split: np.isin(rows, corpus.indices(split)) for split in SPLITS}
    return {split: _classified(corpus, rows[part], outputs[part]) for split, part in parts.items() if part.any()}


def _plain(figures: Figures) -> dict[str, dict[str, float]]:
    return {split: values.as_dict() for split, values in figures.items()}


def _with_retention(figures: Mapping[str, Figures], split: str) -> dict[str, float]:
    ours, teachers = figures["INT8"][split], figures["teacher"][split]
    return {**ours.as_dict(), "retention": ours.uar / max(teachers.uar, 1e-9)}


def _doubts(split: str, taught: Figures, plain: Figures) -> list[str]:
    """Warnings where statistics may solve the data, or beat the teacher."""
    statistics, teacher = plain["validation"].uar, taught["validation"].uar
    found = []
    if split == "random" or statistics > BASELINE_SOLVES:
        solved = f"mere log-mel statistics reach UAR {statistics:.2f} on validation"
        found.append(f"--split {split}: {solved}; a student that is no better has learnt nothing more")
    if statistics >= teacher:
        weak = f"reaches UAR {teacher:.2f} on validation, and mere log-mel statistics {statistics:.2f}"
        found.append(f"teacher: {weak}: raise alpha or use another")
    return found


def _evaluation(
    corpus: Corpus, rows: NDArray[np.int64], int8: NDArray[np.float32], figures: Mapping[str, Figures]
) -> list[Mapping[str, Any]]:
    test = corpus.indices("test")
    probabilities = softmax(int8[np.isin(rows, test)], axis=1)
    decided = probabilities.argmax(axis=1)
    names = ("accuracy", "uar", "macro_f1")
    return [
        {
            "type": "table",
            "title": "Validation chose the student; test is only reported",
            "columns": ["model", "split", *names],
            "rows": [
                [model, split, *(round(values.as_dict()[name], 4) for name in names)]
                for model, splits in figures.items()
                for split, values in splits.items()
            ],
        },
        _per_class(corpus, figures["INT8"]["test"]),
        {
            "type": "confusion",
            "title": "Test clips, INT8",
            "labels": list(corpus.labels),
            "counts": choice_counts(corpus.targets()[test], decided, len(corpus.labels)),
        },
        calibration_row(
            "Calibration on test, INT8",
            ("probability of the emotion decided for", "share decided rightly"),
            reliability(probabilities.max(axis=1), decided == corpus.targets()[test]),
        ),
    ]


def _per_class(corpus: Corpus, figures: Classification) -> Mapping[str, Any]:
    return {
        "type": "table",
        "title": "Test clips by emotion, INT8",
        "columns": ["emotion", "clips", "recall", "precision", "F1"],
        "rows": [
            [label, clips, round(recall, 4), round(precision, 4), round(f1, 4)]
            for label, (precision, recall, f1, clips) in zip(corpus.labels, figures.classes, strict=True)
        ],
    }
