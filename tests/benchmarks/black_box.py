"""A synthetic wake-word recipe behind real walls: true footprints from a table, and a score made up from parameters."""

from __future__ import annotations

import csv
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, final

import numpy as np

from spaces import wakeword
from spaces.budget import Budget, Footprint
from spaces.candidate import Candidate, Objective, Scalar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.trial import BaseTrial

    from spaces.ablation import Setting

TABLE = Path(__file__).with_name("footprints.csv")
HOPS_MS = (10, 20)
MELS = (20, 40)
KINDS: dict[str, dict[str, tuple[Scalar, ...]]] = {
    "tiny_conv": {"width": tuple(range(8, 65, 8)), "depth": (3, 4, 5), "depthwise": (False, True)},
    "ds_cnn": {"width": tuple(range(8, 97, 8)), "depth": (1, 2, 3, 4, 5), "second_stride": (1, 2)},
}
ARCHITECTURE = ("mels", "hop_ms", "student", *(f"{kind}_{name}" for kind, names in KINDS.items() for name in names))
IN_TABLE: dict[str, tuple[Scalar, ...]] = {"mels": MELS, "hop_ms": HOPS_MS, "student": tuple(KINDS)}

Values = tuple[float, float, float]


@dataclass(frozen=True)
class Taste:
    """Where one kind of student learns best, and the score it saturates at.

    `saturation_bytes` is the flash at which 63 % of `ceiling` is reached; `schedules` are losses of the exponent.
    """

    ceiling: float
    saturation_bytes: float
    log10_peak_lr: float
    log2_temperature: float
    alpha: float
    log2_neg_per_pos: float
    schedules: Mapping[str, float]


TASTES = {
    "tiny_conv": Taste(
        0.93, 9000.0, -2.35, 1.0, 0.65, 2.8, {"one_cycle": 0.0, "cosine": 0.4, "flat_then_linear": 0.7, "step": 1.0}
    ),
    "ds_cnn": Taste(
        0.97, 6000.0, -2.75, 2.3, 0.20, 0.6, {"flat_then_linear": 0.0, "step": 0.4, "cosine": 0.7, "one_cycle": 0.9}
    ),
}
EMPTY_MODEL_BYTES = 3000.0
STEEPNESS = 0.3
SEED_NOISE = 0.005


# The score depends on these alone, beside the architecture; older pools know no other parameter.
LEARNING = ("temperature", "alpha", "schedule", "peak_lr", "neg_per_pos")
_PRESET = wakeword.START_POINTS[0]
_START = {name: value for name, value in _PRESET.items() if name in (*LEARNING, *ARCHITECTURE)}


@final
class BlackBox:
    """The wake-word space over the front ends and students of the table; in place of training, a function.

    The score is synthetic: it says which search finds more, and nothing about any student.
    """

    SUMMARY = "synthetic"
    OBJECTIVES: Sequence[Objective] = wakeword.OBJECTIVES
    BUDGET = wakeword.BUDGET
    BOARD = wakeword.BOARD
    TEACHER = wakeword.TEACHER
    EPOCHS = wakeword.EPOCHS
    SOURCE_EPOCHS = wakeword.SOURCE_EPOCHS
    START_POINTS: Sequence[Mapping[str, Scalar]] = (_START,)
    LABELS_ALONE: Mapping[str, Scalar] = wakeword.LABELS_ALONE
    ABLATION: Sequence[Setting] = ()
    ABLATION_FIGURES: Sequence[str] = ()

    def space(self, trial: BaseTrial) -> Candidate:
        """The recipe's own proposal, but only front ends and students that are in the table."""
        return wakeword.space(cast("BaseTrial", _TrialOverTable(trial)))


@final
class _TrialOverTable:
    def __init__(self, trial: BaseTrial) -> None:
        self._trial = trial

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if name in _PRESET and name not in _START and name not in ARCHITECTURE:
            return _PRESET[name]
        return self._trial.suggest_categorical(name, IN_TABLE.get(name, choices))

    def suggest_float(self, name: str, low: float, high: float, **rest: Any) -> Any:
        return self._trial.suggest_float(name, low, high, **rest) if name in LEARNING else _PRESET[name]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)


@dataclass(frozen=True)
class Wall:
    """Ceilings, and the exact share of random draws that they admit."""

    name: str
    budget: Budget
    share: float


def wall_of(share: float) -> Wall:
    """The recipe's default ceilings, scaled together until the share of random draws that fit is nearest to `share`."""
    reached, admitted = 0.0, []
    for scale, weight in sorted((_scale(footprint), _weight(key)) for key, footprint in table().items()):
        reached += weight
        admitted.append((abs(reached - share), -scale, reached))
    _, scale, exact = min(admitted)
    return Wall(f"{share:.0%}", _scaled(-scale * (1 + 1e-9)), exact)


def _scale(footprint: Footprint) -> float:
    return 1 + max(wakeword.BUDGET.overrun(footprint).values())


