"""Every recipe's space: replayable, narrowable, with start points inside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FixedTrial

import spaces
from spaces.candidate import Candidate, DataMix, Scalar, TeacherFilter
from spaces.front_end import FrontEnd, micro_front_end
from spaces.narrowed import Narrowing, parameters, parse_narrowing
from spaces.wakeword_students import PRUNABLE

RECIPES = sorted(spaces.recipes())
optuna.logging.set_verbosity(optuna.logging.WARNING)


def test_wakeword_is_a_recipe() -> None:
    assert "wakeword" in RECIPES


def test_unknown_recipe_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'wakewrod' is unknown; there are .*wakeword"):
        spaces.recipe_space("wakewrod")


@pytest.mark.parametrize("name", RECIPES)
@given(seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_parameters_replay_into_the_same_candidate(name: str, seed: int) -> None:
    space = spaces.recipe_space(name)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask()
    candidate = space.space(trial)
    assert space.space(FixedTrial(trial.params)) == candidate
    assert space.space(study.trials[0]) == candidate


@pytest.mark.parametrize("name", RECIPES)
def test_start_points_lie_in_the_space(name: str) -> None:
    space = spaces.recipe_space(name)
    known = parameters(space)
    for point in space.START_POINTS:
        space.space(FixedTrial(dict(point)))
        for parameter, value in point.items():
            assert known[parameter]._contains(known[parameter].to_internal_repr(value)), parameter


@pytest.mark.parametrize("name", RECIPES)
def test_parameter_names_have_no_slash(name: str) -> None:
    assert not [parameter for parameter in parameters(spaces.recipe_space(name)) if "/" in parameter]


def test_first_wakeword_trial_is_the_published_preset() -> None:
    candidate = spaces.recipe_space("wakeword").space(FixedTrial(dict(spaces.recipe_space("wakeword").START_POINTS[0])))
    assert (candidate.distillation.temperature, candidate.distillation.alpha) == (4.0, 0.3)
    assert (candidate.front_end.mels, candidate.front_end.clip_seconds) == (40, 1.0)
    assert candidate.student.kind == "tiny_conv"


def test_baby_cry_begins_with_the_published_settings() -> None:
    space = spaces.recipe_space("baby_cry")
    for point, head in zip(space.START_POINTS, ("yamnet", "cry"), strict=True):
        candidate = space.space(FixedTrial(dict(point)))
        assert candidate.student.arguments == {"width": 8, "depth": 4, "head": head}
        front_end, schedule = candidate.front_end, candidate.schedule
        assert (front_end.frames, front_end.mels, front_end.clip_samples) == (96, 64, 15_600)
        assert (candidate.distillation.temperature, candidate.distillation.alpha) == (1.0, 0.0)
        assert (schedule.kind, schedule.peak_lr, schedule.batch, schedule.weight_decay) == ("step", 1e-3, 32, 1e-4)
        assert candidate.data_mix == DataMix(3.0)
        assert candidate.teacher_filter == TeacherFilter(positive_above=0.30, negative_below=0.05)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_compression_is_asked_where_it_applies(seed: int) -> None:
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()
    candidate = spaces.recipe_space("wakeword").space(trial)
    assert (candidate.quantization.qat_start is not None) == trial.params["qat"] == ("qat_start" in trial.params)
    assert ("prune_from" in trial.params) == (candidate.student.kind in PRUNABLE)
    assert candidate.pruning.prune_from == trial.params.get("prune_from", 1.0)


@pytest.fixture(scope="module")
def narrowing() -> Narrowing:
    sets, ranges = (
        ["temperature=3", "student=ds_cnn", "front_end=log_mel", "mels=32"],
        ["peak_lr=1e-4:1e-3", "ds_cnn_width=16:32"],
    )
    return parse_narrowing(sets, ranges, parameters(spaces.recipe_space("wakeword")))


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_narrowing_holds(narrowing: Narrowing, seed: int) -> None:
    space = spaces.recipe_space("wakeword")
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()
    candidate = narrowing.propose(space, trial)
    assert candidate.distillation.temperature == 3.0
    assert (candidate.student.kind, candidate.front_end.mels) == ("ds_cnn", 32)
    assert 1e-4 <= candidate.schedule.peak_lr <= 1e-3
    assert candidate.student.arguments["width"] in {16, 24, 32}
    assert space.space(FixedTrial(trial.params)) == candidate


def test_start_points_are_moved_into_a_narrowing() -> None:
    moved = Narrowing({"alpha": 0.5}, {"peak_lr": (1e-4, 5e-4)}).adjusted(
        {"alpha": 0.3, "peak_lr": 1e-3, "student": "tiny_conv"}
    )
    assert moved == {"alpha": 0.5, "peak_lr": 5e-4, "student": "tiny_conv"}


@pytest.mark.parametrize(
    ("sets", "ranges", "message"),
    [
        (["temperatur=3"], [], "parameter 'temperatur' is unknown; there are .*temperature"),
        (["temperature"], [], "'temperature' must be name=value"),
        (["temperature=99"], [], "temperature=99 lies outside 1-8"),
        (["temperature=warm"], [], "temperature='warm' must be a number"),
        (["student=mlp"], [], "student=mlp is none of tiny_conv, ds_cnn, mcu_tiny"),
        (["ds_cnn_width=17"], [], "ds_cnn_width=17 lies outside 8-96 in steps of 8"),
        ([], ["student=a:b"], "student is a choice, not a range"),
        ([], ["peak_lr=1e-3"], "must be name=low:high"),
        ([], ["peak_lr=1e-3:1e-4"], "peak_lr needs low < high"),
        (["peak_lr=1e-3"], ["peak_lr=1e-4:1e-3"], "peak_lr is fixed by --set already"),
    ],
)
def test_bad_narrowings_are_named(sets: list[str], ranges: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_narrowing(sets, ranges, parameters(spaces.recipe_space("wakeword")))


def test_front_end_counts_whole_windows() -> None:
    assert FrontEnd().frames == 98
    assert FrontEnd(hop_samples=320).frames == 49
    assert FrontEnd(hop_samples=320).new_frames_per_decision == 5


def test_a_frame_holds_mels_or_samples() -> None:
    assert FrontEnd(mels=26).values_per_frame == 26
    waveform = FrontEnd(kind="waveform", hop_samples=32, window_samples=32, decision_seconds=0.5)
    assert (waveform.frames, waveform.values_per_frame, waveform.new_frames_per_decision) == (500, 32, 250)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_fft": 500}, "power of two"),
        ({"n_fft": 256}, "at least window_samples"),
        ({"low_hz": 9000.0}, "must lie within"),
        ({"clip_seconds": 0.01}, "holds no window"),
        ({"spectrum_power": 3}, "spectrum_power=3 must be 1"),
        ({"kind": "mfcc"}, "kind='mfcc' must be log_mel or waveform"),
        ({"kind": "waveform"}, "of a waveform, window_samples=400 must be hop_samples=160"),
        ({"kind": "micro"}, "of the kind micro, window_samples=400 must be 480"),
        ({**asdict(micro_front_end()), "hop_samples": 320}, "of the kind micro, hop_samples=320 must be 160"),
        ({**asdict(micro_front_end()), "mels": 20}, "of the kind micro, mels=20 must be 40"),
        ({**asdict(micro_front_end()), "sample_rate_hz": 8000}, "of the kind micro, sample_rate_hz=8000 must be 16000"),
    ],
)
def test_impossible_front_ends_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FrontEnd(**changes)


def test_tflms_front_end_has_no_choice_but_the_clip() -> None:
    front_end = micro_front_end(1.5, decision_seconds=0.2)
    assert (front_end.frames, front_end.values_per_frame, front_end.hop_ms) == (148, 40, 10.0)
    assert (micro_front_end().frames, front_end.new_frames_per_decision) == (98, 20)
    assert FrontEnd(**asdict(front_end)) == front_end
    assert FrontEnd().int8_range is None


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_a_wakeword_hears_log_mels_or_tflms_features(seed: int) -> None:
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()
    front_end = spaces.recipe_space("wakeword").space(trial).front_end
    assert front_end.kind == trial.params["front_end"]
    if front_end.kind == "micro":
        assert front_end == micro_front_end(trial.params["clip_ms"] / 1000)
        assert not {"mels", "hop_ms"} & set(trial.params)
    else:
        assert front_end.mels == trial.params["mels"]


def test_points_from_before_there_was_a_choice_have_log_mels() -> None:
    space = spaces.recipe_space("wakeword")
    for point in space.START_POINTS:
        older = {name: value for name, value in point.items() if name != "front_end"}
        assert space.space(FixedTrial(older)) == space.space(FixedTrial(dict(point)))
    with pytest.raises(ValueError, match="'clip_ms' is not found"):
        space.space(FixedTrial({"front_end": "micro"}))
    with pytest.raises(ValueError, match="mfcc"):
        space.space(FixedTrial({**space.START_POINTS[0], "front_end": "mfcc"}))


@pytest.mark.parametrize("name", RECIPES)
def test_every_setting_of_an_ablation_is_a_point_of_the_space(name: str) -> None:
    space = spaces.recipe_space(name)
    names = [setting.name for setting in space.ABLATION]
    assert len(set(names)) == len({setting.folder for setting in space.ABLATION}) == len(names)
    for setting in space.ABLATION:
        replayed = FixedTrial(dict(setting.params))
        space.space(replayed)
        assert replayed.params == dict(setting.params)
        assert setting.against is None or setting.against in names


def test_a_recipe_can_fix_what_the_request_leaves_no_choice_in() -> None:
    narrowing = Narrowing({"width": 8}, {"alpha": (0.0, 0.5)})
    assert narrowing.fixing({"head": "cry"}) == Narrowing({"width": 8, "head": "cry"}, {"alpha": (0.0, 0.5)})
    assert narrowing.fixing({"width": 8}) == narrowing
    with pytest.raises(ValueError, match="--set: width=8 needs another --teacher; with this one, width is 4"):
        narrowing.fixing({"width": 4})
    with pytest.raises(ValueError, match="--range: alpha needs another --teacher; with this one, alpha is 0"):
        narrowing.fixing({"alpha": 0.0})


def test_the_sources_other_presets_begin_a_search() -> None:
    _, general, own = map(_wakeword, spaces.recipe_space("wakeword").START_POINTS)
    for candidate in (general, own):
        assert (candidate.front_end.mels, candidate.front_end.clip_seconds, candidate.front_end.frames) == (
            64,
            1.5,
            148,
        )
    assert (general.distillation.temperature, general.distillation.alpha) == (3.0, 0.4)
    assert (own.distillation.temperature, own.distillation.alpha) == (2.5, 0.5)


def _wakeword(point: Mapping[str, Scalar]) -> Candidate:
    return spaces.recipe_space("wakeword").space(FixedTrial(dict(point)))
