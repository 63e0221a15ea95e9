"""Speech enhancement: a CRUSE teaches smaller ones to mask noise, in two steps (arXiv 2309.08144)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast, final

import numpy as np

from spaces.speech_enhancement import CLIP_SECONDS, FRONT_END
from trainables.audio_samples import audio_samples
from trainables.beside_teacher import DeviceTeacher
from trainables.corpora.corpus import SPLITS
from trainables.corpora.enhancement_task import open_enhancement
from trainables.corpora.facts import data_facts
from trainables.corpora.mixtures import Mixing, Mixtures
from trainables.distil import logits_of
from trainables.mask_criterion import MaskCriterion
from trainables.mixture_features import clean_targets, inner_clips, masked_clips, noisy_features
from trainables.quality_rows import FLOAT, INT8, NOISY, TEACHER, Heard, heard
from trainables.recipe import Judgement, Material, Recipe, Request
from trainables.speech_quality import left_out, si_sdr_db
from trainables.teachers.enhancer import Enhancer, enhancer
from trainables.training_set import TrainingSet

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from spaces.candidate import Candidate
    from trainables.corpora.splits import SplitMode

MIXING = Mixing(clip_seconds=CLIP_SECONDS, most_mixtures=900, most_held_out=24)
SCORE = "si_sdr_improvement_db"
WEAK_TEACHER_DB = 1.0
# What is measured on validation too; of these the score is one.
QUICK = ("si_sdr_db", "sdr_db", "estoi")


@final
class SpeechEnhancement(Recipe):
    """Outputs are masks [clips, frames, bins]. The score is how much nearer to the speech they bring a clip, in dB."""

    def prepare(self, request: Request) -> Material:
        """Open the corpus, mix speech and noise, train the teacher."""
        request.refuse_streams("speech_enhancement")
        request.refuse_captures("speech_enhancement")
        if request.word is not None:
            raise ValueError("--word: speech_enhancement has no word; leave it out")
        if request.noise is not None or request.rooms is not None:
            raise ValueError("--noise, --rooms: speech_enhancement reads them from --data; leave them out")
        mixtures = open_enhancement(request.data, request.task, cast("SplitMode", request.split), request.seed, MIXING)
        teacher = _teacher(request, mixtures)
        figures = _by_split(mixtures, teacher)
        corpus = mixtures.corpus
        facts = {
            "name": teacher.name,
            "content_hash": teacher.content_hash,
            "parameters": teacher.parameters,
            "score": figures["validation"][SCORE],
            **figures,
        }
        doubts = _doubts(teacher, figures["validation"][SCORE])
        return Material(
            corpus,
            np.zeros((len(corpus.clips), 0), np.float32),
            data_facts(corpus, request.seed) | {"mixtures": mixtures.key},
            facts,
            (*corpus.warnings, *doubts, *left_out()),
            mixtures=mixtures,
            enhancer=teacher,
        )

    def summary(self, material: Material) -> tuple[str, ...]:
        """The data in mixtures, and what the teacher gains."""
        data, teacher = material.data, material.teacher
        counts = ", ".join(f"{split} {sum(kinds.values())}" for split, kinds in data["clips"].items())
        seconds = FRONT_END.clip_seconds
        return (
            f"data: {data['name']}, {counts} mixtures of {seconds:g} s, split {data['split']}",
            f"teacher: {teacher['name']}, {teacher['score']:.3f} dB of SI-SDR gained on validation",
            f"delay: {FRONT_END.window_ms:g} ms of the window, besides computing; a hop every {FRONT_END.hop_ms:g} ms",
        )

    def arrays(self, material: Material) -> Mapping[str, NDArray[Any]]:
        """The mixtures and the teacher's weights."""
        mixtures, teacher = _parts(material)
        return {mixtures.key: mixtures.pairs(), teacher.key: teacher.weights()}

    def labels(self, material: Material) -> tuple[str, ...]:
        """None: its outputs are bins."""
        return ()

    def outputs(self, material: Material, candidate: Candidate) -> int:
        """One for each bin."""
        return candidate.front_end.values_per_frame

    def training_set(self, material: Material, candidate: Candidate) -> TrainingSet:
        """Log-power spectra beside what is to be left of them and the teacher's masks."""
        mixtures, teacher = _parts(material)
        front_end = candidate.front_end
        asks_maps = candidate.masks is not None and candidate.masks.mode in ("one_step", "two_step")
        return TrainingSet(
            noisy_features(mixtures, front_end),
            clean_targets(mixtures, front_end),
            cast("NDArray[np.float32]", teacher.masks(mixtures, front_end)),
            mixtures.rows("train"),
            criterion=partial(MaskCriterion, teacher=teacher.network(front_end) if asks_maps else None),
        )

    def device_teacher(self, material: Material) -> DeviceTeacher:
        """The teacher, as large as it is."""
        _, teacher = _parts(material)
        return DeviceTeacher(teacher.name, lambda: teacher.network(FRONT_END), FRONT_END)

    def score(self, material: Material, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> float:
        """Mean improvement of SI-SDR over the noisy clips, in dB."""
        mixtures, _ = _parts(material)
        return _improvement(mixtures, rows, outputs)

    def judge(self, material: Material, int8: NDArray[np.float32], float32: NDArray[np.float32]) -> Judgement:
        """SI-SDR improvement of the INT8 model on validation, with every measure by SNR beside float and teacher."""
        mixtures, teacher = _parts(material)
        rows = self.judged_rows(material)
        masks: dict[str, NDArray[Any]] = {TEACHER: teacher.masks(mixtures, FRONT_END)[rows], FLOAT: float32, INT8: int8}
        clean = inner_clips(mixtures.clean(), rows, FRONT_END)
        signals = {NOISY: inner_clips(mixtures.noisy(), rows, FRONT_END)}
        signals |= {name: masked_clips(mixtures, rows, values, FRONT_END) for name, values in masks.items()}
        snrs_db = mixtures.snrs_db()[rows]
        last = np.isin(rows, mixtures.rows("test"))
        validation = heard(clean[~last], snrs_db[~last], _part(signals, ~last), QUICK)
        test = heard(clean[last], snrs_db[last], _part(signals, last))
        facts = [mixtures.facts[row] for row in rows[last]]
        said = {at: f"{fact.noise.kind}, {fact.speech.speaker or 'unknown'}" for at, fact in enumerate(facts)}
        played, files = audio_samples(_part({**signals, "clean": clean}, last), snrs_db[last], said)
        mask_error = {"mask_int8_error": float(np.abs(int8 - float32).mean())}
        return Judgement(
            score_int8=validation.figures(INT8, less=NOISY)[SCORE],
            score_float=validation.figures(FLOAT, less=NOISY)[SCORE],
            validation=_figures(validation) | mask_error,
            test=_figures(test),
            decision={},
            rows=[*test.rows(), *played],
            files=files,
        )


RECIPE = SpeechEnhancement()


def _teacher(request: Request, mixtures: Mixtures) -> Enhancer:
    rows = mixtures.rows("validation")
    features = np.ascontiguousarray(noisy_features(mixtures, FRONT_END)[rows])

    def score(network: nn.Module) -> float:
        return _improvement(mixtures, rows, logits_of(network, features))

    return enhancer(request.teacher, mixtures, FRONT_END, request.seed, score)


def _parts(material: Material) -> tuple[Mixtures, Enhancer]:
    assert material.mixtures is not None
    assert material.enhancer is not None
    return material.mixtures, material.enhancer


def _improvement(mixtures: Mixtures, rows: NDArray[np.int64], masks: NDArray[np.floating]) -> float:
    clean, noisy = (inner_clips(clips, rows, FRONT_END) for clips in (mixtures.clean(), mixtures.noisy()))
    gained = si_sdr_db(masked_clips(mixtures, rows, masks, FRONT_END), clean) - si_sdr_db(noisy, clean)
    return float(gained.mean())


def _by_split(mixtures: Mixtures, teacher: Enhancer) -> dict[str, dict[str, float]]:
    """The quick measures of the teacher's output and their gains over the noisy input, over all SNRs and at each."""
    masks, found = teacher.masks(mixtures, FRONT_END), {}
    for split in (split for split in SPLITS if split != "train"):
        rows = mixtures.rows(split)
        noisy, clean = (inner_clips(clips, rows, FRONT_END) for clips in (mixtures.noisy(), mixtures.clean()))
        signals = {NOISY: noisy, TEACHER: masked_clips(mixtures, rows, masks[rows], FRONT_END)}
        measured = heard(clean, mixtures.snrs_db()[rows], signals, QUICK)
        found[split] = measured.figures(TEACHER) | measured.figures(TEACHER, less=NOISY)
    return found


def _doubts(teacher: Enhancer, gained_db: float) -> Sequence[str]:
    if gained_db >= WEAK_TEACHER_DB:
        return ()
    gains = f"{teacher.name} gains {gained_db:.2f} dB on validation"
    return (f"teacher: {gains}, under {WEAK_TEACHER_DB:g}: it teaches little",)


def _part(signals: Mapping[str, NDArray[np.float32]], part: NDArray[np.bool_]) -> dict[str, NDArray[np.float32]]:
    return {name: clips[part] for name, clips in signals.items()}


def _figures(found: Heard) -> dict[str, float]:
    gained, teachers = found.figures(INT8, less=NOISY), found.figures(TEACHER, less=NOISY)
    overall = {name: mean for name, mean in found.figures(INT8).items() if "_at_" not in name}
    # Of a teacher that gains nothing there is nothing to keep.
    kept = {"retention": gained[SCORE] / teachers[SCORE]} if teachers[SCORE] > 0 else {}
    return {**gained, **overall, **kept}
