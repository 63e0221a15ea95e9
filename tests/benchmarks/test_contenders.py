"""What each contender may do with its trainings, and the proposed sampler."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import moocore
import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from spaces.narrowed import parameters
from tests.benchmarks.black_box import BlackBox, footprint_of_params, wall_of
from tests.benchmarks.contenders import (
    KNOWN_COSTS,
    AskTell,
    Contender,
    Ours,
    joint_tpe,
    nsga2,
    plain_tpe,
    random,
    ray_optuna_search,
)
from tests.benchmarks.coordinates import DrawingTrial, Encoding, from_unit, moved, to_unit
from tests.benchmarks.known_costs import KnownCostSampler, expected_gains, front_of
from tests.benchmarks.ledger import Assignment, Ledger
from tests.benchmarks.search_tables import outcome_of
from tests.benchmarks.surface import Surface
from tests.benchmarks.syne_tune_peer import active, flat_space

BOX = BlackBox()
REFUSING: dict[str, Contender] = {
    "ours": Ours(),
    "ours, K=4": Ours(batch=4),
    "known costs": Ours(KNOWN_COSTS),
    "known costs, K=4": Ours(KNOWN_COSTS, batch=4),
    "random": AskTell(random, "failed", constrained=False),
    "pruned": AskTell(joint_tpe, "pruned"),
    "nsga2": AskTell(nsga2, "complete"),
}
TRAINING_ALL: dict[str, Contender] = {
    "tpe": AskTell(plain_tpe, constrained=False),
    "tpe + constraints": AskTell(joint_tpe),
    "ray": ray_optuna_search,
}


def searched(contender: Contender, trials: int = 12, share: float = 0.18) -> Ledger:
    ledger = Ledger(Assignment(wall_of(share), 2, trials))
    contender(ledger)
    return ledger


@pytest.mark.parametrize("name", REFUSING)
def test_who_refuses_trains_only_what_fits(name: str) -> None:
    ledger = searched(REFUSING[name])
    assert len(ledger.trained) == 12
    assert all(trial.fits for trial in ledger.trained)
    assert ledger.asks == 12 + ledger.refused == ledger.footprints_new + ledger.footprints_known


@pytest.mark.parametrize("name", TRAINING_ALL)
def test_who_does_not_refuse_pays_for_every_point(name: str) -> None:
    ledger = searched(TRAINING_ALL[name])
    assert len(ledger.trained) == ledger.asks == 12
    assert ledger.refused == ledger.footprints_new == 0
    assert not all(trial.fits for trial in ledger.trained)


def test_an_outcome_is_the_ledger_in_figures() -> None:
    ledger = searched(REFUSING["random"])
    outcome = outcome_of(ledger)
    assert (outcome.trained, outcome.fitting, outcome.asks) == (12, 12, ledger.asks)
    # 12 trainings and what was refused take longer than 12 trainings.
    assert 0 < outcome.hypervolume_in_time <= outcome.hypervolume < 1


def test_asks_end_where_nothing_is_admitted() -> None:
    ledger = searched(AskTell(random, "failed", constrained=False, most_asks=30), share=0.01)
    assert ledger.asks == 30
    assert len(ledger.trained) < 12


def test_syne_tunes_flat_proposals_lose_what_the_branch_lacks() -> None:
    proposal: dict[str, Any] = {
        name: part[1] if part[0] != "choice" else part[1][0] for name, part in flat_space().items()
    }
    kept = active({**proposal, "student": "ds_cnn"})
    assert "ds_cnn_width" in kept
    assert not [name for name in kept if name.startswith("tiny_conv")]
    assert footprint_of_params(kept).flash_bytes > 0


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


def test_the_front_is_what_no_other_dominates() -> None:
    values = [(0.9, 5.0, 5.0), (0.8, 4.0, 6.0), (0.7, 6.0, 6.0), (0.5, 1.0, 1.0), (0.4, 1.0, 2.0)]
    trials = [optuna.trial.create_trial(values=list(v), params={}, distributions={}) for v in values]
    assert [tuple(trial.values) for trial in front_of(trials)] == [values[0], values[1], values[3]]


def test_known_costs_are_learnt_from_refused_points_too() -> None:
    wall = wall_of(0.03)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        directions=["maximize", "minimize", "minimize"], sampler=KnownCostSampler(BOX, wall.budget, 0)
    )
    fits = []
    for _ in range(60):
        trial = study.ask()
        BOX.space(trial)
        footprint = footprint_of_params(trial.params)
        trial.set_user_attr("footprint", footprint.as_dict())
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        fits.append(wall.budget.fits(footprint))
    # Nothing was ever trained: at random 3 % would fit.
    assert sum(fits[20:]) > 10
    architectures = [tuple(sorted(t.params.items())) for t in study.trials]
    assert not any(a == b for a, b in itertools.pairwise(architectures))
