"""What one `python -m search RECIPE` was asked for, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, final

from spaces.narrowed import Narrowing
from trainables.assignment import Assignment
from trainables.recipe import Material, Request

if TYPE_CHECKING:
    from export.calibration import Calibration
    from search.side_car import Mode
    from spaces.board import Board
    from spaces.budget import Budget


@final
@dataclass(frozen=True)
class Share:
    """What one trial gets: `cpus` (a fraction lets trials share one) and `gpus`."""

    cpus: float = 1.0
    gpus: float = 0.0

    @property
    def threads(self) -> int:
        """Threads of a trial's process."""
        return max(1, int(self.cpus))

    @property
    def device(self) -> str:
        """Where a trial trains."""
        return "cuda" if self.gpus else "cpu"

    @property
    def resources(self) -> dict[str, float]:
        """As Ray counts them."""
        return {"cpu": self.cpus, **({"gpu": self.gpus} if self.gpus else {})}


@final
@dataclass(frozen=True)
class Options:
    """Everything that the command line decides.

    `results` is a path or a URI; `cpus` bounds what a local Ray uses (0: all), `seconds` the whole search; `batch`
    candidates share a Ray trial, and a `population` of so many of one architecture is taught together (1: none are;
    None: in second looks and ablations, as many as pay); `warm_starts` are results folders whose fronts are tried
    first; `confirm` fresh seeds are for each member of the front, and `final` is a pick to train at the source's
    epochs. `ablation`: in place of a search, the recipe's own settings with `seeds` seeds each.
    """

    recipe: str
    results: str
    trials: int
    epochs: int
    board: Board
    budget: Budget
    request: Request
    narrowing: Narrowing = field(default_factory=Narrowing)
    calibration: Calibration | None = None
    cpus: int = 0
    address: str | None = None
    share: Share = field(default_factory=Share)
    sampler: str = "ehvi"
    stop: str = "none"
    batch: int = 1
    population: int | None = None
    seconds: float | None = None
    warm_starts: tuple[Path, ...] = ()
    wandb: Mode = "offline"
    confirm: int = 0
    final: str | None = None
    ablation: bool = False
    seeds: int = 3
    command: str = ""

    def assignment(self, material: Material, trials: Path) -> Assignment:
        """What every trial needs, with one folder per trial under `trials`."""
        seed, device = self.request.seed, self.share.device
        return Assignment(self.recipe, material, self.board, self.epochs, seed, trials, self.calibration, device)


@final
@dataclass(frozen=True)
class Ended:
    """How a search ended.

    `complete`: all trials are there, or the time that it was given was used up; `trained`: how many; `fault`: why it
    could not go on, or why the first trial failed where none was trained; `exported`: the exit code of the export.
    """

    complete: bool
    trained: int
    fault: str | None
    exported: int = 0
