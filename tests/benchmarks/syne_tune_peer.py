"""syne-tune as a contender, run by the Python that $POTSTILL_SYNE_TUNE names."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, final

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from spaces.narrowed import parameters
from tests.benchmarks.black_box import BlackBox
from tests.benchmarks.ledger import Ledger

BOX = BlackBox()
PYTHON = "POTSTILL_SYNE_TUNE"
CHILD = Path(__file__).with_name("syne_tune_child.py")


def python() -> str | None:
    """The Python of syne-tune's environment, if one is named."""
    return os.environ.get(PYTHON)


@final
class SyneTune:
    """One of syne-tune's schedulers; it knows neither conditions nor constraints.

    A parameter of the other kind of student is proposed and ignored. Metrics are given as fractions of the box minus 3,
    because its EHVI has the reference point of 2 built in after turning the signs: so it is the box's own corner.
    """

    def __init__(self, method: str) -> None:
        self._method = method
        self._child: subprocess.Popen[str] | None = None

    def __call__(self, ledger: Ledger) -> None:
        """Search until the ledger is full."""
        start = [_whole(dict(point)) for point in BOX.START_POINTS]
        message: Any = {"space": flat_space(), "start": start, "seed": ledger.assignment.seed, "method": self._method}
        while ledger.left:
            answer = self._answer(message)
            ledger.asks += 1
            ledger.sampler_seconds += answer["seconds"]
            message = self._metrics(ledger, ledger.train(active(answer["params"])))

    def close(self) -> None:
        """End the child."""
        if self._child is not None and self._child.stdin:
            self._child.stdin.close()
            self._child.wait(timeout=30)

    def _metrics(self, ledger: Ledger, values: tuple[float, float, float]) -> list[float]:
        budget = ledger.assignment.wall.budget
        return [1 - values[0] - 3, values[1] / budget.latency_ms - 3, values[2] / budget.arena_bytes - 3]

    def _answer(self, message: Any) -> Any:
        if self._child is None:
            environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            self._child = subprocess.Popen(
                [str(python()), str(CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
        assert self._child.stdin and self._child.stdout
        self._child.stdin.write(json.dumps(message) + "\n")
        self._child.stdin.flush()
        answer = self._child.stdout.readline()
        if not answer:
            raise RuntimeError(f"{PYTHON}: syne-tune's {self._method} ended without an answer")
        return json.loads(answer)


def flat_space() -> dict[str, list[Any]]:
    """Every parameter of the black box in syne-tune's terms."""
    return {name: _domain(distribution) for name, distribution in parameters(BOX).items()}


def _domain(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return ["choice", list(distribution.choices)]
    if isinstance(distribution, IntDistribution):
        values = range(distribution.low, distribution.high + 1, distribution.step)
        return ["finrange", distribution.low, distribution.high, len(values), True]
    assert isinstance(distribution, FloatDistribution)
    return ["loguniform" if distribution.log else "uniform", distribution.low, distribution.high]


def _whole(point: dict[str, Any]) -> dict[str, Any]:
    return {name: point.get(name, _first(distribution)) for name, distribution in parameters(BOX).items()}


def _first(distribution: BaseDistribution) -> Any:
    return distribution.choices[0] if isinstance(distribution, CategoricalDistribution) else distribution.low  # type: ignore[attr-defined]


def active(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a flat proposal that the space asks for."""
    trial = FixedTrial(params)
    BOX.space(trial)
    return trial.params
