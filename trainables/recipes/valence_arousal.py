"""Valence and arousal of music: a vision transformer teaches MobileViT-style students (winzerprince/sentio)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch

from spaces.front_end import FrontEnd
from spaces.valence_arousal import CLIP_SECONDS
from trainables.baseline import statistics_values
from trainables.corpora.arousal_task import open_music
from trainables.corpora.audio import audio_key, load_audio
from trainables.corpora.corpus import SPLITS, Corpus
from trainables.corpora.facts import data_facts
from trainables.detection_rows import calibration_row
from trainables.features import corpus_features
from trainables.metrics import Agreement, agreement, reliability
from trainables.recipe import Judgement, Material, Recipe, Request
from trainables.regression import ValueDistillation
from trainables.synthetic_clips import SyntheticClips, synthetic_clips
from trainables.synthetic_rows import quality_rows
from trainables.teachers.value_teacher import values_taught_by
from trainables.training_set import Synthetic, TrainingSet
from trainables.value_losses import expected_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.candidate import Candidate

BASELINE_FRONT_END = FrontEnd(clip_seconds=CLIP_SECONDS, window_samples=1024, n_fft=1024, hop_samples=512, mels=64)

Figures = Mapping[str, Agreement]


@final
class ValenceArousal(Recipe):
    """Two values of every clip, both in [-1, 1]; the score is the mean of their concordance with the ratings."""

    def prepare(self, request: Request) -> Material:
        """Open the corpus, train the teacher cross-fitted, fit the baseline."""
        _check(request)
        corpus = open_music(request.data, request.task, request.split, request.seed, CLIP_SECONDS)
        teacher = values_taught_by(request.teacher, corpus, CLIP_SECONDS, request.seed)
        everyone = np.arange(len(corpus.clips))
        taught = _figures(corpus, everyone, _values(teacher.logits))
        plain = _figures(corpus, everyone, statistics_values(corpus, BASELINE_FRONT_END))
        facts = {
            "name": teacher.name,
            "content_hash": teacher.content_hash,
            "parameters": teacher.parameters,
            "score": taught["validation"].mean_ccc,
            **_plain(corpus, taught),
        }
        data = data_facts(corpus, request.seed) | {"baseline": _plain(corpus, plain)}
        warnings = (*corpus.warnings, *teacher.warnings, *_doubts(taught, plain))
        return Material(
            corpus, teacher.logits, data, facts, warnings, teacher_layers=teacher.tokens, teacher_maps=teacher.maps
        )

    def summary(self, material: Material) -> tuple[str, ...]:
        """The clips with their split, the teacher's and the baseline's CCC."""
        data, teacher = material.data, material.teacher
        counts = ", ".join(f"{split} {sum(clips.values())}" for split, clips in data["clips"].items())
        values = " and ".join(material.corpus.labels)
        return (
            f"data: {data['name']}, {counts} clips, {values}, split {data['split']}",
            f"teacher: {teacher['name']}, CCC {teacher['score']:.3f} on validation",
            f"baseline: log-mel statistics, CCC {data['baseline']['validation']['ccc']:.3f} on validation",
        )

    def labels(self, material: Material) -> tuple[str, ...]:
        """None: its outputs are numbers."""
        return ()

    def values(self, material: Material) -> tuple[str, ...]:
        """Valence and arousal, from -1 to 1."""
        return material.corpus.labels

    def arrays(self, material: Material) -> Mapping[str, NDArray[Any]]:
        """The decoded clips, and what the teacher shows."""
        samples = round(CLIP_SECONDS * material.corpus.sample_rate_hz)
        return {audio_key(material.corpus, samples): load_audio(material.corpus, samples), **material.layer_arrays()}

    def training_set(self, material: Material, candidate: Candidate) -> TrainingSet:
        """Log-mel features of the candidate's front end beside ratings and the teacher's distributions."""
        corpus = material.corpus
        return TrainingSet(
            corpus_features(corpus, candidate.front_end),
            corpus.values(),
            material.teacher_logits,
            corpus.indices("train"),
            teacher_layers=material.layers_for(candidate),
            criterion=ValueDistillation,
            synthetic=Synthetic(*_made(material, candidate), candidate.synthetic.share) if _wanted(candidate) else None,
        )

    def training_rows(self, material: Material, candidate: Candidate) -> list[Mapping[str, Any]]:
        """How good the synthetic clips are, where the candidate has some."""
        if not _wanted(candidate):
            return []
        return quality_rows(material.corpus, candidate.front_end, _made(material, candidate))

    def score(self, material: Material, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> float:
        """Mean CCC of the values."""
        return agreement(material.corpus.values()[rows], outputs).mean_ccc

    def judge(self, material: Material, int8: NDArray[np.float32], float32: NDArray[np.float32]) -> Judgement:
        """CCC and mean absolute error of each value, and the share of the teacher's CCC that is kept."""
        corpus, rows = material.corpus, self.judged_rows(material)
        outputs = {
            "INT8": int8,
            "float": float32,
            "teacher": _values(material.teacher_logits[rows]),
            "log-mel statistics": statistics_values(corpus, BASELINE_FRONT_END)[rows],
        }
        figures = {name: _figures(corpus, rows, values) for name, values in outputs.items()}
        validation, test = (_with_retention(corpus, figures, split) for split in ("validation", "test"))
        return Judgement(
            score_int8=validation["ccc"],
            score_float=figures["float"]["validation"].mean_ccc,
            validation=validation,
            test=test,
            decision={},
            rows=[_table(corpus, figures), *_calibration(corpus, rows, int8)],
        )


