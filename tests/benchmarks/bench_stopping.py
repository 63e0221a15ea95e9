# ruff: noqa: T201
"""Early stopping replayed on real learning curves at equal compute: what each policy gains or loses of the front.

`--from RESULTS` writes the curves of a finished study, best one with `--sampler random` and `--stop none`, as a table
beside this file; without it every table there is replayed.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np

from export.front import CEILING_OF, front_of
from export.results import Results, read_study, write_atomically
from search.stopping import POLICIES, Judge, rungs_of
from spaces import recipe_space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

HERE = Path(__file__).parent
FULL_TRIALS = 24
RESAMPLED = 200
ORDERS = 10


@final
@dataclass(frozen=True)
class Curve:
    """One trial trained to its end: costs, validation score after each epoch, score of its INT8 model."""

    costs: Mapping[str, float]
    scores: tuple[float, ...]
    final: float


@final
@dataclass(frozen=True)
class Spent:
    """What a policy got for its epochs: hypervolume, trials begun, trials stopped, whether it ran out of curves."""

    hypervolume: float
    begun: int
    stopped: int
    exhausted: bool


def main() -> None:
    """Replay every table, or write one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="results", type=Path, metavar="RESULTS")
    results = parser.parse_args().results
    if results:
        print(f"written: {written(results)}")
        return
    for path in sorted(HERE.glob("curves_*.csv")):
        replay(path.stem.removeprefix("curves_"), curves_in(path))


def written(folder: Path) -> Path:
    """Write the curves of a study and return the table's path."""
    study, results = read_study(folder), Results(folder)
    names = [objective.name for objective in study.run.objectives if objective.name != "score"]
    lines = []
    for row in study.trained:
        with (results.trial(row.number) / "history.csv").open() as file:
            scores = [f"{float(epoch['validation_score']):.5f}" for epoch in csv.DictReader(file)]
        costs = [f"{row.footprint[name]:.6g}" for name in names]
        lines.append(",".join([*costs, f"{row.metrics['score_int8']:.5f}", *scores]))
    head = ",".join([*names, "final", *(f"epoch_{epoch}" for epoch in range(len(scores)))])
    path = HERE / f"curves_{study.run.recipe}.csv"
    write_atomically(path, "\n".join([head, *lines]) + "\n")
    return path


def curves_in(path: Path) -> list[Curve]:
    """The curves of a table."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return [_curve({name: float(value) for name, value in row.items()}) for row in rows]


def _curve(row: dict[str, float]) -> Curve:
    scores = tuple(value for name, value in row.items() if name.startswith("epoch_"))
    costs = {name: value for name, value in row.items() if not name.startswith("epoch_") and name != "final"}
    return Curve(costs, scores, row["final"])


def replay(recipe: str, curves: Sequence[Curve]) -> None:
    """Print each policy's hypervolume beside that of no stopping, over resampled pools and random orders."""
    epochs = len(curves[0].scores)
    rng = np.random.default_rng(0)
    pools = [rng.integers(len(curves), size=len(curves)) for _ in range(RESAMPLED)]
    # The same pools and orders for every policy.
    orders = [[rng.permutation(pool) for _ in range(ORDERS)] for pool in pools]
    budget = FULL_TRIALS * epochs
    print(f"\n{recipe}: {len(curves)} curves of {epochs} epochs, {budget} epochs for each policy, {RESAMPLED} pools\n")
    print("| policy | hypervolume | against none | trials begun | stopped | pools used up | front lost |")
    print("|---|---|---|---|---|---|---|")
    base: NDArray[np.float64] | None = None
    for policy in POLICIES:
        spent = [[search(recipe, policy, [curves[i] for i in order], budget) for order in pool] for pool in orders]
        volumes = np.array([np.mean([one.hypervolume for one in pool]) for pool in spent])
        base = volumes if base is None else base
        flat = [one for pool in spent for one in pool]
        begun, stopped, out = (
            np.mean([getattr(one, name) for one in flat]) for name in ("begun", "stopped", "exhausted")
        )
        gain = _interval(volumes - base) if policy != "none" else ""
        lost = f"{front_lost(recipe, policy, curves):.0%}"
        print(f"| {policy} | {volumes.mean():.3f} | {gain} | {begun:.1f} | {stopped:.1f} | {out:.0%} | {lost} |")


def _interval(values: NDArray[np.float64]) -> str:
    low, high = np.percentile(values, [2.5, 97.5])
    return f"{values.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def search(recipe: str, policy: str, order: Sequence[Curve], budget: float) -> Spent:
    """Train in `order` under a policy until `budget` epochs are spent."""
    judge, begun, left = _judge(recipe, policy), 0, budget
    ended: list[Curve] = []
    for number, curve in enumerate(order):
        used, whole = _trained(judge, policy, number, curve)
        if used > left:
            return Spent(_hypervolume(recipe, ended), begun, begun - len(ended), False)
        begun, left = begun + 1, left - used
        ended += [curve] if whole else []
    return Spent(_hypervolume(recipe, ended), begun, begun - len(ended), True)


def _judge(recipe: str, policy: str) -> Judge | None:
    return None if policy == "none" else Judge(policy, recipe_space(recipe).OBJECTIVES)


def _trained(judge: Judge | None, policy: str, number: int, curve: Curve) -> tuple[int, bool]:
    for rung in rungs_of(policy, len(curve.scores)):
        assert judge is not None
        if judge.verdict(number, curve.costs, rung, max(curve.scores[:rung])):
            return rung, False
    return len(curve.scores), True


def _values(recipe: str, curve: Curve) -> list[float]:
    return [{**curve.costs, "score": curve.final}[objective.name] for objective in recipe_space(recipe).OBJECTIVES]


def _hypervolume(recipe: str, curves: Sequence[Curve]) -> float:
    space = recipe_space(recipe)
    ceilings = [space.BUDGET.as_dict().get(CEILING_OF.get(o.name, o.name)) for o in space.OBJECTIVES]
    directions = [objective.direction for objective in space.OBJECTIVES]
    return front_of([_values(recipe, curve) for curve in curves], directions, ceilings).hypervolume


def front_lost(recipe: str, policy: str, curves: Sequence[Curve]) -> float:
    """Share of the whole pool's front that a policy stops, over random orders of the pool."""
    directions = [objective.direction for objective in recipe_space(recipe).OBJECTIVES]
    front = set(front_of([_values(recipe, curve) for curve in curves], directions).indices)
    rng, lost = np.random.default_rng(1), 0
    for _ in range(100):
        judge = _judge(recipe, policy)
        ended = {int(i): _trained(judge, policy, int(i), curves[i])[1] for i in rng.permutation(len(curves))}
        lost += sum(not ended[i] for i in front)
    return lost / (100 * len(front))


if __name__ == "__main__":
    main()
