"""The valence/arousal space: the source's weights, what it fixes, rows of its ablation."""

from __future__ import annotations

import pytest
from optuna.trial import FixedTrial

from spaces import valence_arousal
from spaces.candidate import SyntheticMix
from spaces.twin import labels_alone


def test_start_points_carry_the_sources_weights() -> None:
    found = [valence_arousal.space(FixedTrial(dict(point))).distillation for point in valence_arousal.START_POINTS]
    weights = [(d.temperature, d.response_weight, d.alignment_weight, d.attention_weight) for d in found]
    assert weights == [(4.0, 0.5, 0.3, 0.2), (6.0, 0.3, 0.4, 0.3)]


def test_frames_lie_within_the_clip() -> None:
    for point in valence_arousal.START_POINTS:
        front_end = valence_arousal.space(FixedTrial(dict(point))).front_end
        assert (front_end.frames, front_end.mels) == (124, 64)


def test_the_ablation_adds_one_part_after_another() -> None:
    found = [valence_arousal.space(FixedTrial(dict(row.params))) for row in valence_arousal.ABLATION]
    parts = [
        (d.alpha < 1, d.alignment_weight > 0, d.attention_weight > 0, s.clips > 0)
        for d, s in ((candidate.distillation, candidate.synthetic) for candidate in found)
    ]
    assert parts == [tuple(part < count for part in range(4)) for count in range(5)]


def test_synthetic_clips_have_a_share_only_where_there_are_some() -> None:
    without, among = (
        valence_arousal.space(FixedTrial({**valence_arousal.PUBLISHED[0], **more}))
        for more in ({}, valence_arousal.SYNTHETIC)
    )
    assert without.synthetic == SyntheticMix(0, 0.0)
    assert among.synthetic == SyntheticMix(3200, 0.7)


@pytest.mark.parametrize("point", valence_arousal.START_POINTS)
def test_a_twin_learns_from_labels_alone(point: dict[str, float]) -> None:
    twin = labels_alone("valence_arousal", point)
    assert twin is not None
    found = valence_arousal.space(FixedTrial(twin)).distillation
    assert (found.alpha, found.alignment_weight, found.attention_weight) == (1.0, 0.0, 0.0)
    assert labels_alone("valence_arousal", twin) is None
