"""Wake word: encoders and classifiers teach students from TinyConv to MixedNet (sarpel/wakeword-training-platform)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
from scipy.special import expit

from spaces.wakeword import CLIP_SECONDS
from trainables.alarm_rows import (
    Heard,
    ceiling_doubts,
    check_ceiling,
    epoch_value,
    judged_on_streams,
    refractory_decisions,
    stream_facts,
    stream_lines,
)
from trainables.corpora.audio import audio_key, load_audio
from trainables.corpora.corpus import SPLITS, Corpus
from trainables.corpora.disturbances import background_rows
from trainables.corpora.facts import data_facts
from trainables.corpora.wakeword_streams import open_streams
from trainables.corpora.wakeword_task import open_corpus
from trainables.detection_rows import detection_rows
from trainables.features import corpus_features
from trainables.metrics import Detection, best_f1_threshold, detection
from trainables.recipe import Judgement, Material, OnStream, Recipe, Request
from trainables.streams import epoch_hop
from trainables.taught_views import TaughtViews, taught_views, views_for
from trainables.teachers.cross_fitted import fold_warnings, taught_by
from trainables.teachers.layer_states import LayerStates, aligns, asked_layer_states, fixed_alignment
from trainables.teachers.of_views import refuse_views, view_layer_states, view_logits
from trainables.training_set import TrainingSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.candidate import Candidate, Scalar
    from spaces.front_end import FrontEnd
    from trainables.corpora.views import ClipView

TEACHER_CLIP_SECONDS = 1.0
WEAK_TEACHER_F1 = 0.8
# The source's check list: a student within five points of its teacher.
F1_MARGIN = 0.05


@final
class Wakeword(Recipe):
    """Two classes: everything else (0) and the word (1). A clip's score is the difference of their logits."""

    f1_margin = F1_MARGIN

    def prepare(self, request: Request) -> Material:
        """Open the corpus, embed it with the frozen encoder, cross-fit the teacher's head."""
        request.refuse_captures("wakeword")
        check_ceiling(request.max_false_alarms_per_hour)
        if request.views:
            refuse_views(request.teacher)
        corpus = open_corpus(request.data, request.word, request.task, request.split, request.seed)  # type: ignore[arg-type]
        streams, doubts = open_streams(corpus, request.streams, request.seed)
        layers = asked_layer_states(request, corpus, TEACHER_CLIP_SECONDS)
        logits, teacher = _taught(corpus, request)
        ceiling = request.max_false_alarms_per_hour
        doubts += ceiling_doubts(streams, ceiling)
        return Material(
            corpus=corpus,
            teacher_logits=logits,
            data=data_facts(corpus, request.seed) | {"word": corpus.labels[1]} | stream_facts(corpus, streams),
            teacher=teacher,
            warnings=(*corpus.warnings, *doubts, *_teacher_warnings(corpus, teacher, request)),
            teacher_layers=layers,
            views=_views(corpus, request),
            streams=streams,
            max_false_alarms_per_hour=ceiling,
        )

    def summary(self, material: Material) -> tuple[str, ...]:
        """The word with its data, the teacher's F1, and what training clips are heard in."""
        data, teacher = material.data, material.teacher
        counts = ", ".join(f"{split} {sum(labels.values())}" for split, labels in data["clips"].items())
        return (
            f"data: {data['name']}, {counts} clips, word {data['word']!r}, split {data['split']}",
            *stream_lines(material.streams),
            f"teacher: {teacher['name']}, F1 {teacher['validation']['f1']:.3f} on validation",
            *(material.views.summary() if material.views else ()),
        )

    def arrays(self, material: Material) -> Mapping[str, NDArray[Any]]:
        """The decoded clips at every length of the space, their views, and the streams."""
        lengths = [round(seconds * material.corpus.sample_rate_hz) for seconds in CLIP_SECONDS]
        clips = {audio_key(material.corpus, samples): load_audio(material.corpus, samples) for samples in lengths}
        streams = {stream.audio_key: stream.audio() for stream in material.streams.values()}
        return {**clips, **streams, **material.layer_arrays(), **material.view_arrays()}

    def fixed(self, request: Request) -> Mapping[str, Scalar]:
        """Nobody is aligned with a teacher that shows no layers."""
        return fixed_alignment(request)

    def training_set(self, material: Material, candidate: Candidate) -> TrainingSet:
        """Features of the candidate's front end beside the teacher's logits, with views where it hears them."""
        corpus = material.corpus
        features = corpus_features(corpus, candidate.front_end)
        return TrainingSet(
            features,
            corpus.targets(),
            material.teacher_logits,
            corpus.indices("train"),
            teacher_layers=material.layers_for(candidate),
            views=views_for(material, candidate),
        )

    def score(self, material: Material, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> float:
        """F1 at the threshold that is best for clips such as these."""
        target, score = material.corpus.targets()[rows] == 1, _margin(outputs)
        return detection(target, score, best_f1_threshold(target, score)).f1

    def score_under_ceiling(
        self,
        material: Material,
        front_end: FrontEnd,
        rows: NDArray[np.int64],
        outputs: NDArray[np.float32],
        stream: NDArray[np.float32],
    ) -> float:
        """First meet the ceiling, then maximise recall (micro-wake-word): recall at the lowest threshold under it."""
        positives = _margin(outputs[material.corpus.targets()[rows] == 1])
        refractory = refractory_decisions(front_end, epoch_hop(front_end))
        heard = Heard(positives, _margin(stream), material.streams["validation"].hours, refractory)
        assert material.max_false_alarms_per_hour is not None
        return epoch_value(heard, material.max_false_alarms_per_hour, self.score(material, rows, outputs))

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

    def with_streams(
        self,
        material: Material,
        front_end: FrontEnd,
        judgement: Judgement,
        heard: Mapping[str, OnStream],
    ) -> Judgement:
        """False alarms per hour at recalls, at the ceiling and at the threshold, which a set ceiling replaces."""
        refractory = refractory_decisions(front_end, front_end.new_frames_per_decision)
        scores = {
            split: Heard(_margin(one.positives), _margin(one.decisions), material.streams[split].hours, refractory)
            for split, one in heard.items()
        }
        return judged_on_streams(judgement, scores, material.max_false_alarms_per_hour)


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
        "parameters": teacher.parameters,
        "score": figures["validation"].f1,
        **{split: values.as_dict() for split, values in figures.items()},
    }


