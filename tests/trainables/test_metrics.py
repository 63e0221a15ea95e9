"""Metrics against torchmetrics, scipy and counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import norm
from sklearn.calibration import calibration_curve
from sklearn.metrics import det_curve
from torchmetrics.functional import classification as reference
from torchmetrics.functional import concordance_corrcoef

from trainables.metrics import (
    DET_POINTS,
    agreement,
    best_f1_threshold,
    choice_counts,
    classification,
    concordance,
    confusion,
    det,
    detection,
    equal_error_rate,
    reliability,
    roc,
)


def drawn(seed: int, clips: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.random(clips) < 0.3
    target[:2] = True, False
    # Coarse steps: INT8 scores tie often.
    return target, np.round(rng.normal(target * 1.5, 1.0), 1)


def f1_by_counting(target: np.ndarray, score: np.ndarray, threshold: float) -> float:
    fired = score >= threshold
    return float(2 * (fired & target).sum() / (fired.sum() + target.sum()))


@given(st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_figures_agree_with_torchmetrics(seed: int) -> None:
    target, score = drawn(seed)
    found = detection(target, score, 0.75)
    fired, truth = torch.tensor(score >= 0.75), torch.tensor(target).int()
    values = torch.tensor((score - score.min()) / np.ptp(score))
    assert found.f1 == pytest.approx(float(reference.binary_f1_score(fired, truth)), abs=1e-6)
    assert found.precision == pytest.approx(float(reference.binary_precision(fired, truth)), abs=1e-6)
    assert found.recall == pytest.approx(float(reference.binary_recall(fired, truth)), abs=1e-6)
    assert found.accuracy == pytest.approx(float(reference.binary_accuracy(fired, truth)), abs=1e-6)
    assert found.false_positive_rate == pytest.approx(1 - float(reference.binary_specificity(fired, truth)), abs=1e-6)
    assert found.auc == pytest.approx(float(reference.binary_auroc(values, truth)), abs=1e-5)
    assert found.pauc == pytest.approx(float(reference.binary_auroc(values, truth, max_fpr=0.1)), abs=1e-5)
    assert found.miss_rate == pytest.approx(1 - found.recall)


def test_threshold_is_the_best_there_is_of_many_clips() -> None:
    rng = np.random.default_rng(0)
    target = rng.random(50_000) < 0.2
    score = rng.normal(np.where(target, 2.0, 0.0), 1.0)
    # For normal scores the expected F1 is known.
    cuts = np.linspace(-2, 4, 6001)
    hits, alarms = 0.2 * norm.sf(cuts, 2.0), 0.8 * norm.sf(cuts)
    best = cuts[np.argmax(2 * hits / (hits + alarms + 0.2))]
    assert best_f1_threshold(target, score) == pytest.approx(best, abs=0.1)


def test_threshold_of_few_clips_carries_over_better_than_the_best_on_them() -> None:
    ours, theirs = [], []
    for seed in range(100):
        target, score = outlying(seed, 150)
        cuts = np.unique(score)
        of_themselves = cuts[np.argmax([f1_by_counting(target, score, cut) for cut in cuts])]
        others = outlying(seed + 1000, 5000)
        ours.append(f1_by_counting(*others, best_f1_threshold(target, score)))
        theirs.append(f1_by_counting(*others, of_themselves))
    gain = np.subtract(ours, theirs)
    assert gain.mean() > 3 * gain.std(ddof=1) / 10


def outlying(seed: int, clips: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.random(clips) < 0.2
    return target, rng.standard_t(3, clips) + 4.0 * target


def test_threshold_lies_midway_between_classes_that_lie_apart() -> None:
    target, score = np.array([False, False, True, True]), np.array([0.0, 1.0, 3.0, 4.0])
    assert best_f1_threshold(target, score) == pytest.approx(2.0, abs=0.01)
    assert best_f1_threshold(target, 1e6 * score) == pytest.approx(2e6, rel=0.01)


def test_threshold_of_scores_that_are_all_one_lets_all_through() -> None:
    target = np.array([False, True, False])
    for score in (0.0, -3.5, 1e-12):
        assert best_f1_threshold(target, np.full(3, score)) <= score


@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(-50, 50))
@settings(max_examples=50, deadline=None)
def test_threshold_moves_with_the_scores(seed: int, factor: float, shift: float) -> None:
    target, score = drawn(seed)
    moved = best_f1_threshold(target, factor * score + shift)
    step = factor * np.ptp(score) / 255
    assert moved == pytest.approx(factor * best_f1_threshold(target, score) + shift, abs=1.01 * step)


def test_equal_error_rate_by_hand() -> None:
    target = np.array([True] * 4 + [False] * 4)
    assert equal_error_rate(target, np.array([9.0, 8, 7, 2, 3, 1, 1, 0])) == pytest.approx(0.25)
    assert equal_error_rate(target, np.array([9.0, 8, 7, 6, 3, 1, 1, 0])) == 0.0


def test_confusion_counts() -> None:
    target, score = np.array([True, True, False, False, False]), np.array([1.0, 0.0, 1.0, 0.0, 0.0])
    assert confusion(target, score, 0.5) == [[2, 1], [1, 1]]


def test_roc_runs_from_corner_to_corner() -> None:
    alarms, hits = roc(*drawn(3))
    assert (alarms[0], hits[0], alarms[-1], hits[-1]) == (0, 0, 1, 1)
    assert alarms == sorted(alarms)
    assert hits == sorted(hits)


@given(st.integers(0, 10_000), st.integers(2, 8))
@settings(max_examples=50, deadline=None)
def test_choices_agree_with_torchmetrics(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    target = np.concatenate([np.arange(classes), rng.integers(classes, size=60)])
    decided = np.where(rng.random(len(target)) < 0.5, target, rng.integers(classes, size=len(target)))
    found = classification(target, decided, classes)
    pair = torch.tensor(decided), torch.tensor(target)
    recall = reference.multiclass_recall(*pair, classes, average="macro")
    assert found.uar == pytest.approx(float(recall), abs=1e-6)
    f1 = reference.multiclass_f1_score(*pair, classes, average="macro")
    assert found.macro_f1 == pytest.approx(float(f1), abs=1e-6)
    accuracy = reference.multiclass_accuracy(*pair, classes, average="micro")
    assert found.accuracy == pytest.approx(float(accuracy), abs=1e-6)
    counts = reference.multiclass_confusion_matrix(*pair, classes)
    assert choice_counts(target, decided, classes) == counts.tolist()
    assert [clips for *_, clips in found.classes] == np.bincount(target).tolist()


def test_classes_by_hand_and_one_that_is_absent() -> None:
    found = classification(np.array([0, 0, 0, 1]), np.array([0, 0, 2, 1]), 3)
    assert found.accuracy == 0.75
    assert found.uar == pytest.approx((2 / 3 + 1) / 2)
    assert found.classes[2] == (0.0, 0.0, 0.0, 0)
    assert found.as_dict() == {"accuracy": 0.75, "uar": found.uar, "macro_f1": pytest.approx((0.8 + 1) / 2)}


@given(seed=st.integers(0, 99), clips=st.integers(3, 60), shift=st.floats(-1, 1), scale=st.floats(0.2, 2))
@settings(max_examples=30, deadline=None)
def test_concordance_is_lins(seed: int, clips: int, shift: float, scale: float) -> None:
    rng = np.random.default_rng(seed)
    first = rng.standard_normal(clips)
    second = shift + scale * first + rng.standard_normal(clips)
    # Of moments over n - 1, torchmetrics' differs by what n / (n - 1) does to the difference of means.
    expected = concordance_corrcoef(torch.from_numpy(second), torch.from_numpy(first)).item()
    gap = (first.mean() - second.mean()) ** 2
    spread = first.var() + second.var()
    assert concordance(first, second) * (spread + gap) / (spread + gap * (clips - 1) / clips) == pytest.approx(expected)


def test_concordance_by_hand() -> None:
    ratings = np.array([-1.0, 0.0, 1.0])
    assert concordance(ratings, ratings) == 1.0
    assert concordance(ratings, -ratings) == -1.0
    # Variances 2/3 and 1/6, covariance 1/3, means apart by 0.5.
    assert concordance(ratings, ratings / 2 + 0.5) == pytest.approx((2 / 3) / (2 / 3 + 1 / 6 + 0.25))
    assert concordance(ratings, np.zeros(3)) == 0.0
    assert concordance(np.zeros(3), np.zeros(3)) == 0.0


def test_agreement_of_each_value() -> None:
    ratings = np.array([[-1.0, 1.0], [0.0, 0.0], [1.0, -1.0]], np.float32)
    found = agreement(ratings, ratings * np.array([1.0, -1.0], np.float32))
    figures = found.as_dict(("valence", "arousal"))
    assert figures == {
        "ccc": 0.0,
        "ccc_valence": 1.0,
        "ccc_arousal": -1.0,
        "mae_valence": 0.0,
        "mae_arousal": pytest.approx(4 / 3),
    }


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_det_holds_the_corners_of_the_whole_curve(seed: int) -> None:
    target, score = drawn(seed)
    alarms, misses = det(target, score)
    whole = {(round(x, 4), round(y, 4)) for x, y, _ in zip(*det_curve(target, score), strict=True)}
    corners = set(zip(alarms, misses, strict=True))
    assert corners <= whole
    # What was left out lies on the lines between the corners.
    order = np.lexsort((-np.array(misses), np.array(alarms)))
    for x, y in whole:
        at = np.array(alarms)[order] == x
        low, high = (np.array(misses)[order][at].min(), np.array(misses)[order][at].max()) if at.any() else (0.0, 1.0)
        assert not at.any() or low - 1e-9 <= y <= high + 1e-9


def test_det_of_many_clips_keeps_its_ends() -> None:
    dice = np.random.default_rng(0)
    target = dice.random(20_000) < 0.5
    score = dice.normal(target * 1.0, 1.0)
    alarms, misses = det(target, score)
    whole = det_curve(target, score)
    assert len(alarms) == len(misses) == DET_POINTS
    assert (alarms[0], misses[-1]) == (round(whole[0][0], 4), round(whole[1][-1], 4))


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_reliability_of_a_probability_agrees_with_torchmetrics_and_sklearn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    said = rng.random(150).astype(np.float32)
    target = rng.random(150) < said**2
    found = reliability(said, target)
    assert found.error == pytest.approx(
        reference.binary_calibration_error(torch.from_numpy(said), torch.from_numpy(target).long(), n_bins=10).item(),
        abs=1e-5,
    )
    shares, means = calibration_curve(target, said, n_bins=10)
    assert found.said == pytest.approx(means.tolist())
    assert found.found == pytest.approx(shares.tolist())
    assert sum(found.clips) == 150


def test_reliability_of_a_choice_agrees_with_torchmetrics() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (300, 4)).astype(np.float32)
    target = np.where(rng.random(300) < 0.5, logits.argmax(axis=1), rng.integers(0, 4, 300))
    sure = softmax(logits, axis=1)
    wanted = reference.multiclass_calibration_error(
        torch.from_numpy(sure), torch.from_numpy(target), num_classes=4, n_bins=10
    )
    found = reliability(sure.max(axis=1), sure.argmax(axis=1) == target)
    assert found.error == pytest.approx(wanted.item(), abs=1e-5)


def test_reliability_of_values_by_hand() -> None:
    said = np.array([-1.0, -0.9, 0.1, 0.15, 1.0])
    rated = np.array([-0.5, -0.7, 0.3, 0.0, 0.6])
    found = reliability(said, rated, -1.0, 1.0)
    # Bins of 0.2: two in the first, two in the sixth, one in the last.
    assert found.clips == (2, 2, 1)
    assert found.said == pytest.approx((-0.95, 0.125, 1.0))
    assert found.found == pytest.approx((-0.6, 0.15, 0.6))
    assert found.error == pytest.approx((2 * 0.35 + 2 * 0.025 + 1 * 0.4) / 5)
