"""How good synthetic clips are, as typed rows of evaluation.json."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainables.features import corpus_features
from trainables.metrics import concordance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.front_end import FrontEnd
    from trainables.corpora.corpus import Corpus
    from trainables.synthetic_clips import SyntheticClips

BANDS = 8
# Of valence and arousal, or whatever two values there are first, in what is shown.
CORNERS = ((-0.7, -0.7), (-0.7, 0.7), (0.7, -0.7), (0.7, 0.7))
PICTURE_COLUMNS = 96
RESAMPLINGS = 1_000


class _Clips(NamedTuple):
    """Mean and spread of each mel over the frames [clips, mels], and values [clips, n]."""

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    values: NDArray[np.float32]

    def of(self, rows: NDArray[np.int64]) -> _Clips:
        return _Clips(*(part[rows] for part in self))

    def beside(self, other: _Clips) -> _Clips:
        return _Clips(*(np.concatenate(parts) for parts in zip(self, other, strict=True)))


def quality_rows(corpus: Corpus, front_end: FrontEnd, made: SyntheticClips) -> list[Mapping[str, Any]]:
    """What a regression learns from real and synthetic clips, their log-mels by band, and a few of them as pictures.

    The regression is a ridge on mean and spread of each mel. Where it learns as much from synthetic clips as from real
    ones they carry the values; where real clips teach it to read the synthetic ones, they carry them audibly.
    """
    real = _clips(corpus_features(corpus, front_end), corpus.values())
    synthetic = _clips(made.features, made.values)
    return [
        _regressions(corpus, real, synthetic),
        _spectra(real.of(corpus.indices("train")), synthetic),
        _samples(corpus, front_end, made),
    ]


def _clips(features: NDArray[np.float32], values: NDArray[np.float32]) -> _Clips:
    return _Clips(features.mean(axis=1), features.std(axis=1), values)


def _regressions(corpus: Corpus, real: _Clips, synthetic: _Clips) -> Mapping[str, Any]:
    rows = corpus.indices("validation")
    train, validation = real.of(corpus.indices("train")), real.of(rows)
    groups = [corpus.clips[row].group or corpus.clips[row].audio_hash for row in rows.tolist()]
    members = {"real": train, "synthetic": synthetic, "both": train.beside(synthetic)}
    lines = []
    for name, learnt in members.items():
        model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
        model.fit(_both(learnt), learnt.values)
        said, read = (model.predict(_both(clips)) for clips in (validation, synthetic))
        line: list[str | float] = [name, len(learnt.values)]
        for at in range(len(corpus.labels)):
            line += _with_interval(validation.values[:, at], said[:, at], groups)
            line.append(round(concordance(synthetic.values[:, at], read[:, at]), 3))
        lines.append(line)
    figures = ("CCC", "low", "high", "CCC on synthetic")
    return {
        "type": "table",
        "title": "A ridge regression on log-mel statistics: CCC on real validation clips (95 %), and on synthetic",
        "columns": ["learnt from", "clips", *(f"{name} {figure}" for name in corpus.labels for figure in figures)],
        "rows": lines,
    }


def _both(clips: _Clips) -> NDArray[np.float32]:
    return np.concatenate([clips.mean, clips.spread], axis=1)


def _spectra(real: _Clips, synthetic: _Clips) -> Mapping[str, Any]:
    """Mean of each band, spread over time, spread from clip to clip, in the front end's unit."""
    bands = np.array_split(np.arange(real.mean.shape[1]), min(BANDS, real.mean.shape[1]))
    return {
        "type": "table",
        "title": "Log-mels of real training clips and of synthetic ones, by band",
        "columns": ["mels", *(f"{what}, {kind}" for what in _FIGURES for kind in ("real", "synthetic"))],
        "rows": [
            [
                f"{band[0]}-{band[-1]}",
                *(round(figure(clips, band), 3) for figure in _FIGURES.values() for clips in (real, synthetic)),
            ]
            for band in bands
        ],
    }


def _mean(clips: _Clips, band: NDArray[np.int64]) -> float:
    return float(clips.mean[:, band].mean())


def _over_time(clips: _Clips, band: NDArray[np.int64]) -> float:
    return float(clips.spread[:, band].mean())


def _between_clips(clips: _Clips, band: NDArray[np.int64]) -> float:
    return float(clips.mean[:, band].std(axis=0).mean())


_FIGURES = {"mean": _mean, "over time": _over_time, "between clips": _between_clips}


def _with_interval(rated: NDArray[np.float32], said: NDArray[np.float64], groups: list[str]) -> list[float]:
    """CCC, and the ends of its 95 % interval over resamplings of whole groups."""
    numbers = np.unique(groups, return_inverse=True)[1]
    members = [np.flatnonzero(numbers == number) for number in range(numbers.max() + 1)]
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLINGS):
        rows = np.concatenate([members[number] for number in random.integers(len(members), size=len(members))])
        drawn.append(concordance(rated[rows], said[rows]))
    ends = np.percentile(drawn, (2.5, 97.5))
    return [round(float(figure), 3) for figure in (concordance(rated, said), *ends)]


def _samples(corpus: Corpus, front_end: FrontEnd, made: SyntheticClips) -> Mapping[str, Any]:
    """The real training clip and the synthetic one that are rated nearest to each corner."""
    rows, real = corpus.indices("train"), corpus_features(corpus, front_end)
    shown = []
    for corner in CORNERS:
        nearest = rows[_nearest(corpus.values()[rows], corner)]
        shown.append(_picture("real", real[nearest], corpus.values()[nearest], corpus.labels))
        asked = _nearest(made.values, corner)
        shown.append(_picture("synthetic", made.features[asked], made.values[asked], corpus.labels))
    title = "Log-mels over time, high mels on top: real training clips beside synthetic ones of like values"
    return {"type": "pictures", "title": title, "pictures": shown}


def _nearest(values: NDArray[np.float32], corner: tuple[float, ...]) -> int:
    return int(np.abs(values[:, : len(corner)] - np.array(corner)[: values.shape[1]]).sum(axis=1).argmin())


def _picture(
    kind: str, clip: NDArray[np.float32], values: NDArray[np.float32], names: tuple[str, ...]
) -> Mapping[str, Any]:
    parts = np.array_split(clip, min(PICTURE_COLUMNS, len(clip)))
    columns = np.stack([part.mean(axis=0) for part in parts], axis=1)[::-1]
    # Features lie about 0, most of them within two of their spreads.
    levels = (np.clip((columns + 2) / 4, 0, 1) * 255).round().astype(np.uint8)
    rated = ", ".join(f"{name} {value:+.1f}" for name, value in zip(names, values.tolist(), strict=True))
    return {
        "name": f"{kind}: {rated}",
        "width": levels.shape[1],
        "height": levels.shape[0],
        "levels": base64.b64encode(levels.tobytes()).decode(),
    }
