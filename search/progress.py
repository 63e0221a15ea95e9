"""Progress of a running search: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, final

from optuna.trial import TrialState
from rich.console import Console
from rich.live import Live
from rich.text import Text

from export.front import front_of
from search.study import COUNTED, outcome

if TYPE_CHECKING:
    import optuna

PLAIN_SECONDS = 10.0


@final
class Progress:
    """Hears of trials that ended and shows where the study stands; `running` counts those that have not."""

    def __init__(
        self, study: optuna.Study, trials: int, ceilings: list[float | None], running: Callable[[], int]
    ) -> None:
        self._study, self._trials, self._begun, self._ceilings = study, trials, time.monotonic(), ceilings
        self._counted_before = sum(_counts(study)[kind] for kind in COUNTED)
        self._running = running
        self._said = self._begun
        self._console = Console(file=sys.stdout, highlight=False, soft_wrap=True)

    def shown(self) -> AbstractContextManager[Any]:
        """A context in which the live line is kept up to date; nothing where the output is no terminal."""
        if not self._console.is_terminal:
            return nullcontext()
        return Live(
            console=self._console, get_renderable=lambda: Text(self.line()), refresh_per_second=2, transient=True
        )

    def line(self) -> str:
        """Trained, refused, running, best, front, hypervolume, elapsed, left."""
        counts = _counts(self._study)
        done = sum(counts[kind] for kind in COUNTED)
        elapsed = time.monotonic() - self._begun
        parts = [
            _clock(elapsed),
            f"trained {counts['trained']}/{self._trials}",
            f"refused {counts['refused']}",
            f"running {self._running()}",
        ]
        parts += [f"{kind} {counts[kind]}" for kind in ("stopped", "failed") if counts[kind]]
        return "  ".join([*parts, *self._quality(), f"left {self._left(done, elapsed)}"])

    def ended(self, number: int, params: Mapping[str, Any], report: Mapping[str, Any]) -> None:
        """Say how a trial ended."""
        if report.get("outcome") != "refused":
            self._console.print(_ended(number, report, params))
        self._say()

    def _say(self) -> None:
        now = time.monotonic()
        if not self._console.is_terminal and now - self._said >= PLAIN_SECONDS:
            self._said = now
            self._console.print(self.line())

    def _quality(self) -> list[str]:
        values = [trial.values for trial in self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))]
        if not values:
            return []
        front = front_of(values, [direction.name.lower() for direction in self._study.directions], self._ceilings)
        best = max(row[0] for row in values)
        return [f"best {best:.3f}", f"front {len(front.indices)}", f"hypervolume {front.hypervolume:.3f}"]

    def _left(self, done: int, elapsed: float) -> str:
        ours = done - self._counted_before
        return _clock(elapsed / ours * (self._trials - done)) if ours else "?"


def _counts(study: optuna.Study) -> Counter[str]:
    return Counter(outcome(trial) for trial in study.get_trials(deepcopy=False))


def _ended(number: int, report: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    if report.get("outcome") != "trained":
        return f"trial {number:>4}  {report.get('outcome')}: {report.get('reason')}"
    shown = report["objectives"]
    parts = [f"score {shown.get('score', math.nan):.3f} (float {report['score_float']:.3f})"]
    if "decision_ms" in shown:
        parts.append(f"decision {shown['decision_ms']:6.1f} ms")
    if "arena_bytes" in shown:
        parts.append(f"arena {shown['arena_bytes'] / 1024:6.1f} KiB")
    return "  ".join([f"trial {number:>4}", *parts, str(params.get("student", ""))])


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"
