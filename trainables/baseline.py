"""The baseline of mere statistics: mean and spread of each mel band, and a regression on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainables.cache import cached_array, content_key
from trainables.features import CHUNK_CLIPS, corpus_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.front_end import FrontEnd
    from trainables.corpora.corpus import Corpus

BASELINE_VERSION = 1
ITERATIONS = 2000


def statistics_logits(corpus: Corpus, front_end: FrontEnd) -> NDArray[np.float32]:
    """Logits [clips, classes] of a regression fitted on the training split; kept in the cache.

    It knows how loud each band is on average and how much it varies, and nothing of the order of frames: a split that
    it solves asks nothing of a network.
    """

    def fit() -> NDArray[np.float32]:
        statistics, rows, target = _statistics(corpus, front_end), corpus.indices("train"), corpus.targets()
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))
        model.fit(statistics[rows], target[rows])
        return np.asarray(model.predict_log_proba(statistics), np.float32)

    return np.array(cached_array(content_key("statistics", BASELINE_VERSION, corpus.content_hash, front_end), fit))


def statistics_values(corpus: Corpus, front_end: FrontEnd) -> NDArray[np.float32]:
    """As `statistics_logits`, of the corpus's values [clips, values], by ridge regression."""

    def fit() -> NDArray[np.float32]:
        statistics, rows = _statistics(corpus, front_end), corpus.indices("train")
        model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
        model.fit(statistics[rows], corpus.values()[rows])
        return np.asarray(model.predict(statistics), np.float32)

    key = content_key("statistics-values", BASELINE_VERSION, corpus.content_hash, front_end)
    return np.array(cached_array(key, fit))


def _statistics(corpus: Corpus, front_end: FrontEnd) -> NDArray[np.float32]:
    features = corpus_features(corpus, front_end)
    parts = (features[at : at + CHUNK_CLIPS] for at in range(0, len(features), CHUNK_CLIPS))
    return np.concatenate([np.concatenate([part.mean(axis=1), part.std(axis=1)], axis=1) for part in parts])