def _scaled(scale: float) -> Budget:
    default = wakeword.BUDGET
    return Budget(default.flash_bytes * scale, default.arena_bytes * scale, default.latency_ms * scale)


def share_that_fits(budget: Budget) -> float:
    """Exact share of the space's random draws that fit."""
    return sum(_weight(key) for key, footprint in table().items() if budget.fits(footprint))


def _weight(key: tuple[Scalar, ...]) -> float:
    # Optuna draws the kind first, then the arguments of that kind, each evenly.
    kind = KINDS[str(key[2])]
    return 1 / (len(MELS) * len(HOPS_MS) * len(KINDS) * math.prod(len(values) for values in kind.values()))


def footprint_of_params(params: Mapping[str, Scalar]) -> Footprint:
    """The table's footprint of the architecture among a trial's parameters."""
    return table()[architecture_of(params)]


@cache
def table(path: Path = TABLE) -> dict[tuple[Scalar, ...], Footprint]:
    """Footprints by architecture, as `footprint_table.write_footprints` wrote them."""
    with path.open(newline="") as file:
        return {architecture_of(_architecture(row)): _footprint(row) for row in csv.DictReader(file)}


def architecture_of(params: Mapping[str, Scalar]) -> tuple[Scalar, ...]:
    """Front end, kind and the kind's arguments: what decides the footprint."""
    kind = str(params["student"])
    names = ("mels", "hop_ms", "student", *(f"{kind}_{name}" for name in KINDS[kind]))
    return tuple(params[name] for name in names)


def _architecture(row: Mapping[str, str]) -> dict[str, Scalar]:
    return {name: _plain(row[name]) for name in ARCHITECTURE if row[name]}


def _plain(text: str) -> Scalar:
    return int(text) if text.isdecimal() else {"True": True, "False": False}.get(text, text)


def _footprint(row: Mapping[str, str]) -> Footprint:
    read = {"int": int, "float": float, "str": str}
    return Footprint(**{field.name: read[str(field.type)](row[field.name]) for field in fields(Footprint)})


def values_of(params: Mapping[str, Scalar], seed: int, roughness: float = 0.0) -> Values:
    """Score, decision_ms and arena_bytes of a "trained" candidate; the seed gives the score its noise.

    `roughness` is the standard deviation of a factor that each architecture has for itself, where nothing about its
    neighbours tells it.
    """
    footprint = footprint_of_params(params)
    noise = _drawn([seed], params) * SEED_NOISE
    own = 1 + roughness * _drawn([], dict(zip(ARCHITECTURE, architecture_of(params), strict=False)))
    score = capacity(params, footprint.flash_bytes) * learning(params) * own + noise
    return min(max(float(score), 0.0), 1.0), footprint.decision_ms, float(footprint.arena_bytes)


def _drawn(seeds: list[int], params: Mapping[str, Scalar]) -> float:
    hashed = zlib.crc32(json.dumps(params, sort_keys=True).encode())
    return float(np.random.default_rng([*seeds, hashed]).normal())


def capacity(params: Mapping[str, Scalar], flash_bytes: int) -> float:
    """What the student could reach: it saturates with its size, and a coarse front end or cheap layers take some."""
    kind = str(params["student"])
    taste, depth = TASTES[kind], int(params[f"{kind}_depth"])
    reached = 1 - math.exp(-max(flash_bytes - EMPTY_MODEL_BYTES, 0.0) / taste.saturation_bytes)
    # A shallow net sees further with long hops, a deep one uses short ones.
    hop_fits = (params["hop_ms"] == 20) == (depth <= 3)
    cheap = bool(params.get("tiny_conv_depthwise")) or params.get("ds_cnn_second_stride") == 2
    return taste.ceiling * reached * (1 - 0.04 * (params["mels"] == 20) - 0.05 * (not hop_fits) - 0.04 * cheap)


def learning(params: Mapping[str, Scalar]) -> float:
    """Share of its capacity that the student learns: one smooth hill per kind, with interactions.

    The best rate falls with the width and moves with the schedule, the best alpha rises with the temperature, and the
    temperature matters less the more the hard labels weigh.
    """
    kind = str(params["student"])
    taste, width = TASTES[kind], float(params[f"{kind}_width"])
    alpha, schedule = float(params["alpha"]), str(params["schedule"])
    hotter = math.log2(float(params["temperature"])) - taste.log2_temperature
    best_log10_lr = taste.log10_peak_lr - 0.3 * (width / 64 - 0.5) + {"one_cycle": 0.25, "step": -0.2}.get(schedule, 0)
    distances = (
        ((math.log10(float(params["peak_lr"])) - best_log10_lr) / 0.55) ** 2,
        (1 - alpha) * (hotter / 1.3) ** 2,
        ((alpha - taste.alpha - 0.2 * hotter) / 0.45) ** 2,
        ((math.log2(float(params["neg_per_pos"])) - taste.log2_neg_per_pos) / 1.8) ** 2,
        taste.schedules[schedule],
    )
    return math.exp(-STEEPNESS * sum(distances))
