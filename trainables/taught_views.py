"""The views of a study: what its training clips are heard in, and what the teacher says of them there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from trainables.cache import content_key
from trainables.corpora.disturbances import open_disturbances
from trainables.corpora.folders import BACKGROUND_NOISE
from trainables.corpora.views import ClipView, clip_views
from trainables.features import view_features
from trainables.training_set import View

if TYPE_CHECKING:
    from spaces.candidate import Candidate
    from trainables.corpora.corpus import Corpus
    from trainables.recipe import Material, Request
    from trainables.teachers.layer_states import LayerStates

# Each costs the teacher another hearing of the training split.
VIEWS = 2

Teach = Callable[[Sequence[ClipView]], NDArray[np.float32]]


@final
@dataclass(frozen=True)
class TaughtViews:
    """The `clips` of each view and the teacher's `logits` [views, training clips, its classes], in order of the rows.

    The teacher's `layers`, of each view, are there where students may be aligned with them. `name` says what the clips
    are heard in, `content_hash` what is heard.
    """

    clips: tuple[ClipView, ...]
    logits: NDArray[np.float32]
    name: str
    content_hash: str
    layers: tuple[LayerStates, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """What run.json says of them."""
        return {"count": len(self.clips), "name": self.name, "content_hash": self.content_hash}

    def summary(self) -> tuple[str, ...]:
        """A line that tells a person of them."""
        return (f"views: {len(self.clips)} of the training clips, in {self.name}",)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The views' clips and the teacher's layers, by their keys in the cache."""
        clips: dict[str, NDArray[Any]] = {view.key: view.audio() for view in self.clips}
        return clips | {states.key: states.whole() for states in self.layers}


def taught_views(
    request: Request,
    corpus: Corpus,
    clip_samples: int,
    talkers: NDArray[np.int64],
    background: NDArray[np.int64],
    teach: Teach,
    layers: Callable[[ClipView], LayerStates] | None = None,
) -> TaughtViews | None:
    """The corpus's views at the length that the teacher hears, and what `teach` says of them; None if none are asked.

    `layers` gives the states of the teacher's layers in a view, where students may be aligned with them. For `talkers`
    and `background` see `open_disturbances`, which raises what is wrong with the request's folders. A folder
    `_background_noise_` in the data, as in Speech Commands, is taken as if it had been named.
    """
    if not request.views:
        return None
    noise = request.noise or _noise_in(request.data)
    around = open_disturbances(corpus, clip_samples, request.seed, talkers, background, noise, request.rooms)
    clips = clip_views(corpus, clip_samples, around, VIEWS, request.seed)
    # First, because the pass that gives them gives what the heads need as well.
    states = tuple(map(layers, clips)) if layers else ()
    identity = content_key("views", [view.key for view in clips])
    return TaughtViews(clips, teach(clips), around.name, identity, states)


def _noise_in(data: Path | None) -> Path | None:
    folder = data / BACKGROUND_NOISE if data else None
    return folder if folder and folder.is_dir() else None


def views_for(material: Material, candidate: Candidate) -> tuple[View, ...]:
    """What a training set holds of the views, under the candidate's front end; nothing for one that hears none.

    The teacher's logits of clips that are not for training are those without noise. A `ValueError` where the candidate
    would hear views and the study has none.
    """
    share, taught, front_end = candidate.augmentation.view_share, material.views, candidate.front_end
    if not share:
        return ()
    if taught is None:
        raise ValueError(f"view_share={share:g}: this study has no views; use 0")
    aligned = taught.layers if candidate.distillation.alignment_weight else ()
    layers = [states.beside(front_end.clip_seconds) for states in aligned] or [()] * len(taught.clips)
    return tuple(
        View(view_features(view, front_end), _with(material, logits), states)
        for view, logits, states in zip(taught.clips, taught.logits, layers, strict=True)
    )


def _with(material: Material, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    heard = np.array(material.teacher_logits)
    heard[material.corpus.indices("train")] = logits
    return heard