def _views(corpus: Corpus, request: Request) -> TaughtViews | None:
    train = corpus.indices("train")
    background = background_rows(corpus)
    # What babbles must not say the word.
    others = np.setdiff1d(train[corpus.targets()[train] == 0], background)

    def teach(views: Sequence[ClipView]) -> NDArray[np.float32]:
        return view_logits(request.teacher, corpus, TEACHER_CLIP_SECONDS, request.seed, views)

    def layers(view: ClipView) -> LayerStates:
        return view_layer_states(request.teacher, corpus, TEACHER_CLIP_SECONDS, view, request.teacher_layers)

    samples = round(max(CLIP_SECONDS) * corpus.sample_rate_hz)
    return taught_views(request, corpus, samples, others, background, teach, layers if aligns(request) else None)


def _figures(corpus: Corpus, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> dict[str, Detection]:
    target, score = corpus.targets()[rows] == 1, _margin(outputs)
    parts = {split: np.isin(rows, corpus.indices(split)) for split in SPLITS}
    threshold = best_f1_threshold(target[parts["validation"]], score[parts["validation"]])
    return {split: detection(target[part], score[part], threshold) for split, part in parts.items() if part.any()}


def _teacher_warnings(corpus: Corpus, teacher: Mapping[str, Any], request: Request) -> list[str]:
    found = fold_warnings(request.teacher, corpus, request.seed)
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
    names = ("f1", "precision", "recall", "miss_rate", "false_positive_rate", "auc", "pauc", "eer")
    return [
        *detection_rows(figures, names, corpus.labels, target, score, expit(score)),
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
