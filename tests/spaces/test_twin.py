"""Twins that learn from labels alone."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import FixedTrial

import spaces
from spaces.narrowed import parameters
from spaces.twin import labels_alone, learns_alone, twin_folder


@pytest.mark.parametrize("name", sorted(spaces.recipes()))
def test_every_twin_is_a_point_of_the_space_that_no_teacher_reaches(name: str) -> None:
    space = spaces.recipe_space(name)
    known = parameters(space)
    for parameter, value in space.LABELS_ALONE.items():
        assert known[parameter]._contains(known[parameter].to_internal_repr(value))
    for seed in range(20):
        trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()
        candidate = space.space(trial)
        twin = labels_alone(name, trial.params)
        if candidate.masks is not None and candidate.masks.mode == "none":
            assert twin is None
            continue
        assert twin is not None
        replayed = space.space(FixedTrial(twin))
        assert replayed.distillation.alpha == 1.0
        assert replayed.distillation.assistant is None
        assert (replayed.architecture, replayed.schedule) == (candidate.architecture, candidate.schedule)
        assert replayed.data_mix == candidate.data_mix
        # It has none itself.
        assert labels_alone(name, twin) is None
        assert learns_alone(name, twin) and not learns_alone(name, trial.params)


def test_candidates_that_differ_in_the_teaching_alone_share_a_twin() -> None:
    first, general, own = spaces.recipe_space("wakeword").START_POINTS
    twins = [labels_alone("wakeword", point) for point in (first, general, own)]
    assert twins[1] == twins[2]
    folders = [twin_folder(twin) for twin in twins if twin is not None]
    assert folders[0] != folders[1] == folders[2]
    assert twin_folder(dict(reversed(list(first.items())))) == twin_folder(first)


def test_a_space_without_such_a_point_has_no_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spaces.recipe_space("wakeword"), "LABELS_ALONE", {})
    point = spaces.recipe_space("wakeword").START_POINTS[0]
    assert labels_alone("wakeword", point) is None
    assert not learns_alone("wakeword", point)
