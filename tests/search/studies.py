"""How the tests of real searches call the command line and read what it left."""

from __future__ import annotations

import sys
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

ROOT = Path(__file__).parent.parent.parent


def command(data: Path, results: Path | str, trials: int, *more: str) -> list[str]:
    """A search over small students of the wake word `up`."""
    front_end = ["--set", "front_end=log_mel", "--set", "hop_ms=20"]
    small = ["--set", "student=ds_cnn", "--range", "ds_cnn_width=8:24", *front_end, "--epochs", "2"]
    where = ["--data", str(data), "--word", "up", "--results", str(results), "--trials", str(trials), "--wandb", "off"]
    return [sys.executable, "-m", "search", "wakeword", *where, *small, *more]


def study_of(results: Path) -> optuna.Study:
    """The study in a results folder."""
    storage = JournalStorage(JournalFileBackend(str(results / "study.journal")))
    return optuna.load_study(study_name="wakeword", storage=storage)
