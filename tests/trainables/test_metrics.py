"""Metrics against torchmetrics, scipy and counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from torchmetrics.functional import classification as reference

from trainables.metrics import (
    best_f1_threshold,
    choice_counts,
    classification,
    confusion,
    detection,
    equal_error_rate,
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
