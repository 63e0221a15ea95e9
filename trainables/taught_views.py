"""The views of a study: what its training clips are heard in, and what the teacher says of them there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from trainables.cache import Mapped, content_key
from trainables.corpora.disturbances import open_disturbances
from trainables.corpora.folders import BACKGROUND_NOISE
from trainables.corpora.views import ClipView, clip_views
from trainables.features import view_features
from trainables.training_set import View

if TYPE_CHECKING:
    from spaces.candidate import Candidate
    from trainables.corpora.corpus import Corpus
    from trainables.recipe import Request

# Each costs the teacher another hearing of the training split.
VIEWS = 2

Teach = Callable[[Sequence[ClipView]], NDArray[np.float32]]


@final
@dataclass(frozen=True)
class TaughtViews:
    """The `clips` of each view and the teacher's `logits` [views, training clips, its classes], in order of the rows.

    `name` says what the clips are heard in, `content_hash` what is heard.
    """

    clips: tuple[ClipView, ...]
    logits: NDArray[np.float32]
    name: str
    content_hash: str

    @property
    def facts(self) -> dict[str, Any]:
        """What run.json says of them."""
        return {"count": len(self.clips), "name": self.name, "content_hash": self.content_hash}

    def summary(self) -> tuple[str, ...]:
        """A line that tells a person of them."""
        return (f"views: {len(self.clips)} of the training clips, in {self.name}",)

    def arrays(self) -> dict[str, Mapped]:
        """The views' clips, by their keys in the cache."""
        return {view.key: view.audio() for view in self.clips}


def taught_views(
    request: Request,
    corpus: Corpus,
    clip_samples: int,
    talkers: NDArray[np.int64],
    background: NDArray[np.int64],
    teach: Teach,
) -> TaughtViews | None:
    """The corpus's views at the length that the teacher hears, and what `teach` says of them; None if none are asked.

    For `talkers` and `background` see `open_disturbances`, which raises what is wrong with the request's folders. A
    folder `_background_noise_` in the data, as in Speech Commands, is taken as if it had been named.
    """
    if not request.views:
        return None
    noise = request.noise or _noise_in(request.data)
    around = open_disturbances(corpus, clip_samples, request.seed, talkers, background, noise, request.rooms)
    clips = clip_views(corpus, clip_samples, around, VIEWS, request.seed)
    return TaughtViews(clips, teach(clips), around.name, content_key("views", [view.key for view in clips]))


def _noise_in(data: Path | None) -> Path | None:
    folder = data / BACKGROUND_NOISE if data else None
    return folder if folder and folder.is_dir() else None


def views_for(
    candidate: Candidate, taught: TaughtViews | None, rows: NDArray[np.int64], clean: NDArray[np.float32]
) -> tuple[View, ...]:
    """What a training set holds of the views, under the candidate's front end; nothing for one that hears none.

    `clean` are the teacher's logits [clips, outputs] of the clips themselves, which clips outside of `rows`, the
    training split, keep. A `ValueError` where the candidate would hear views and the study has none.
    """
    share = candidate.augmentation.view_share
    if not share:
        return ()
    if taught is None:
        raise ValueError(f"view_share={share:g}: this study has no views; use 0")
    return tuple(
        View(view_features(view, candidate.front_end), _with(clean, rows, logits))
        for view, logits in zip(taught.clips, taught.logits, strict=True)
    )


def _with(clean: NDArray[np.float32], rows: NDArray[np.int64], logits: NDArray[np.float32]) -> NDArray[np.float32]:
    heard = np.array(clean)
    heard[rows] = logits
    return heard
