# ruff: noqa: T201
"""Seconds to try all thresholds and votes of the decision on an hour of scores, one every 100 ms and every 10 ms."""

from __future__ import annotations

import time

import numpy as np

from export.decision_choice import choose_settings
from export.decision_sweep import UNBOUNDED, ScoredStream, sweep, vote_rules

HOLD_SECONDS = 2.0
CEILING_PER_HOUR = 1.0


def hour(decision_seconds: float, events: int = 200, seed: int = 0) -> ScoredStream:
    """An hour of scores that wander as a student's do, over the whole range; a word of half a second in each event."""
    rng = np.random.default_rng(seed)
    count = round(3600 / decision_seconds)
    smooth = max(1, round(0.5 / decision_seconds))
    noise = np.convolve(rng.standard_normal(count + smooth - 1), np.ones(smooth), "valid") / smooth**0.5
    scores = -60 + 50 * noise
    length = max(1, round(1.0 / decision_seconds))
    starts = np.sort(rng.choice(count // (3 * length) - 1, events, replace=False)) * 3 * length
    for start in starts:
        scores[start : start + length // 2 + 1] += 180
    spans = tuple((int(start), int(start) + length) for start in starts)
    return ScoredStream(np.clip(np.round(scores), -255, 255).astype(np.int16), decision_seconds, spans)


def main() -> None:
    """Print the seconds of a whole table and of a choice under a ceiling."""
    sweep([hour(1.0)], vote_rules(2), UNBOUNDED)
    for decision_seconds in (0.1, 0.01):
        stream = hour(decision_seconds)
        rules = vote_rules(round(HOLD_SECONDS / decision_seconds))
        started = time.perf_counter()
        table = sweep([stream], rules)
        swept = time.perf_counter()
        chosen = choose_settings([stream], rules, CEILING_PER_HOUR)
        ended = time.perf_counter()
        size = f"{len(stream.scores_steps)} decisions, {len(table.thresholds_steps)} thresholds x {len(rules)} rules"
        print(f"{size}: whole table {swept - started:.2f} s, choice {ended - swept:.2f} s: {chosen}")


if __name__ == "__main__":
    main()
