"""A results folder as a search leaves it, made through Optuna's public interface and real files."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from spaces.budget import Budget, Footprint
from spaces.twin import labels_alone, twin_folder

if TYPE_CHECKING:
    from pathlib import Path

OBJECTIVES: tuple[tuple[str, Literal["maximize", "minimize"]], ...] = (
    ("score", "maximize"),
    ("decision_ms", "minimize"),
    ("arena_bytes", "minimize"),
)
BUDGET = Budget(flash_bytes=128 * 1024, arena_bytes=64 * 1024, latency_ms=50.0)
TFLITE = b"\x1c\x00\x00\x00TFL3" + bytes(range(64))


def footprint(decision_ms: float, arena_bytes: int, flash_bytes: int = 40_000) -> Footprint:
    latency_ms = decision_ms * 0.9
    return Footprint(
        flash_bytes=flash_bytes,
        arena_bytes=arena_bytes,
        host_arena_bytes=arena_bytes + 512,
        latency_ms=latency_ms,
        latency_low_ms=latency_ms * 0.8,
        latency_high_ms=latency_ms * 1.2,
        decision_ms=decision_ms,
        decision_high_ms=decision_ms * 1.2,
        placement="arena in sram, weights in flash",
        board="esp32-s3-devkitc-1-n8",
        profiler_version="1",
    )


def evaluation(score: float) -> list[dict[str, Any]]:
    # A score in decibels is no share.
    score = min(score, 1.0)
    hits, misses = round(200 * score), 200 - round(200 * score)
    false_alarms = [index / 40 for index in range(41)]
    return [
        {
            "type": "confusion",
            "title": "Test clips",
            "labels": ["other", "hey potstill"],
            "counts": [[580, 20], [misses, hits]],
        },
        {
            "type": "curve",
            "title": "ROC on test",
            "x_name": "false positive rate",
            "y_name": "recall",
            "x": false_alarms,
            "y": [value ** (1 - score) for value in false_alarms],
        },
        {
            "type": "det",
            "title": "DET on test",
            "x_name": "false positive rate",
            "y_name": "miss rate",
            "x": false_alarms,
            "y": [1 - value ** (1 - score) for value in false_alarms],
            "negatives": 600,
            "positives": 200,
        },
        {
            "type": "calibration",
            "title": "Calibration on test",
            "x_name": "probability of hey potstill",
            "y_name": "share that is hey potstill",
            "x": [0.02, 0.35, 0.65, 0.98],
            "y": [0.01, 0.5, 0.8, round(score, 3)],
            "clips": [560, 12, 28, 200],
            "error": 0.031,
            "ends": [0.0, 1.0],
        },
        {
            "type": "table",
            "title": "What fired",
            "columns": ["said", "clips", "fired"],
            "rows": [["hey potstill", 200, hits], ["hey hotel", 60, 7]],
        },
    ]


@dataclass
class ResultsFolder:
    """A study under way; each method adds one trial and returns its number."""

    folder: Path
    recipe: str = "wakeword"
    budget: Budget = BUDGET
    details: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.write_run()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(
            study_name=self.recipe,
            storage=JournalStorage(JournalFileBackend(str(self.folder / "study.journal"))),
            directions=[direction for _, direction in OBJECTIVES],
            sampler=optuna.samplers.RandomSampler(seed=1),
        )

    def write_run(self) -> None:
        run = {
            "schema": 1,
            "recipe": self.recipe,
            "command": "python -m search wakeword --trials 24 --results results/demo",
            "objectives": [list(objective) for objective in OBJECTIVES],
            "board": {"name": "esp32-s3-devkitc-1-n8", "cpu_mhz": 240},
            "budget": self.budget.as_dict(),
            "epochs": 20,
            "seeds": {"data": 0, "training": 0, "sampler": 0},
            "data": {
                "name": "synthesised",
                "content_hash": "3f1c" * 16,
                "clips": {"train": {"other": 900, "hey": 300}},
            },
            "teacher": {"name": "speech embedding", "content_hash": "9d2e" * 16},
            "versions": {"python": "3.11", "optuna": optuna.__version__},
            "warnings": ["teacher: F1 0.78 on validation, under 0.8"],
        }
        (self.folder / "run.json").write_text(json.dumps({**run, **self.details}))

    def trained(
        self,
        score: float,
        decision_ms: float,
        arena_bytes: int,
        flash_bytes: int = 40_000,
        score_float: float | None = None,
    ) -> int:
        trial = self._asked(footprint(decision_ms, arena_bytes, flash_bytes))
        in_float = score + 0.004 if score_float is None else score_float
        trial.set_user_attr("outcome", "trained")
        trial.set_user_attr("metrics", {"score_int8": score, "score_float": in_float})
        cost = footprint(decision_ms, arena_bytes, flash_bytes)
        self._write(self.folder / "trials" / str(trial.number), trial.number, trial.params, score, in_float, cost)
        self.study.tell(trial, [score, decision_ms, arena_bytes])
        return trial.number

    def refused(self, decision_ms: float, arena_bytes: int) -> int:
        trial = self._asked(footprint(decision_ms, arena_bytes))
        trial.set_user_attr("outcome", "refused")
        self.study.tell(trial, state=TrialState.PRUNED)
        return trial.number

    def failed(self, reason: str) -> int:
        trial = self._asked(footprint(10.0, 10_000))
        trial.set_user_attr("outcome", "failed")
        trial.set_user_attr("reason", reason)
        self.study.tell(trial, state=TrialState.FAIL)
        return trial.number

    def stopped(self, reason: str = "dominated by 2 trials at epoch 5") -> int:
        trial = self._asked(footprint(10.0, 10_000))
        trial.set_user_attr("outcome", "stopped")
        trial.set_user_attr("reason", reason)
        trial.set_user_attr("rungs", {"5": 0.41})
        self.study.tell(trial, state=TrialState.PRUNED)
        return trial.number

    def confirmed(self, number: int, **scores: float) -> None:
        """Train a trial again with fresh seeds: `confirmed(3, s1=0.91)` leaves confirm/3/1."""
        for seed, score in scores.items():
            self._again(self.folder / "confirm" / str(number), number, int(seed.removeprefix("s")), score)

    def final(self, number: int, score: float) -> None:
        """Train a trial again at full length."""
        self._again(self.folder / "final", number, number, score)

    def labels_alone(self, number: int, **scores: float) -> Path:
        """Train a trial's twin: `labels_alone(3, s1=0.88)` leaves a seed's folder in the twin's, which is returned."""
        twin = labels_alone(self.recipe, self.study.trials[number].params)
        assert twin is not None
        folder = self.folder / "labels_alone" / twin_folder(twin)
        cost = Footprint(**self.study.trials[number].user_attrs["footprint"])
        for seed, score in scores.items():
            name = int(seed.removeprefix("s"))
            self._write(folder / str(name), name, dict(twin), score, score + 0.004, cost)
        return folder

    def _again(self, parent: Path, number: int, name: int, score: float) -> None:
        trial = self.study.trials[number]
        cost = Footprint(**trial.user_attrs["footprint"])
        self._write(parent / str(name), name, trial.params, score, score + 0.004, cost)

    def unfinished(self) -> int:
        return self._asked(footprint(10.0, 10_000)).number

    def random(self, seed: int, trained: int, refused: int = 0) -> None:
        dice = random.Random(seed)
        for _ in range(trained):
            size = dice.uniform(0.1, 0.95)
            score = 0.96 - 0.3 * math.exp(-4 * size) - dice.expovariate(18)
            self.trained(
                round(score, 4), round(50 * size * dice.uniform(0.5, 1), 2), round(64_000 * size * dice.uniform(0.6, 1))
            )
        for _ in range(refused):
            self.refused(round(50 * dice.uniform(0.7, 6), 2), round(65_536 * dice.uniform(1.01, 5)))

    def _asked(self, cost: Footprint) -> optuna.Trial:
        trial = self.study.ask()
        trial.suggest_float("temperature", 1, 8)
        trial.suggest_float("alpha", 0, 1)
        trial.suggest_categorical("student", ("tiny_conv", "ds_cnn"))
        trial.suggest_int("width", 8, 64, step=8)
        trial.set_user_attr("footprint", cost.as_dict())
        for ceiling, over in self.budget.overrun(cost).items():
            trial.set_constraint(ceiling, over)
        return trial

    def _write(
        self, folder: Path, number: int, params: dict[str, Any], score: float, in_float: float, cost: Footprint
    ) -> None:
        folder.mkdir(parents=True)
        metrics = {
            "schema": 1,
            "number": number,
            "outcome": "trained",
            "params": params,
            "objectives": {"score": score, "decision_ms": cost.decision_ms, "arena_bytes": cost.arena_bytes},
            "score_int8": score,
            "score_float": in_float,
            "validation": {"f1": score, "threshold": 0.5},
            "test": {"f1": score - 0.0317, "threshold": 0.5},
            "beside_teacher": {
                "f1": score - 0.0317,
                "teacher_f1": 0.9,
                "margin": 0.05,
                "within_margin": score >= 0.9 - 0.05 + 0.0317,
            },
            "footprint": cost.as_dict(),
            "seconds": {"training": 9.5, "total": 12.0},
            "warnings": ["distillation loss is 12.1 times the hard loss, over 10: raise alpha"]
            if number % 3 == 0
            else [],
        }
        history = ["epoch,lr,loss,hard_loss,soft_loss,validation_score"]
        for epoch in range(20):
            fall = math.exp(-epoch / 6)
            losses = f"{0.2 + fall},{0.15 + 0.8 * fall},{0.1 + 0.5 * fall}"
            history.append(f"{epoch},{0.001 * (1 - epoch / 20):.6f},{losses},{score - 0.3 * fall}")
        (folder / "student.int8.tflite").write_bytes(TFLITE + f"{folder.parent.name} {number}".encode())
        (folder / "student.pt2").write_bytes(b"PK")
        (folder / "student.json").write_text(json.dumps({"labels": ["other", "hey potstill"]}))
        (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder / "evaluation.json").write_text(json.dumps(evaluation(score)))
        (folder / "history.csv").write_text("\n".join(history) + "\n")
