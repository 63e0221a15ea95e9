# ruff: noqa: T201
"""Tables of a benchmark of searches: hypervolume, ratios, counts, suggestion times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, final

from tests.benchmarks.black_box import table
from tests.benchmarks.ledger import KNOWN_FOOTPRINT_SECONDS, NEW_FOOTPRINT_SECONDS, TRAINED_SECONDS
from tests.benchmarks.search_figures import feasible_hypervolume, markdown, mean_interval, ratio_interval, with_interval

if TYPE_CHECKING:
    from tests.benchmarks.black_box import Wall
    from tests.benchmarks.ledger import Ledger


@final
@dataclass(frozen=True)
class Outcome:
    """One finished search in figures; `hypervolume_in_time` is what it had when its trainings alone would be over."""

    hypervolume: float
    hypervolume_in_time: float
    trained: int
    fitting: int
    asks: int
    refused: int
    footprints_new: int
    sampler_seconds: float
    seconds: float


Outcomes = Mapping[str, Mapping[str, Sequence[Outcome]]]
Figure = Callable[[Outcome], float]


def outcome_of(ledger: Ledger) -> Outcome:
    """The figures of a search that is over."""
    assignment = ledger.assignment
    budget, in_time = assignment.wall.budget, assignment.trials * TRAINED_SECONDS
    return Outcome(
        hypervolume=feasible_hypervolume(ledger.trained, budget),
        hypervolume_in_time=feasible_hypervolume(ledger.trained, budget, in_time),
        trained=len(ledger.trained),
        fitting=sum(trial.fits for trial in ledger.trained),
        asks=ledger.asks,
        refused=ledger.refused,
        footprints_new=ledger.footprints_new,
        sampler_seconds=ledger.sampler_seconds,
        seconds=ledger.seconds,
    )


def assumptions(walls: Sequence[Wall], trials: int, seeds: int, slow_seeds: int) -> str:
    """What the figures rest on."""
    profiler = next(iter(table().values())).profiler_version
    lines = [
        f"{len(table())} real students (profiler {profiler}), synthetic score; {trials} trained trials, {seeds} seeds "
        f"(GP and EHVI: {slow_seeds}), every contender begins with the recipe's start point.",
        f"Hypervolume: share of the box between score 0 and the ceilings. In equal time: after {trials} x "
        f"{TRAINED_SECONDS:g} s, where a training is assumed to cost {TRAINED_SECONDS:g} s, a new footprint "
        f"{NEW_FOOTPRINT_SECONDS:g} s, a known one {KNOWN_FOOTPRINT_SECONDS:g} s, one after the other; the sampler's "
        "processor time is measured.",
    ]
    lines += [f"Wall {wall.name}: {wall.share:.2%} of random draws fit {wall.budget}." for wall in walls]
    return "\n".join(lines)


def print_all(
    outcomes: Mapping[str, Outcomes],
    narrowest: Outcomes,
    rough: Outcomes,
    milliseconds: Mapping[str, Mapping[int, float]],
    ours: str,
) -> None:
    """Every table, each under its heading."""
    peers = outcomes["peers"]
    everyone = {name: by_wall for group in outcomes.values() for name, by_wall in group.items()}
    _print("Feasible hypervolume after the same number of trained trials", _means(everyone, _hypervolume))
    _print(f"The same as ratio {ours} / peer", _ratios(everyone, peers[ours], _hypervolume, ours))
    _print("Feasible hypervolume in equal time", _means(everyone, _in_time))
    _print(f"The same as ratio {ours} / peer", _ratios(everyone, peers[ours], _in_time, ours))
    _print("Feasible hypervolume where the score is rough", _means(rough, _hypervolume))
    _print("What it took", _efforts(with_walls(everyone, narrowest)))
    _print("Processor milliseconds of one suggestion with its tell, on the journal", _times(milliseconds))


def with_walls(outcomes: Outcomes, more: Outcomes) -> Outcomes:
    """Further walls joined to the contenders that have them."""
    return {name: {**by_wall, **more.get(name, {})} for name, by_wall in outcomes.items()}


def _print(heading: str, lines: str) -> None:
    print(f"\n### {heading}\n\n{lines}", flush=True)


def _hypervolume(outcome: Outcome) -> float:
    return outcome.hypervolume


def _in_time(outcome: Outcome) -> float:
    return outcome.hypervolume_in_time


def _of(figure: Figure, outcomes: Sequence[Outcome]) -> list[float]:
    return [figure(outcome) for outcome in outcomes]


def _means(outcomes: Outcomes, figure: Figure) -> str:
    walls = list(next(iter(outcomes.values())))

    def shown(by_wall: Mapping[str, Sequence[Outcome]], wall: str) -> str:
        return with_interval(mean_interval(_of(figure, by_wall[wall]))) if wall in by_wall else ""

    rows = [[_named(name, by_wall), *(shown(by_wall, wall) for wall in walls)] for name, by_wall in outcomes.items()]
    return markdown(["", *(f"{wall} fits" for wall in walls)], rows)


def _named(name: str, by_wall: Mapping[str, Sequence[Outcome]]) -> str:
    seeds = len(next(iter(by_wall.values())))
    return f"{name}, {seeds} seeds"


def _ratios(outcomes: Outcomes, ours: Mapping[str, Sequence[Outcome]], figure: Figure, us: str) -> str:
    def shown(by_wall: Mapping[str, Sequence[Outcome]], wall: str) -> str:
        if wall not in by_wall:
            return ""
        return with_interval(ratio_interval(_of(figure, ours[wall]), _of(figure, by_wall[wall])), 2)

    rows = [[name, *(shown(by_wall, wall) for wall in ours)] for name, by_wall in outcomes.items() if name != us]
    return markdown(["", *(f"{wall} fits" for wall in ours)], rows)


def _efforts(outcomes: Outcomes) -> str:
    rows = [
        [name if position == 0 else "", wall, *_effort(searches)]
        for name, by_wall in outcomes.items()
        for position, (wall, searches) in enumerate(by_wall.items())
    ]
    head = ["", "wall", "trained", "of which fit", "asks per trained", "refused per trained", "new footprints"]
    return markdown([*head, "sampler s per trained", "assumed s per trained"], rows)


def _effort(searches: Sequence[Outcome]) -> list[str]:
    trained = mean(s.trained for s in searches)
    figures = (
        mean(s.asks for s in searches) / trained,
        mean(s.refused for s in searches) / trained,
        mean(s.footprints_new for s in searches),
        mean(s.sampler_seconds for s in searches) / trained,
        mean(s.seconds for s in searches) / trained,
    )
    digits = (1, 1, 0, 3, 1)
    shown = [f"{figure:.{places}f}" for figure, places in zip(figures, digits, strict=True)]
    return [f"{trained:.0f}", f"{mean(s.fitting for s in searches):.0f}", *shown]


def _times(milliseconds: Mapping[str, Mapping[int, float]]) -> str:
    counts = sorted({count for by_count in milliseconds.values() for count in by_count})
    rows = [
        [name, *(f"{by_count[count]:.1f}" if count in by_count else "" for count in counts)]
        for name, by_count in milliseconds.items()
    ]
    return markdown(["", *(f"{count} trials" for count in counts)], rows)