RECIPE = ValenceArousal()


def _check(request: Request) -> None:
    request.refuse_streams("valence_arousal")
    request.refuse_captures("valence_arousal")
    if request.word is not None:
        raise ValueError("--word: valence_arousal has no word; leave it out")
    if request.teacher_layers is not None:
        raise ValueError("--teacher-layers: valence_arousal aligns with its teacher's last layer; leave them out")


def _wanted(candidate: Candidate) -> bool:
    return candidate.synthetic.clips > 0


def _made(material: Material, candidate: Candidate) -> SyntheticClips:
    # By the study's seed, not the trial's: all trials share them.
    seed = int(material.data["seed"])
    return synthetic_clips(material.corpus, candidate.front_end, candidate.synthetic.clips, seed)


def _values(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    values: NDArray[np.float32] = expected_values(torch.from_numpy(logits)).numpy()
    return values


def _figures(corpus: Corpus, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> dict[str, Agreement]:
    parts = {split: np.isin(rows, corpus.indices(split)) for split in SPLITS}
    wanted = corpus.values()[rows]
    return {split: agreement(wanted[part], outputs[part]) for split, part in parts.items() if part.any()}


def _plain(corpus: Corpus, figures: Figures) -> dict[str, dict[str, float]]:
    return {split: values.as_dict(corpus.labels) for split, values in figures.items()}


def _with_retention(corpus: Corpus, figures: Mapping[str, Figures], split: str) -> dict[str, float]:
    ours, teachers = (figures[name][split].as_dict(corpus.labels) for name in ("INT8", "teacher"))
    # Of a teacher that has learnt nothing there is nothing to retain.
    kept = {name: ours[name] / teachers[name] for name in ours if name.startswith("ccc") and teachers[name] > 0}
    return {**ours, **{name.replace("ccc", "retention"): share for name, share in kept.items()}}


def _doubts(taught: Figures, plain: Figures) -> list[str]:
    statistics, teacher = plain["validation"].mean_ccc, taught["validation"].mean_ccc
    if statistics < teacher:
        return []
    weak = f"reaches CCC {teacher:.2f} on validation, and mere log-mel statistics {statistics:.2f}"
    return [f"teacher: {weak}: raise alpha or use another"]


def _table(corpus: Corpus, figures: Mapping[str, Figures]) -> Mapping[str, Any]:
    names = list(figures["INT8"]["test"].as_dict(corpus.labels))
    return {
        "type": "table",
        "title": "Validation chose the student; test is only reported",
        "columns": ["model", "split", *names],
        "rows": [
            [model, split, *(round(values.as_dict(corpus.labels)[name], 4) for name in names)]
            for model, splits in figures.items()
            for split, values in splits.items()
        ],
    }


def _calibration(corpus: Corpus, rows: NDArray[np.int64], int8: NDArray[np.float32]) -> list[Mapping[str, Any]]:
    test = np.isin(rows, corpus.indices("test"))
    said, rated = np.clip(int8[test], -1, 1), corpus.values()[rows[test]]
    return [
        calibration_row(
            f"{name.capitalize()} on test, INT8",
            (f"{name} said", f"{name} rated"),
            reliability(said[:, at], rated[:, at], -1.0, 1.0),
            ends=(-1.0, 1.0),
        )
        for at, name in enumerate(corpus.labels)
    ]
