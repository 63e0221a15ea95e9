# ruff: noqa: T201
"""Our searcher beside its peers on black boxes with the real wall, as Markdown tables.

`python -m tests.benchmarks.bench_search [--seeds 8] [--slow-seeds 2] [--quick] [--output FILE.json] [--only TEXT]`;
`--footprints` makes footprints.csv anew, which takes a quarter of an hour.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import final

from export.results import write_atomically
from tests.benchmarks import syne_tune_peer
from tests.benchmarks.black_box import Wall, wall_of
from tests.benchmarks.contenders import (
    AskTell,
    Contender,
    Ours,
    gp,
    joint_tpe,
    nsga2,
    plain_tpe,
    random,
    ray_optuna_search,
)
from tests.benchmarks.ledger import Assignment, Ledger
from tests.benchmarks.search_tables import Outcome, Outcomes, assumptions, outcome_of, print_all
from tests.benchmarks.suggestion_times import milliseconds_by_trials
from tests.benchmarks.syne_tune_peer import SyneTune

SHARES = (0.40, 0.18, 0.03)
NARROWEST = 0.01
TRIALS = 60
OURS = "ours"


@final
@dataclass(frozen=True)
class Entry:
    """A contender in its table. A slow one gets fewer seeds; `shares` are the walls that it is given."""

    contender: Contender
    slow: bool = False
    shares: tuple[float, ...] = SHARES


@final
@dataclass(frozen=True)
class Seeds:
    """How many searches each contender makes, from the `first` seed on."""

    first: int
    count: int
    slow_count: int

    @property
    def quick(self) -> range:
        """For those that take seconds."""
        return range(self.first, self.first + self.count)

    @property
    def slow(self) -> range:
        """For those that take minutes."""
        return range(self.first, self.first + self.slow_count)


PEERS = {
    OURS: Entry(Ours()),
    "Optuna TPE as it comes": Entry(AskTell(plain_tpe, constrained=False)),
    "Optuna TPE joint + set_constraint": Entry(AskTell(joint_tpe)),
    "Optuna NSGA-II (20) + set_constraint": Entry(AskTell(nsga2)),
    "Ray OptunaSearch": Entry(ray_optuna_search),
    "random": Entry(AskTell(random, constrained=False)),
    "random, refusing": Entry(AskTell(random, "failed", constrained=False)),
    "NSGA-II (20), refusing, told COMPLETE": Entry(AskTell(nsga2, "complete")),
    "Optuna GP + set_constraint": Entry(AskTell(gp), slow=True),
}
TEACHING = {
    "PRUNED with constraints": Entry(AskTell(joint_tpe, "pruned")),
    "PRUNED without": Entry(AskTell(joint_tpe, "pruned", constrained=False)),
    "FAIL, as good as unrecorded, 400 asks": Entry(AskTell(joint_tpe, "failed", most_asks=400)),
    "COMPLETE, score 0, with constraints": Entry(AskTell(joint_tpe, "complete")),
    "COMPLETE, score 0, without": Entry(AskTell(joint_tpe, "complete", constrained=False)),
}
BATCHES = {
    **{f"{OURS}, K={size}": Entry(Ours(batch=size)) for size in (4, 8)},
    **{f"--sampler tpe, K={size}": Entry(Ours("tpe", batch=size)) for size in (4, 8)},
}
# GP learns from no refused point: behind the narrower walls it would ask for hours.
SAMPLERS = {
    "--sampler tpe": Entry(Ours("tpe")),
    "--sampler nsga2": Entry(Ours("nsga2")),
    "--sampler nsga3": Entry(Ours("nsga3")),
    "--sampler random": Entry(Ours("random")),
    "--sampler gp": Entry(Ours("gp"), slow=True, shares=SHARES[:1]),
}


AT_THE_NARROWEST = {
    name: replace(entry, shares=(NARROWEST,))
    for name, entry in PEERS.items()
    if OURS in name or name == "random, refusing"
} | {"--sampler tpe": Entry(Ours("tpe"), shares=(NARROWEST,))}
# Each architecture's score is off by its own 5 %, which no model foresees.
ROUGHNESS = 0.05
ROUGH = {name: PEERS[name] for name in (OURS, "random, refusing", "NSGA-II (20), refusing, told COMPLETE")} | {
    "--sampler tpe": Entry(Ours("tpe"))
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every contender at every wall and print the tables."""
    asked = _parser().parse_args(arguments)
    if asked.footprints:
        from tests.benchmarks.footprint_table import write_footprints

        print(f"{write_footprints()} footprints written")
        return
    seeds, trials = Seeds(asked.first_seed, asked.seeds, asked.slow_seeds), TRIALS
    if asked.quick:
        seeds, trials = Seeds(asked.first_seed, 2, 1), 20
    started = time.perf_counter()
    walls = {share: wall_of(share) for share in (*SHARES, NARROWEST)}
    print(assumptions(list(walls.values()), trials, seeds.count, seeds.slow_count), flush=True)
    groups = {"peers": PEERS, "teaching": TEACHING, "batches": BATCHES, "samplers": SAMPLERS}
    with syne_tune() as entries:
        groups["peers"] = PEERS | entries
        chosen = {group: _only(asked.only, entries) for group, entries in groups.items()}
        outcomes = {group: outcomes_of(entries, walls, seeds, trials) for group, entries in chosen.items()}
    narrow = outcomes_of(AT_THE_NARROWEST, walls, seeds, trials)
    rough = outcomes_of(ROUGH, walls, seeds, trials, ROUGHNESS)
    times = milliseconds_by_trials(quick=asked.quick)
    if asked.output:
        every = {**outcomes, "narrowest": narrow, "rough": rough}
        write_atomically(asked.output, json.dumps(_plain(every, times), indent=1))
    print_all(outcomes, narrow, rough, times, OURS)
    print(f"\n{time.perf_counter() - started:.0f} s in all")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench_search", description=__doc__)
    parser.add_argument("--seeds", type=int, default=8, metavar="N", help="searches of each contender at each wall")
    parser.add_argument(
        "--slow-seeds", type=int, default=2, metavar="N", help="the same for GP and EHVI; 0 leaves them out"
    )
    parser.add_argument(
        "--first-seed", type=int, default=8, metavar="N", help="0-7 were in view when the default sampler was made"
    )
    parser.add_argument("--quick", action="store_true", help="2 seeds of 20 trials: shows that it runs")
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="every search in figures")
    parser.add_argument("--only", default="", metavar="TEXT", help="ours and the contenders whose name holds TEXT")
    parser.add_argument("--footprints", action="store_true", help="make footprints.csv anew and end")
    return parser


