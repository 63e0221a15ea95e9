"""Which clips an epoch holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spaces.candidate import DataMix
from trainables.training_set import Dealer, Synthetic, TrainingSet, View

CLIPS, POSITIVES = 120, 24


def training_set() -> TrainingSet:
    target = np.zeros(CLIPS, np.int64)
    target[:POSITIVES] = 1
    logits = np.zeros((CLIPS, 2), np.float32)
    return TrainingSet(np.zeros((CLIPS, 6, 4), np.float32), target, logits, np.arange(CLIPS))


def dealer() -> Dealer:
    return Dealer(np.full(CLIPS, np.nan, np.float32))


def epochs(mix: DataMix | None, seed: int, count: int) -> list[NDArray[np.int64]]:
    own = dealer()
    return [own.epoch_rows(training_set(), mix, seed, epoch) for epoch in range(count)]


@given(seed=st.integers(0, 99), epoch=st.integers(0, 30))
def test_without_a_mix_an_epoch_holds_every_clip_once(seed: int, epoch: int) -> None:
    data = training_set()
    rows = dealer().epoch_rows(data, None, seed, epoch)
    assert sorted(rows) == sorted(data.rows)
    assert np.array_equal(rows, dealer().epoch_rows(data, None, seed, epoch))
    assert not np.array_equal(rows, dealer().epoch_rows(data, None, seed, epoch + 1))


@given(ratio=st.floats(0.1, 12), share=st.sampled_from((0.0, 0.25, 1.0)), seed=st.integers(0, 99))
def test_an_epoch_holds_all_positives_and_the_ratio_of_negatives(ratio: float, share: float, seed: int) -> None:
    target = training_set().target
    own = dealer()
    for epoch in range(3):
        rows = own.epoch_rows(training_set(), DataMix(ratio, share), seed, epoch)
        own.hardness[rows] = 1.0
        assert sorted(rows[target[rows] == 1]) == list(range(POSITIVES))
        assert (target[rows] == 0).sum() == min(96, max(1, round(ratio * 24)))


@given(ratio=st.floats(0.2, 3.9), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_no_negative_comes_twice_before_all_came_once(ratio: float, seed: int) -> None:
    drawn = [row for rows in epochs(DataMix(ratio), seed, 12) for row in rows if row >= POSITIVES]
    counts = np.bincount(drawn, minlength=CLIPS)[POSITIVES:]
    assert counts.max() - counts.min() <= 1 + (round(ratio * 24) > 48)


def test_epochs_differ() -> None:
    first, second = epochs(DataMix(2.0), 0, 2)
    assert not np.array_equal(first, second)


@given(seed=st.integers(0, 99), share=st.sampled_from((0.25, 0.5)))
def test_a_share_of_the_negatives_are_the_hardest_that_were_seen(seed: int, share: float) -> None:
    own, mix = dealer(), DataMix(1.0, share)
    rng = np.random.default_rng(seed)
    seen = rng.choice(np.arange(POSITIVES, CLIPS), 60, replace=False)
    own.hardness[seen] = rng.permutation(60)
    hardest = seen[np.argsort(own.hardness[seen])[::-1][: round(share * POSITIVES)]]
    rows = own.epoch_rows(training_set(), mix, seed, 5)
    assert set(hardest) <= set(rows)
    assert own.dealt == POSITIVES - len(hardest)


def test_the_first_view_is_of_the_clips_themselves() -> None:
    data = training_set()
    noisy = View(data.features + 1, data.teacher + 1)
    first, second = TrainingSet(data.features, data.target, data.teacher, data.rows, views=(noisy,)).all_views
    assert first.features is data.features
    assert first.teacher is data.teacher
    assert second is noisy


def with_synthetic(made: int, share: float) -> TrainingSet:
    """Of 120 clips, 90 are for training."""
    synthetic = Synthetic(np.ones((made, 6, 4), np.float32), np.ones(made, np.int64), share)
    return replace(training_set(), rows=np.arange(0, 90), synthetic=synthetic)


@given(made=st.integers(1, 300), share=st.floats(0.05, 0.9), seed=st.integers(0, 99), epoch=st.integers(0, 30))
def test_synthetic_clips_are_their_share_of_an_epoch(made: int, share: float, seed: int, epoch: int) -> None:
    data = with_synthetic(made, share)
    rows = dealer().epoch_rows(data, None, seed, epoch)
    real = rows[rows < CLIPS]
    # Every training clip once; nothing of validation or test.
    assert sorted(real) == list(range(90))
    assert rows.max() < data.count == CLIPS + made
    assert abs((rows >= CLIPS).mean() - share) < 0.02
    assert np.array_equal(rows, dealer().epoch_rows(data, None, seed, epoch))


@given(made=st.integers(1, 200), share=st.floats(0.05, 0.8), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_no_synthetic_clip_comes_twice_before_all_came_once(made: int, share: float, seed: int) -> None:
    data, counts = with_synthetic(made, share), np.zeros(made, int)
    for epoch in range(8):
        rows = dealer().epoch_rows(data, None, seed, epoch)
        counts += np.bincount(rows[rows >= CLIPS] - CLIPS, minlength=made)
        assert counts.max() - counts.min() <= 1 + ((rows >= CLIPS).sum() > made)


def test_synthetic_clips_join_a_mix() -> None:
    data = with_synthetic(500, 0.5)
    rows = Dealer(np.full(data.count, np.nan, np.float32)).epoch_rows(data, DataMix(1.0), 0, 0)
    assert sorted(rows[rows < POSITIVES]) == list(range(POSITIVES))
    assert (rows >= CLIPS).sum() == (rows < CLIPS).sum() == 2 * POSITIVES


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="of an epoch must lie between 0 and 1"):
        with_synthetic(3, share)
