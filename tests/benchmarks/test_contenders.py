"""What each contender may do with its trainings, and the proposed sampler."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks.black_box import BlackBox, footprint_of_params, wall_of
from tests.benchmarks.contenders import (
    AskTell,
    Contender,
    Ours,
    joint_tpe,
    nsga2,
    plain_tpe,
    random,
    ray_optuna_search,
)
from tests.benchmarks.ledger import Assignment, Ledger
from tests.benchmarks.search_tables import outcome_of
from tests.benchmarks.syne_tune_peer import active, flat_space

BOX = BlackBox()
REFUSING: dict[str, Contender] = {
    "ours": Ours(),
    "ours, K=4": Ours(batch=4),
    "tpe": Ours("tpe"),
    "tpe, K=4": Ours("tpe", batch=4),
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
