"""Several teachers as one: their class probabilities averaged, evenly or by confidence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RULES = ("mean", "confident")
_SPEC = re.compile(r"(?P<rule>[a-z]+)\((?P<members>.*)\)")
# A comma that stands in no brackets: members have settings of their own.
_OUTER_COMMA = re.compile(r",(?![^(]*\))")
_LEAST = 1e-9


def members_of(spec: str) -> tuple[str, tuple[str, ...]]:
    """`mean(A, B)` as its rule and members; any other text is one member under no rule.

    An unknown rule, or fewer than two members, is a `ValueError`.
    """
    match = _SPEC.fullmatch(spec.strip())
    if not match:
        return "", (spec,)
    members = tuple(filter(None, (member.strip() for member in _OUTER_COMMA.split(match["members"]))))
    if match["rule"] not in RULES:
        raise ValueError(f"--teacher: {match['rule']!r} is no way to join teachers; use {' or '.join(RULES)}(A, B)")
    if len(set(members)) < 2:
        raise ValueError(f"--teacher: {spec} must name two teachers or more, as in {match['rule']}(A, B)")
    return match["rule"], members


def joined(rule: str, logits: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Logits [clips, classes] of the joint teacher: the logarithm of the weighted mean of the members' probabilities.

    `mean` weighs evenly; `confident` weighs each member, clip by clip, by one less its entropy over the largest there
    can be.
    """
    stacked = np.stack([_log_softmax(member.astype(np.float64)) for member in logits])
    weights = np.ones(stacked.shape[:2]) if rule == "mean" else _confidence(stacked)
    shares = (weights + _LEAST) / (weights + _LEAST).sum(axis=0)
    mean = (shares[..., None] * np.exp(stacked)).sum(axis=0)
    return np.asarray(np.log(np.maximum(mean, _LEAST)), np.float32)


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_probabilities: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return log_probabilities


def _confidence(log_probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """[members, clips]: 1 for a certain member, 0 for one to whom all classes are alike."""
    entropy = -(np.exp(log_probabilities) * log_probabilities).sum(axis=-1)
    confidence: NDArray[np.float64] = np.clip(1 - entropy / np.log(log_probabilities.shape[-1]), 0, 1)
    return confidence
