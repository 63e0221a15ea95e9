"""The space of speech enhancement: its modes, its published sizes, its front end in real time."""

from __future__ import annotations

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FixedTrial

from export.latency import FFT_512_CYCLES, feature_cost
from spaces import speech_enhancement
from spaces.candidate import MaskDistillation


@given(seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_each_mode_asks_what_it_needs(seed: int) -> None:
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()
    candidate = speech_enhancement.space(trial)
    assert candidate.masks is not None
    mode = candidate.masks.mode
    assert ("alpha" in trial.params) == (mode in ("output", "one_step"))
    assert ("gram" in trial.params) == ("maps" in trial.params) == (mode in ("one_step", "two_step"))
    assert ("first_share" in trial.params) == (mode == "two_step")
    assert candidate.distillation.alpha == trial.params.get("alpha", {"none": 1.0, "two_step": 0.0}.get(mode))


def test_a_search_begins_with_the_sources_split_of_its_steps() -> None:
    for point, width in zip(speech_enhancement.START_POINTS, (5, 6), strict=True):
        candidate = speech_enhancement.space(FixedTrial(dict(point)))
        # 100 epochs of 400.
        assert candidate.masks == MaskDistillation("two_step", "time_frequency", "all", 0.25)
        assert candidate.student.arguments["width"] == width


def test_the_ablation_holds_every_mode_against_the_labels_alone() -> None:
    found = [speech_enhancement.space(FixedTrial(dict(setting.params))) for setting in speech_enhancement.ABLATION]
    assert [candidate.masks.mode for candidate in found if candidate.masks] == 2 * [
        *("none", "output", "one_step", "two_step")
    ]


def test_the_front_end_is_the_published_one() -> None:
    front_end = speech_enhancement.FRONT_END
    assert (front_end.window_ms, front_end.hop_ms, front_end.values_per_frame) == (20.0, 10.0, 161)
    assert (front_end.frames, front_end.new_frames_per_decision) == (299, 1)


def test_the_device_pays_for_the_way_there_and_back() -> None:
    cost = feature_cost(speech_enhancement.FRONT_END)
    forth = FFT_512_CYCLES * 320 * 8.321928 / (512 * 9)
    assert cost.fft_cycles == pytest.approx(4 * forth, rel=1e-5)
    assert cost.counted_cycles == 20 * 320 + 244 * 161
