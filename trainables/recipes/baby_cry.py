"""Baby cry: YAMNet teaches a DS-CNN and filters what it learns from (chayuto/yamnet-cry-distill-int8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch

from spaces.baby_cry import CRY_HEAD, WINDOW_SECONDS, YAMNET_FRONT_END, YAMNET_HEAD
from trainables.beside_teacher import DeviceTeacher
from trainables.cache import cached_array, content_key
from trainables.corpora.audio import audio_key, load_audio
from trainables.corpora.corpus import SPLITS, UNLABELLED, Corpus
from trainables.corpora.cry_task import open_cries
from trainables.corpora.facts import data_facts
from trainables.cry_views import cry_views
from trainables.detection_rows import detection_rows
from trainables.features import corpus_features
from trainables.losses import merged_logits
from trainables.metrics import Detection, best_f1_threshold, correlation, detection
from trainables.recipe import Judgement, Material, Recipe, Request
from trainables.taught_views import views_for
from trainables.teachers.cross_fitted import Teacher, fold_warnings, taught_by
from trainables.teachers.of_views import refuse_views
from trainables.teachers.yamnet import CLASSES, CRY_CLASSES, YAMNET, Yamnet, logits_of_scores
from trainables.teachers.yamnet_body import yamnet_body
from trainables.training_set import TrainingSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.candidate import Candidate, Scalar, TeacherFilter

SAMPLE_RATE_HZ = 16_000
WINDOW_SAMPLES = round(WINDOW_SECONDS * SAMPLE_RATE_HZ)
QUIET_DBFS = -50.0
WEAK_TEACHER_AUC = 0.8
WINDOW_FIGURES = ("teacher_correlation", "int8_change", "quiet_max_score")

Figures = Mapping[str, Detection]


@final
class BabyCry(Recipe):
    """Two classes: everything else (0) and a cry (1). A recording's score is the highest probability of its windows.

    A student has two outputs, or YAMNet's 521, of whose softmax the two cries are summed.
    """

    def prepare(self, request: Request) -> Material:
        """Open the corpus, cut it into windows, score each by the teacher."""
        request.refuse_streams("baby_cry")
        if request.views:
            refuse_views(request.teacher)
        corpus = open_cries(
            request.data,
            request.word,
            request.task,
            request.split,  # type: ignore[arg-type]
            request.seed,
            request.private,
            request.train_on,
        )
        teacher, warnings = _teacher(request, corpus)
        figures = _figures(corpus, np.arange(len(corpus.clips)), teacher_probability(teacher.logits))
        facts = {
            "name": teacher.name,
            "content_hash": teacher.content_hash,
            "parameters": teacher.parameters,
            "score": figures["validation"].auc,
            **{split: values.as_dict() for split, values in figures.items()},
        }
        if figures["train"].auc < WEAK_TEACHER_AUC:
            weak = f"{teacher.name} reaches AUC {figures['train'].auc:.2f} on train, under {WEAK_TEACHER_AUC}"
            warnings.append(f"teacher: {weak}: it filters badly")
        unlabelled = len(corpus.indices(UNLABELLED))
        data = data_facts(corpus, request.seed) | {"recordings": _recordings(corpus), "unlabelled_windows": unlabelled}
        views = cry_views(corpus, request, WINDOW_SAMPLES)
        return Material(corpus, teacher.logits, data, facts, (*corpus.warnings, *warnings), views=views)

    def summary(self, material: Material) -> tuple[str, ...]:
        """The data in recordings and windows, and the teacher's AUC."""
        data, teacher = material.data, material.teacher
        counts = ", ".join(
            f"{split} {sum(data['recordings'][split].values())} ({sum(windows.values())} windows)"
            for split, windows in data["clips"].items()
        )
        unlabelled = data["unlabelled_windows"]
        taught = f"; {unlabelled} unlabelled windows, for the teacher's filter to label" if unlabelled else ""
        demonstration = "; a demonstration: it says nothing of real cries" if data["synthetic"] else ""
        return (
            f"data: {data['name']}, {counts} recordings, split {data['split']}{taught}{demonstration}",
            f"teacher: {teacher['name']}, AUC {teacher['score']:.3f} on validation",
            *(material.views.summary() if material.views else ()),
        )

    def arrays(self, material: Material) -> Mapping[str, NDArray[Any]]:
        """The decoded windows, and their views."""
        clips = {audio_key(material.corpus, WINDOW_SAMPLES): load_audio(material.corpus, WINDOW_SAMPLES)}
        return {**clips, **material.view_arrays()}

    def fixed(self, request: Request) -> Mapping[str, Scalar]:
        """Only YAMNet can teach its own classes."""
        return {} if request.teacher.startswith(YAMNET) else {"head": CRY_HEAD}

    def outputs(self, material: Material, candidate: Candidate) -> int:
        """As many as the candidate's head has; 521 with a teacher that does not teach them are a `ValueError`."""
        if candidate.student.arguments["head"] == CRY_HEAD:
            return len(material.corpus.labels)
        taught = material.teacher_logits.shape[1]
        if taught != CLASSES:
            name = material.teacher["name"]
            raise ValueError(
                f"head: {YAMNET_HEAD} has {CLASSES} outputs, and the teacher {name} teaches {taught}; use --teacher "
                f"yamnet:PATH or --set head={CRY_HEAD}"
            )
        return CLASSES

    def training_set(self, material: Material, candidate: Candidate) -> TrainingSet:
        """The windows of the training split, or those that the teacher's filter keeps, beside the teacher's logits.

        Without a filter a window is of its recording's class, and unlabelled ones, which have none, are left out.
        """
        corpus, logits = material.corpus, material.teacher_logits
        outputs = self.outputs(material, candidate)
        rows, target = corpus.indices("train"), corpus.targets()
        if candidate.teacher_filter is not None:
            rows, target = filtered(corpus, teacher_probability(logits), candidate.teacher_filter)
        views = views_for(material, candidate)
        if outputs != logits.shape[1]:
            logits = _in_two_classes(logits)
            views = tuple(replace(view, teacher=_in_two_classes(view.teacher)) for view in views)
        return TrainingSet(
            features=corpus_features(corpus, candidate.front_end),
            target=target,
            teacher=logits,
            rows=rows,
            class_of_output=class_of_output() if outputs == CLASSES else None,
            views=views,
        )

    def device_teacher(self, material: Material) -> DeviceTeacher | None:
        """YAMNet's network behind the firmware's features: TFLM has no kernel for its own RFFT2D and COMPLEX_ABS."""
        if not str(material.teacher["name"]).startswith(YAMNET):
            return None
        return DeviceTeacher("yamnet", yamnet_body, YAMNET_FRONT_END)

    def score(self, material: Material, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> float:
        """Area under the ROC of recordings."""
        target, score = _by_recording(material.corpus, rows, cry_probability(outputs))
        return detection(target, score, 0.5).auc

    def judge(self, material: Material, int8: NDArray[np.float32], float32: NDArray[np.float32]) -> Judgement:
        """AUC of the INT8 model on validation, with its threshold; the same threshold on test."""
        corpus, rows = material.corpus, self.judged_rows(material)
        windows = {
            "INT8": cry_probability(int8),
            "float": cry_probability(float32),
            "teacher": teacher_probability(material.teacher_logits[rows]),
        }
        figures = {name: _figures(corpus, rows, values) for name, values in windows.items()}
        ours = figures["INT8"]
        validation, test = (
            ours[split].as_dict() | _window_figures(corpus, rows, split, windows) for split in ("validation", "test")
        )
        return Judgement(
            score_int8=ours["validation"].auc,
            score_float=figures["float"]["validation"].auc,
            validation=validation,
            test=test,
            decision={"threshold": ours["validation"].threshold},
            rows=_evaluation(corpus, rows, windows["INT8"], figures, test),
        )


RECIPE = BabyCry()


def class_of_output() -> NDArray[np.int64]:
    """Class of each of YAMNet's 521 outputs: 1 for the two cries, 0 for all others."""
    return np.isin(np.arange(CLASSES), CRY_CLASSES).astype(np.int64)


def cry_probability(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """A student's logits [windows, 2 or 521] to the probability of a cry [windows]."""
    two = _in_two_classes(outputs) if outputs.shape[1] == CLASSES else outputs
    return _sigmoid(two[:, 1] - two[:, 0])


def teacher_probability(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The teacher's score of a cry [windows]: of YAMNet the sum of two sigmoids, which can exceed 1."""
    if logits.shape[1] != CLASSES:
        return cry_probability(logits)
    total: NDArray[np.float32] = _sigmoid(logits[:, CRY_CLASSES]).sum(axis=1)
    return total


def filtered(
    corpus: Corpus, probability: NDArray[np.float32], rule: TeacherFilter
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the training split and of unlabelled clips that the teacher is sure of, and the class of every window.

    Where the recording holds no cry, no window is a positive, whatever the teacher says; where it holds one, or nobody
    said, the teacher knows in which windows. Other splits keep their recordings' classes. No positive or no negative is
    a `ValueError`.
    """
    unlabelled = corpus.indices(UNLABELLED)
    heard = np.concatenate([corpus.indices("train"), unlabelled])
    target = corpus.targets()
    may_cry = target == 1
    may_cry[unlabelled] = True
    positive = (probability > rule.positive_above) & may_cry
    negative = probability < rule.negative_below
    for name, kept in (("positive_above", positive), ("negative_below", negative)):
        if not kept[heard].any():
            raise ValueError(f"{name}={getattr(rule, name):.3g}: the teacher's filter leaves no such training window")
    target[heard] = positive[heard]
    return np.sort(heard[(positive | negative)[heard]]), target


def _teacher(request: Request, corpus: Corpus) -> tuple[Teacher, list[str]]:
    """YAMNet as it is, or an encoder with a head of two classes fitted on the corpus."""
    if not request.teacher.startswith(YAMNET):
        teacher = taught_by(request.teacher, corpus, WINDOW_SECONDS, request.seed)
        return teacher, fold_warnings(request.teacher, corpus, request.seed)
    model = Yamnet(Path(request.teacher.removeprefix(YAMNET)))

    def logits() -> NDArray[np.float32]:
        return logits_of_scores(model.scores(_in_floats(load_audio(corpus, WINDOW_SAMPLES))))

    kept = cached_array(content_key("yamnet-logits", model.content_hash, audio_key(corpus, WINDOW_SAMPLES)), logits)
    return Teacher(np.array(kept), model.name, model.content_hash, model.parameters), []


def _in_two_classes(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    merged: NDArray[np.float32] = merged_logits(torch.from_numpy(logits), torch.from_numpy(class_of_output())).numpy()
    return merged


def _sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    # By tanh, which does not overflow.
    return np.asarray(0.5 + 0.5 * np.tanh(values / 2), np.float32)


def _recordings(corpus: Corpus) -> dict[str, dict[str, int]]:
    files = {split: {(clip.path, clip.label) for clip in corpus.clips if clip.split == split} for split in SPLITS}
    return {
        split: {label: sum(of == label for _, of in found) for label in corpus.labels} for split, found in files.items()
    }


def _by_recording(
    corpus: Corpus, rows: NDArray[np.int64], scores: NDArray[np.float32]
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Whether each recording holds a cry, and the highest score of its windows."""
    paths, recording = np.unique([str(corpus.clips[row].path) for row in rows], return_inverse=True)
    highest = np.full(len(paths), -np.inf, np.float32)
    np.maximum.at(highest, recording, scores)
    target = np.zeros(len(paths), dtype=bool)
    target[recording] = corpus.targets()[rows] == 1
    return target, highest


def _figures(corpus: Corpus, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> dict[str, Detection]:
    parts = {split: np.isin(rows, corpus.indices(split)) for split in SPLITS}
    by_split = {split: _by_recording(corpus, rows[part], scores[part]) for split, part in parts.items() if part.any()}
    threshold = best_f1_threshold(*by_split["validation"])
    return {split: detection(*pair, threshold) for split, pair in by_split.items()}


def _window_figures(
    corpus: Corpus, rows: NDArray[np.int64], split: str, windows: Mapping[str, NDArray[np.float32]]
) -> dict[str, float]:
    """Agreement with the teacher and with the float student window by window, and the highest score in silence."""
    part = np.isin(rows, corpus.indices(split))
    ours, quiet = windows["INT8"][part], _quiet(corpus, rows[part])
    figures = {
        "teacher_correlation": correlation(ours, windows["teacher"][part]),
        "int8_change": float(np.abs(ours - windows["float"][part]).mean()),
    }
    return figures | ({"quiet_max_score": float(ours[quiet].max())} if quiet.any() else {})


def _quiet(corpus: Corpus, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Windows whose RMS lies under -50 dBFS."""
    audio, threshold = load_audio(corpus, WINDOW_SAMPLES), 10 ** (QUIET_DBFS / 10)
    return np.array([np.square(window).mean() < threshold for window in _in_floats(audio[row] for row in rows)])


def _in_floats(audio: Iterable[NDArray[np.int16]]) -> Iterator[NDArray[np.float32]]:
    return (np.divide(window, 32768, dtype=np.float32) for window in audio)


def _evaluation(
    corpus: Corpus,
    rows: NDArray[np.int64],
    scores: NDArray[np.float32],
    figures: Mapping[str, Figures],
    test_figures: Mapping[str, float],
) -> list[Mapping[str, Any]]:
    part = np.isin(rows, corpus.indices("test"))
    target, score = _by_recording(corpus, rows[part], scores[part])
    names = ("auc", "f1", "precision", "recall", "false_positive_rate")
    windows = [[name, round(test_figures[name], 4)] for name in WINDOW_FIGURES if name in test_figures]
    return [
        *detection_rows(figures, names, corpus.labels, target, score, score),
        {"type": "table", "title": "Test windows, INT8", "columns": ["figure", "value"], "rows": windows},
    ]
