"""The default sampler: expected gain, its surface, its coordinates, and what it learns from."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import moocore
import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from search.coordinates import DrawingTrial, Encoding, from_unit, moved, to_unit
from search.known_costs import SCORE_WHEN_STOPPED, KnownCostSampler, expected_gains
from search.surface import Surface
from spaces.budget import Budget
from spaces.candidate import Objective, Scalar
from spaces.narrowed import NarrowedSpace, Narrowing, parameters
from tests.benchmarks.black_box import BlackBox, footprint_of_params, values_of, wall_of

EVERYTHING = Narrowing()
BOX = BlackBox()


def gain_by_moocore(front: np.ndarray, cost: np.ndarray, mean: float, deviation: float) -> float:
    """Expected gain by a sum over scores."""

    def volume(points: np.ndarray) -> float:
        return float(moocore.hypervolume(points * [-1, 1, 1], ref=[0.0, 1.0, 1.0]))

    steps = np.linspace(-6, 6, 1201)
    gains = [volume(np.vstack([front, [max(mean + deviation * s, 0), *cost]])) - volume(front) for s in steps]
    return float(np.sum(np.array(gains) * norm.pdf(steps)) * (steps[1] - steps[0]))


@pytest.mark.parametrize("seed", range(4))
def test_expected_gain_is_that_of_a_sum_over_scores(seed: int) -> None:
    rng = np.random.default_rng(seed)
    front, costs = rng.uniform(0.1, 0.9, (5, 3)), rng.uniform(0.05, 1.1, (4, 2))
    mean, deviation = rng.uniform(0.3, 0.8, 4), rng.uniform(0.02, 0.1, 4)
    found = expected_gains(front, costs, mean, deviation)
    for row in range(4):
        within = costs[row].max() < 1
        expected = gain_by_moocore(front, costs[row], mean[row], deviation[row]) if within else 0.0
        assert found[row] == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_the_surface_is_scikit_learns_where_both_have_the_same_kernel() -> None:
    rng = np.random.default_rng(0)
    points, asked = rng.random((30, 3)), rng.random((7, 3))
    values = np.sin(3 * points[:, :1]) + points[:, 1:2]
    surface = Surface([np.array([True, True, True])], noises=(1e-3,))
    surface.fit(points, values)
    spread = values.std()
    theirs = GaussianProcessRegressor(Matern(surface.lengths[0], nu=2.5), alpha=1e-3, optimizer=None)
    theirs.fit(points, (values[:, 0] - values.mean()) / spread)
    mean, deviation = theirs.predict(asked, return_std=True)
    our_mean, our_deviation = surface.at(asked)
    assert our_mean[:, 0] == pytest.approx(mean * spread + values.mean(), abs=1e-6)
    assert our_deviation[:, 0] / our_deviation[0, 0] == pytest.approx(deviation / deviation[0], rel=1e-4)


def test_the_surface_finds_which_columns_matter() -> None:
    rng = np.random.default_rng(1)
    points = rng.random((60, 4))
    surface = Surface([np.array([True, True, False, False]), np.array([False, False, True, True])])
    surface.fit(points, np.sin(6 * points[:, :1]) * np.cos(5 * points[:, 1:2]))
    assert surface.lengths[0] < surface.lengths[1]


@given(st.floats(0, 1))
@pytest.mark.parametrize("name", ["peak_lr", "alpha", "tiny_conv_width", "ds_cnn_depth"])
def test_a_place_on_a_scale_and_back(name: str, place: float) -> None:
    distribution = parameters_of_the_box[name]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    value = from_unit(distribution, place)
    assert distribution._contains(distribution.to_internal_repr(value))
    assert from_unit(distribution, to_unit(distribution, value)) == pytest.approx(value)


parameters_of_the_box: Mapping[str, BaseDistribution] = parameters(BOX)


def test_what_is_moved_stays_in_its_range() -> None:
    rng = np.random.default_rng(0)
    for name, distribution in parameters_of_the_box.items():
        value = DrawingTrial({}, parameters_of_the_box, rng)._suggest(name)
        for _ in range(50):
            value = moved(distribution, value, rng)
            assert distribution._contains(distribution.to_internal_repr(value)), name


def test_choices_are_as_far_apart_as_the_ends_of_a_range() -> None:
    choice, number = {"c": CategoricalDistribution(("x", "y"))}, {"n": FloatDistribution(1.0, 5.0)}
    x, y = Encoding(choice).of([{"c": "x"}, {"c": "y"}])
    low, high = Encoding(number).of([{"n": 1.0}, {"n": 5.0}])
    assert np.linalg.norm(x - y) == pytest.approx(np.linalg.norm(low - high)) == pytest.approx(1.0)


def study_of(budget: Budget, narrowing: Narrowing = EVERYTHING, seed: int = 0) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = KnownCostSampler(NarrowedSpace(BOX, narrowing), budget, seed)
    return optuna.create_study(directions=["maximize", "minimize", "minimize"], sampler=sampler)


def asked(study: optuna.Study, narrowing: Narrowing = EVERYTHING) -> optuna.Trial:
    trial = study.ask()
    narrowing.propose(BOX, trial)
    trial.set_user_attr("footprint", footprint_of_params(trial.params).as_dict())
    return trial


def test_costs_are_learnt_from_refused_points_too() -> None:
    wall = wall_of(0.03)
    study = study_of(wall.budget)
    fits = []
    for _ in range(60):
        trial = asked(study)
        study.tell(trial, state=TrialState.PRUNED)
        fits.append(wall.budget.fits(footprint_of_params(trial.params)))
    # Nothing was ever trained: at random 3 % would fit.
    assert sum(fits[20:]) > 10
    architectures = [tuple(sorted(t.params.items())) for t in study.trials]
    assert not any(a == b for a, b in itertools.pairwise(architectures))


@pytest.mark.parametrize("budget", [wall_of(0.4).budget, Budget(), Budget(latency_ms=20.0)], ids=str)
def scores_of(budget: Budget, seed: int) -> list[float]:
    study, scores = study_of(budget, seed=seed), []
    for _ in range(40):
        trial = asked(study)
        values = values_of(trial.params, 0)
        study.tell(trial, values)
        scores.append(values[0] if budget.fits(footprint_of_params(trial.params)) else 0.0)
    return scores


@pytest.mark.parametrize("budget", [wall_of(0.4).budget, Budget(), Budget(latency_ms=20.0)], ids=str)
def test_scores_rise_whatever_ceilings_there_are(budget: Budget) -> None:
    scores = np.array([scores_of(budget, seed) for seed in range(5)])
    assert scores[:, -15:].mean() > scores[:, :8].mean() + 0.15


def test_one_architecture_alone_is_searched_for_how_to_train_it() -> None:
    fixed: dict[str, Scalar] = {"student": "ds_cnn", "ds_cnn_width": 32, "ds_cnn_depth": 3, "ds_cnn_second_stride": 1}
    narrowing = Narrowing({**fixed, "hop_ms": 20, "mels": 40}, {"temperature": (2.0, 6.0)})
    study, scores = study_of(Budget(), narrowing), []
    for _ in range(30):
        trial = asked(study, narrowing)
        assert fixed.items() <= trial.params.items()
        assert 2.0 <= trial.params["temperature"] <= 6.0
        scores.append(values_of(trial.params, 0)[0])
        study.tell(trial, values_of(trial.params, 0))
    assert np.mean(scores[-10:]) > np.mean(scores[:8]) + 0.1


@pytest.mark.parametrize("ending", ["stopped", "failed"])
def test_what_was_given_up_is_not_proposed_again_and_again(ending: str) -> None:
    study = study_of(Budget())
    for _ in range(40):
        trial = asked(study)
        if trial.params["student"] == "tiny_conv":
            study.tell(trial, values_of(trial.params, 0))
        elif ending == "stopped":
            trial.set_user_attr(SCORE_WHEN_STOPPED, 0.01)
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, state=TrialState.FAIL)
    last = [trial.params["student"] for trial in study.trials[-15:]]
    assert last.count("tiny_conv") > 10


def test_several_that_run_at_once_differ() -> None:
    study = study_of(wall_of(0.4).budget)
    for _ in range(12):
        trial = asked(study)
        study.tell(trial, values_of(trial.params, 0))
    running = [asked(study).params for _ in range(6)]
    assert len({tuple(sorted(params.items())) for params in running}) == 6


def test_objectives_that_it_cannot_weigh_are_named() -> None:
    other = BlackBox()
    other.OBJECTIVES = (Objective("score", "maximize"), Objective("loss", "minimize"))
    with pytest.raises(ValueError, match=r"--sampler: ehvi needs one score .*, not maximize score, minimize loss"):
        KnownCostSampler(NarrowedSpace(other, Narrowing()), Budget(), 0)
