"""Learning-rate schedules: shapes, ends, bounds."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spaces.candidate import Schedule, ScheduleKind
from spaces.knobs import SCHEDULES
from trainables.schedules import learning_rate


@pytest.mark.parametrize("kind", SCHEDULES)
@given(progress=st.floats(0, 1))
def test_never_above_peak_nor_below_zero(kind: ScheduleKind, progress: float) -> None:
    assert 0 <= learning_rate(Schedule(kind, 2e-3), progress) <= 2e-3 * (1 + 1e-9)


def test_step_drops_to_a_tenth_half_way() -> None:
    rates = [learning_rate(Schedule("step", 1.0), progress) for progress in (0, 0.49, 0.5, 1)]
    assert rates == [1.0, 1.0, 0.1, 0.1]


def test_flat_then_linear() -> None:
    rates = [learning_rate(Schedule("flat_then_linear", 1.0), progress) for progress in (0, 0.5, 0.75, 1)]
    assert rates == [1.0, 1.0, 0.5, 0.0]


def optimizer(peak: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak, momentum=0.9)


def test_cosine_is_torchs() -> None:
    steps, torchs = 40, optimizer(1e-3)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(torchs, steps)
    for step in range(steps):
        assert learning_rate(Schedule("cosine", 1e-3), step / steps) == pytest.approx(
            torchs.param_groups[0]["lr"], rel=1e-5
        )
        torchs.step()
        reference.step()


def test_one_cycle_is_torchs() -> None:
    steps, torchs = 101, optimizer(1e-3)
    reference = torch.optim.lr_scheduler.OneCycleLR(
        torchs, 1e-3, total_steps=steps, pct_start=0.31, final_div_factor=1e9
    )
    peak_step = 0.31 * steps - 1
    for step in range(steps):
        # torch counts the rise to step 30.31 of 100; ours to 0.3: the same curve on a slightly other clock.
        ours = step / peak_step * 0.3 if step <= peak_step else 0.3 + (step - peak_step) / (steps - 1 - peak_step) * 0.7
        assert learning_rate(Schedule("one_cycle", 1e-3), ours) == pytest.approx(
            torchs.param_groups[0]["lr"], rel=1e-4, abs=1e-9
        )
        torchs.step()
        reference.step()