def _only(text: str, entries: Mapping[str, Entry]) -> dict[str, Entry]:
    return {name: entry for name, entry in entries.items() if text in name or name == OURS}


@contextlib.contextmanager
def syne_tune() -> Iterator[dict[str, Entry]]:
    """syne-tune's contenders, where its environment is named; without one, a line that says so."""
    if syne_tune_peer.python() is None:
        print(f"syne-tune is left out: {syne_tune_peer.PYTHON} names no Python that has it\n")
        yield {}
        return
    ehvi, evolution = SyneTune("ehvi"), SyneTune("evolution")
    try:
        yield {"syne-tune evolution (20)": Entry(evolution), "syne-tune EHVI": Entry(ehvi, slow=True)}
    finally:
        ehvi.close()
        evolution.close()


def outcomes_of(
    entries: Mapping[str, Entry],
    walls: Mapping[float, Wall],
    seeds: Seeds,
    trials: int,
    roughness: float = 0.0,
) -> Outcomes:
    """Every contender at each of its walls, by name and wall, one outcome for each seed."""
    found = {}
    for name, entry in entries.items():
        started = time.perf_counter()
        if runs := seeds.slow if entry.slow else seeds.quick:
            found[name] = {
                walls[share].name: [
                    searched(entry.contender, Assignment(walls[share], seed, trials, roughness)) for seed in runs
                ]
                for share in entry.shares
            }
            means = ", ".join(f"{mean(o.hypervolume for o in several):.3f}" for several in found[name].values())
            print(f"{name}: {means} ({time.perf_counter() - started:.0f} s)", file=sys.stderr, flush=True)
    return found


def searched(contender: Contender, assignment: Assignment) -> Outcome:
    """One search."""
    ledger = Ledger(assignment)
    contender(ledger)
    return outcome_of(ledger)


def _plain(outcomes: Mapping[str, Outcomes], times: Mapping[str, Mapping[int, float]]) -> object:
    searches = {
        group: {
            name: {wall: [asdict(one) for one in several] for wall, several in by_wall.items()}
            for name, by_wall in found.items()
        }
        for group, found in outcomes.items()
    }
    return {"searches": searches, "milliseconds": times, "python": sys.version}


if __name__ == "__main__":
    main()
