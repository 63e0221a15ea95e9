"""The speech-emotion space: the published settings, what they cost, and what is left to the recipe."""

from __future__ import annotations

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FixedTrial

from spaces import recipe_space, speech_emotion
from spaces.candidate import Candidate


def candidate_of(point: dict[str, object]) -> Candidate:
    return speech_emotion.space(FixedTrial(dict(point)))


@pytest.mark.parametrize("point", speech_emotion.PUBLISHED)
def test_start_points_are_the_published_settings(point: dict[str, object]) -> None:
    candidate = candidate_of(point)
    assert (candidate.distillation.temperature, candidate.distillation.alpha) == (2.0, 0.5)
    assert (candidate.schedule.peak_lr, candidate.schedule.batch, candidate.schedule.weight_decay) == (2e-4, 16, 7e-3)
    assert (candidate.front_end.mels, candidate.front_end.clip_seconds, candidate.student.arguments["width"]) == (
        26,
        2.0,
        13,
    )


def test_both_published_students_and_one_over_the_waveform_are_tried() -> None:
    assert [point["student"] for point in speech_emotion.START_POINTS] == ["wav2tiny", "wav2small", "raw_conv"]
    raw = candidate_of({**speech_emotion.RAW}).front_end
    assert (raw.kind, raw.frames, raw.values_per_frame) == ("waveform", 1000, 32)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_front_ends_are_whole_and_all_clips_are_learnt_from(seed: int) -> None:
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()
    candidate = speech_emotion.space(trial)
    front_end = candidate.front_end
    assert front_end.clip_samples == trial.params["clip_ms"] * 16
    steps = {"log_mel": 16 * trial.params.get("hop_ms", 0), "waveform": trial.params.get("raw_conv_stride")}
    assert front_end.hop_samples == steps[front_end.kind]
    assert (front_end.kind == "waveform") == (candidate.student.kind == "raw_conv")
    # No sample of a waveform is left over.
    assert front_end.kind == "log_mel" or front_end.frames * front_end.hop_samples == front_end.clip_samples
    assert front_end.new_frames_per_decision == min(front_end.frames, round(8000 / front_end.hop_samples))
    assert candidate.data_mix is None


def test_the_word_recipe_keeps_its_batch_and_decay() -> None:
    candidate = recipe_space("wakeword").space(FixedTrial(dict(recipe_space("wakeword").START_POINTS[0])))
    assert (candidate.schedule.batch, candidate.schedule.weight_decay) == (64, 1e-4)
    assert candidate.data_mix is not None
