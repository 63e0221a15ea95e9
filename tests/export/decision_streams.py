"""Random scores and settings of a decision."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from export.decision import DecisionSettings


@st.composite
def settings(draw: st.DrawFn) -> DecisionSettings:
    """Any valid settings whose hold time is short enough to end within a stream."""
    threshold = draw(st.integers(-256, 256))
    window = draw(st.integers(1, 32))
    return DecisionSettings(
        threshold,
        release_steps=draw(st.none() | st.integers(-256, threshold)),
        votes_needed=draw(st.integers(1, window)),
        votes_window=window,
        streak=draw(st.integers(1, window)),
        hold_decisions=draw(st.integers(window, window + 20)),
    )


SETTINGS = settings()
# Few different scores, or all: runs of equal ones are what votes, streaks and hysteresis tell apart.
SCORES = st.one_of(
    st.lists(st.sampled_from((-255, -3, 0, 1, 255)), max_size=200), st.lists(st.integers(-255, 255), max_size=200)
).map(lambda values: np.array(values, np.int16))
