"""What of a point's parameters decides its architecture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from search.coordinates import DrawingTrial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

    from spaces.candidate import Scalar
    from spaces.narrowed import NarrowedSpace


def architecture_of(
    space: NarrowedSpace, distributions: Mapping[str, BaseDistribution], params: Mapping[str, Scalar]
) -> dict[str, Scalar]:
    """The parameters without any of which another student or front end would come out; the others may vary."""
    whole = space.space(FixedTrial(dict(params))).architecture
    rng = np.random.default_rng(0)

    def otherwise(name: str, value: Any) -> str:
        # Another branch has parameters of its own, whatever they may be.
        trial = DrawingTrial({**params, name: value}, distributions, rng)
        return space.space(cast("BaseTrial", trial)).architecture

    return {
        name: value
        for name, value in params.items()
        if any(otherwise(name, other) != whole for other in _others(distributions[name], value))
    }


def _others(distribution: BaseDistribution, value: Scalar) -> Iterator[Any]:
    if isinstance(distribution, CategoricalDistribution):
        yield from (choice for choice in distribution.choices if choice != value)
    else:
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        yield from (end for end in (distribution.low, distribution.high) if end != value)
