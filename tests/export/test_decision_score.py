"""Scores in steps of the output against softmax in double precision, and thresholds on them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, logsumexp

from export.decision_score import MOST_OUTPUTS, ScoreRule, events_outputs

CRIES = tuple(output in (19, 20) for output in range(521))


@given(arrays(np.int8, (20, 2)))
def test_of_two_outputs_the_score_is_their_difference(codes: np.ndarray) -> None:
    wide = codes.astype(int)
    assert (ScoreRule(0.1, (False, True)).steps(codes) == wide[:, 1] - wide[:, 0]).all()
    assert (ScoreRule(0.1, (True, False)).steps(codes) == wide[:, 0] - wide[:, 1]).all()


# One output far above all others: what is left of these in 26 bits decides the last step.
FAR_BELOW = np.where(np.arange(521) == 0, 1, np.full((5, 1), -128)).astype(np.int8)


@given(codes=arrays(np.int8, (5, 521)), scale=st.floats(0.01, 0.3))
@example(codes=FAR_BELOW, scale=0.11328125)
def test_of_many_outputs_the_score_is_the_floor_of_their_log_odds(codes: np.ndarray, scale: float) -> None:
    logits, event = codes * scale, np.array(CRIES)
    odds = logsumexp(logits[:, event], axis=1) - logsumexp(logits[:, ~event], axis=1)
    found = ScoreRule(scale, CRIES).steps(codes) * scale
    # Every exponential of the device is off by up to one of 26 bits, the highest output's being all of them.
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    off = sum(part.sum() * 2.0**-26 / shares[:, part].sum(axis=1) for part in (event, ~event))
    limit = (off < 0.3) & (np.abs(odds) < 254 * scale)
    slack = 2 * off + 0.001
    assert (found - odds <= slack)[limit].all()
    assert (odds - found < scale + slack)[limit].all()


@given(arrays(np.int8, (8, 3)))
def test_equal_odds_are_a_score_of_nought_and_a_hair_less_is_one_below(codes: np.ndarray) -> None:
    rule = ScoreRule(0.05, (True, False, False))
    other = codes.copy()
    other[:, 1], other[:, 2] = other[:, 0], -128
    found = rule.steps(other)
    above = other[:, 0].astype(int) + 128
    # The third output is nothing beside the first two where it lies far below; else it tips the balance.
    assert (found[above > 18 / 0.05] == 0).all()
    assert set(found[above == 0]) <= {-14}
    assert ((found <= 0) & (found >= -14)).all()


@given(threshold=st.floats(0.001, 0.999), scale=st.floats(0.01, 0.5))
def test_a_threshold_on_the_probability_is_one_on_the_steps(threshold: float, scale: float) -> None:
    rule = ScoreRule(scale, (False, True))
    found = rule.steps_at_probability(threshold)
    steps = np.arange(-255, 256)
    fires = expit(steps * scale) >= threshold
    assert ((steps >= found) == fires)[np.abs(steps * scale - math.log(threshold / (1 - threshold))) > 0.01].all()


def test_thresholds_at_the_ends() -> None:
    rule = ScoreRule(0.01, (False, True))
    assert (rule.steps_at_probability(0.0), rule.steps_at_probability(1.0)) == (-255, 256)
    assert (rule.steps_at_logit(-9.0), rule.steps_at_logit(2.56), rule.steps_at_logit(2.55)) == (-255, 256, 255)


def test_a_threshold_that_is_a_score_in_float32_is_reached() -> None:
    rule = ScoreRule(float(np.float32(0.0371)), (False, True))
    for steps in range(-255, 256):
        as_margin = np.float32(100 + steps) * np.float32(0.0371) - np.float32(100) * np.float32(0.0371)
        assert rule.steps_at_logit(float(as_margin)) == steps
        assert rule.steps_at_probability(rule.probability(steps)) <= steps


def test_rules_that_fit_no_device_are_refused() -> None:
    with pytest.raises(ValueError, match="class_of_output: needs outputs of the event and others"):
        ScoreRule(0.1, (True, True))
    with pytest.raises(ValueError, match="class_of_output: 2048 outputs; sums of over 2047 overflow 64 bits"):
        ScoreRule(0.1, (True,) + (False,) * MOST_OUTPUTS)
    with pytest.raises(ValueError, match="output scale: must be above 0, not 0"):
        ScoreRule(0.0, (True, False))


def test_the_widest_sums_do_not_overflow() -> None:
    codes = np.full((1, MOST_OUTPUTS), 127, np.int8)
    rule = ScoreRule(0.1, (True,) + (False,) * (MOST_OUTPUTS - 1))
    assert rule.steps(codes)[0] == math.floor(-math.log(MOST_OUTPUTS - 1) / 0.1)


def test_the_event_is_the_second_of_two_labels_or_the_one_that_is_named() -> None:
    assert events_outputs(["other", "cry"], None, None) == (False, True)
    assert events_outputs(["other", "cry"], [0, 1, 1, 0], None) == (False, True, True, False)
    assert events_outputs(["calm", "angry", "sad"], None, "angry") == (False, True, False)
    with pytest.raises(ValueError, match="--label: the student tells 3 classes apart; choose the event among calm, a"):
        events_outputs(["calm", "angry", "sad"], None, None)
    with pytest.raises(ValueError, match="--label: 'glad' is unknown; there are calm, sad"):
        events_outputs(["calm", "sad"], None, "glad")
