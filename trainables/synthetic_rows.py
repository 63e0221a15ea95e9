"""How good synthetic clips are, as typed rows of evaluation.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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
RESAMPLINGS = 1_000
Rated = tuple["NDArray[np.float32]", "NDArray[np.float32]"]


def quality_rows(corpus: Corpus, front_end: FrontEnd, made: SyntheticClips) -> list[Mapping[str, Any]]:
    """Two tables: what a regression learns from real and synthetic clips, and their log-mels by band.

    The regression is a ridge on mean and spread of each band. Where it learns as much from synthetic clips as from real
    ones they carry the values; where real clips teach it to read the synthetic ones, they carry them audibly.
    """
    return [regression_table(corpus, front_end, made), spectrum_table(corpus, front_end, made)]


def regression_table(corpus: Corpus, front_end: FrontEnd, made: SyntheticClips) -> Mapping[str, Any]:
    """CCC of each value by what was learnt from, on real validation clips (with 95 % intervals) and synthetic ones."""
    features, values = corpus_features(corpus, front_end), corpus.values()
    train, validation = corpus.indices("train"), corpus.indices("validation")
    real = features[train], values[train]
    both = np.concatenate([real[0], made.features]), np.concatenate([real[1], made.values])
    tables = {"real": real, "synthetic": (made.features, made.values), "both": both}
    groups = [corpus.clips[row].group or corpus.clips[row].audio_hash for row in validation.tolist()]
    lines = []
    for name, (heard, rated) in tables.items():
        said = _regression(heard, rated, np.concatenate([features[validation], made.features]))
        on_real, on_made = said[: len(validation)], said[len(validation) :]
        line: list[str | float] = [name, len(heard)]
        for at in range(values.shape[1]):
            line += _with_interval(values[validation][:, at], on_real[:, at], groups)
        lines.append(
            [*line, *(round(concordance(made.values[:, at], on_made[:, at]), 3) for at in range(len(said[0])))]
        )
    figures = [f"{name} {part}" for name in corpus.labels for part in ("CCC", "low", "high")]
    return {
        "type": "table",
        "title": "A ridge regression on log-mel statistics: CCC on real validation clips, then on synthetic ones",
        "columns": ["learnt from", "clips", *figures, *(f"{name} on synthetic" for name in corpus.labels)],
        "rows": lines,
    }


def spectrum_table(corpus: Corpus, front_end: FrontEnd, made: SyntheticClips) -> Mapping[str, Any]:
    """Mean log-mel of each band, its spread within clips and from clip to clip, in the front end's unit."""
    real = np.asarray(corpus_features(corpus, front_end)[corpus.indices("train")])
    bands = np.array_split(np.arange(front_end.mels), min(BANDS, front_end.mels))
    columns = [
        f"{what}, {kind}" for what in ("mean", "within clips", "between clips") for kind in ("real", "synthetic")
    ]
    return {
        "type": "table",
        "title": "Log-mels of real training clips and of synthetic ones, by band",
        "columns": ["mels", *columns],
        "rows": [
            [
                f"{band[0]}-{band[-1]}",
                *(round(float(figure(clips[:, :, band])), 3) for figure in _FIGURES for clips in (real, made.features)),
            ]
            for band in bands
        ],
    }


def _within(clips: NDArray[np.float32]) -> np.floating[Any]:
    return clips.std(axis=1).mean()


def _between(clips: NDArray[np.float32]) -> np.floating[Any]:
    return clips.mean(axis=1).std(axis=0).mean()


_FIGURES = (np.mean, _within, _between)


def _regression(
    heard: NDArray[np.float32], values: NDArray[np.float32], asked: NDArray[np.float32]
) -> NDArray[np.float64]:
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
    said: NDArray[np.float64] = model.fit(_statistics(heard), values).predict(_statistics(asked))
    return said


def _statistics(features: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([features.mean(axis=1), features.std(axis=1)], axis=1)


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
