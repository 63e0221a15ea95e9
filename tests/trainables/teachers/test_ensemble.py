"""Several teachers as one: by hand, and through a recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from scipy.stats import entropy

from trainables.recipe import Request, recipe
from trainables.teachers.ensemble import joined, members_of


def logits(seed: int, clips: int = 5, classes: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, (clips, classes)).astype(np.float32)


@given(seed=st.integers(0, 999), members=st.integers(2, 4))
@settings(max_examples=25, deadline=None)
def test_the_mean_is_of_probabilities(seed: int, members: int) -> None:
    each = [logits(seed + number) for number in range(members)]
    expected = np.mean([softmax(member, axis=1) for member in each], axis=0)
    np.testing.assert_allclose(softmax(joined("mean", each), axis=1), expected, atol=1e-6)


@given(seed=st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_confidence_is_one_less_relative_entropy(seed: int) -> None:
    first, second = logits(seed), logits(seed + 1)
    weights = np.stack([1 - entropy(softmax(member, axis=1), axis=1) / np.log(4) for member in (first, second)])
    shares = (weights / weights.sum(0))[..., None]
    expected = shares[0] * softmax(first, axis=1) + shares[1] * softmax(second, axis=1)
    np.testing.assert_allclose(softmax(joined("confident", [first, second]), axis=1), expected, atol=1e-5)


def test_who_knows_nothing_is_not_heard() -> None:
    sure, clueless = np.array([[5.0, 0.0, 0.0]], np.float32), np.zeros((1, 3), np.float32)
    np.testing.assert_allclose(joined("confident", [sure, clueless]), log_softmax(sure, axis=1), atol=1e-5)
    assert np.abs(joined("mean", [sure, clueless]) - log_softmax(sure, axis=1)).max() > 0.1


def test_certainty_of_the_wrong_kind_stays_finite() -> None:
    certain = np.array([[1e4, 0.0]], np.float32)
    assert np.isfinite(joined("confident", [certain, certain])).all()
    assert np.isfinite(joined("mean", [np.zeros((1, 2), np.float32), certain])).all()


def test_specs() -> None:
    assert members_of("mean(speech_embedding, wav2vec2:a/b)") == ("mean", ("speech_embedding", "wav2vec2:a/b"))
    assert members_of("wav2vec2:/data/run (2)") == ("", ("wav2vec2:/data/run (2)",))


def test_an_unknown_rule_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'best' is no way to join teachers; use mean or confident\(A, B\)"):
        members_of("best(a, b)")


def test_one_teacher_is_no_several() -> None:
    with pytest.raises(ValueError, match=r"mean\(a, a\) must name two teachers or more, as in mean\(A, B\)"):
        members_of("mean(a, a)")


def test_an_unknown_member_is_named(speech_folder: Path) -> None:
    with pytest.raises(ValueError, match="'hubert' is unknown; use speech_embedding"):
        recipe("wakeword").prepare(Request(speech_folder, "up", teacher="mean(speech_embedding, hubert)"))
