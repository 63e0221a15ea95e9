"""Views of the windows that a baby cry is learnt from: among the other sounds of a home."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spaces.baby_cry import WINDOW_SECONDS
from trainables.cache import Array, cached_array, content_key
from trainables.taught_views import TaughtViews, taught_views
from trainables.teachers.of_views import view_logits
from trainables.teachers.yamnet import YAMNET, Yamnet, logits_of_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainables.corpora.corpus import Corpus
    from trainables.corpora.views import ClipView
    from trainables.recipe import Request


def cry_views(corpus: Corpus, request: Request, window_samples: int) -> TaughtViews | None:
    """Training windows in synthesised noise and in those that hold no cry, unless the request names a folder."""
    train = corpus.indices("train")
    others = train[corpus.targets()[train] == 0]

    def teach(views: Sequence[ClipView]) -> NDArray[np.float32]:
        if request.teacher.startswith(YAMNET):
            return _yamnet_logits(Yamnet(Path(request.teacher.removeprefix(YAMNET))), views, train)
        return view_logits(request.teacher, corpus, WINDOW_SECONDS, request.seed, views)

    # None babbles: who speaks in the data is among the windows without a cry.
    return taught_views(request, corpus, window_samples, train[:0], others, teach)


def _yamnet_logits(model: Yamnet, views: Sequence[ClipView], train: NDArray[np.int64]) -> NDArray[np.float32]:
    def logits(view: ClipView) -> Array:
        audio = view.audio()
        return logits_of_scores(model.scores(np.divide(audio[row], 32768, dtype=np.float32) for row in train))

    def kept(view: ClipView) -> Array:
        return cached_array(content_key("yamnet-logits", model.content_hash, view.key), lambda: logits(view))

    return np.stack([kept(view) for view in views])
