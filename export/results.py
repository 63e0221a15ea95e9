"""A results folder: its paths, its trials as the study's journal tells them, and which of their folders are whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast, final, get_args

from spaces.candidate import Objective, Scalar

if TYPE_CHECKING:
    from pathlib import Path

    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

Outcome = Literal["trained", "stopped", "refused", "failed", "unfinished"]

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
RUN_SCHEMA = 1
TFLITE = "student.int8.tflite"
TRIAL_FILES = (TFLITE, "student.json", "metrics.json", "evaluation.json", "history.csv")
_TFLITE_IDENTIFIER = b"TFL3"


@final
@dataclass(frozen=True)
class Results:
    """Where everything lies in one results folder."""

    folder: Path

    @property
    def run_json(self) -> Path:
        """What was searched, on which data, with which versions."""
        return self.folder / "run.json"

    @property
    def journal(self) -> Path:
        """The Optuna study."""
        return self.folder / "study.journal"

    @property
    def trials(self) -> Path:
        """One folder for each trained trial."""
        return self.folder / "trials"

    @property
    def ablation(self) -> Path:
        """Folder of the ablation: a folder for each setting and, in it, for each seed."""
        return self.folder / "ablation"

    @property
    def confirmations(self) -> Path:
        """For each trial that was trained again a folder, with one folder for each fresh seed."""
        return self.folder / "confirm"

    @property
    def twins(self) -> Path:
        """For each twin of a front's member that learns from labels alone a folder, with one folder for each seed."""
        return self.folder / "labels_alone"

    @property
    def finals(self) -> Path:
        """One folder for each trial that was trained again at the source's full length."""
        return self.folder / "final"

    @property
    def front_json(self) -> Path:
        """The Pareto front for programs."""
        return self.folder / "front.json"

    @property
    def front_csv(self) -> Path:
        """The Pareto front as a table."""
        return self.folder / "front.csv"

    @property
    def report_html(self) -> Path:
        """The report for people."""
        return self.folder / "report.html"

    @property
    def importance_json(self) -> Path:
        """What the report says of parameters, which takes long to compute."""
        return self.folder / "importance.json"

    def trial(self, number: int) -> Path:
        """Folder of one trained trial."""
        return self.trials / str(number)

    def of(self, row: TrialRow) -> Path:
        """Folder of a trained trial or of its training at full length."""
        if row.source is not None:
            return row.source.results.trial(row.source.number)
        return (self.finals if row.final else self.trials) / str(row.number)


@final
@dataclass(frozen=True)
class Run:
    """run.json; `details` is all of it."""

    recipe: str
    objectives: tuple[Objective, ...]
    board: Any
    budget: Mapping[str, float]
    details: Mapping[str, Any]

    @property
    def board_name(self) -> str:
        """Name of the board that the footprints are for."""
        return str(self.board.get("name", "?") if isinstance(self.board, Mapping) else self.board)


@final
@dataclass(frozen=True)
class Source:
    """The results folder that a trial of several came from, its label among them, and the trial's number there."""

    label: str
    results: Results
    number: int


@final
@dataclass(frozen=True)
class TrialRow:
    """One trial of the study. `values` is in the order of the objectives and empty where nothing was scored.

    `constraints` are fractions over each ceiling, `footprint` the fields of `spaces.budget.Footprint`, and `metrics`
    holds at least score_int8 and score_float of a trained trial. `final` rows are trials that were trained again at the
    source's full length. Where several results folders were gathered, `source` says which one the trial is from, and
    `number` counts through all of them. `distributions` are what each parameter was drawn from.
    """

    number: int
    outcome: Outcome
    params: Mapping[str, Scalar] = field(default_factory=dict)
    values: tuple[float, ...] = ()
    constraints: Mapping[str, float] = field(default_factory=dict)
    footprint: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    final: bool = False
    source: Source | None = None
    distributions: Mapping[str, BaseDistribution] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What picks it: the trial's number, `final:` and the number, or folder/number where there are several."""
        if self.source is not None:
            return f"{self.source.label}/{self.source.number}"
        return f"final:{self.number}" if self.final else str(self.number)

    @property
    def fits(self) -> bool:
        """Whether no ceiling is exceeded."""
        return all(over <= 0 for over in self.constraints.values())


@final
@dataclass(frozen=True)
class Study:
    """What a results folder holds. `damaged` says for each trained trial whose folder is not whole what is wrong.

    `as_searched` is false of one that is looked at under other objectives, or gathered from several folders.
    """

    results: Results
    run: Run
    trials: tuple[TrialRow, ...]
    damaged: Mapping[int, str] = field(default_factory=dict)
    as_searched: bool = True

    @property
    def trained(self) -> tuple[TrialRow, ...]:
        """Trials that are scored and whose folder is whole."""
        return tuple(row for row in self.trials if row.outcome == "trained" and row.number not in self.damaged)

    @property
    def counts(self) -> dict[Outcome, int]:
        """How many trials ended in each way."""
        counted = Counter(row.outcome for row in self.trials)
        return {outcome: counted[outcome] for outcome in OUTCOMES}

    def name_of(self, number: int) -> str:
        """What picks the trial of this number."""
        return next(row.name for row in self.trials if row.number == number)

    def summary(self) -> str:
        """The counts in words, such as `24 trained, 7 refused`."""
        return ", ".join(f"{count} {outcome}" for outcome, count in self.counts.items() if count) or "no trial at all"


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file (text as UTF-8) so that a reader sees the old one or the new one, never a part; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def read_run(results: Results) -> Run:
    """Read run.json; a folder that is missing or is no results folder is a `ValueError`."""
    if not results.folder.is_dir():
        raise ValueError(f"results: folder {results.folder} does not exist")
    if not results.run_json.is_file():
        raise ValueError(f"results: {results.folder} is not a results folder: it holds no {results.run_json.name}")
    details = read_object(results.run_json)
    schema = details.get("schema")
    if schema != RUN_SCHEMA:
        raise ValueError(f"results: {results.run_json} has schema {schema!r}; this version reads {RUN_SCHEMA}")
    try:
        return Run(
            recipe=str(details["recipe"]),
            objectives=tuple(_objective(name, direction) for name, direction in details["objectives"]),
            board=details["board"],
            budget={str(key): float(ceiling) for key, ceiling in details["budget"].items()},
            details=details,
        )
    except KeyError as error:
        raise ValueError(f"results: {results.run_json} has no field {error}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"results: {results.run_json} is malformed: {error}") from error


def read_trials(folder: Path) -> list[TrialRow]:
    """Every trial of the study in `folder`, by number, from its journal alone; `ValueError` if it cannot be read."""
    results = Results(folder)
    return _read_trials(results, read_run(results))


def read_study(folder: Path) -> Study:
    """The study in `folder`, with the trained trials whose folder is not whole; errors as `read_trials`."""
    results = Results(folder)
    run = read_run(results)
    trials = _read_trials(results, run)
    trained = [row.number for row in trials if row.outcome == "trained"]
    faults = {number: folder_fault(results.trial(number), number) for number in trained}
    return Study(results, run, tuple(trials), {number: fault for number, fault in faults.items() if fault})


def require_trained(study: Study) -> None:
    """A study in which no trained trial can be used is a `ValueError` that says what is there."""
    if study.trained:
        return
    damaged = f"; {len(study.damaged)} of the trained ones have a damaged folder" if study.damaged else ""
    raise ValueError(f"results: {study.results.folder} holds no usable trained trial: {study.summary()}{damaged}")


def read_metrics(results: Results, number: int) -> dict[str, Any]:
    """metrics.json of a trained trial; an unreadable one is a `ValueError` that names the file."""
    return read_object(results.trial(number) / "metrics.json")


def read_evaluation(folder: Path) -> list[dict[str, Any]]:
    """The typed rows of a trial folder's evaluation.json; an unreadable one is a `ValueError` that names the file."""
    path = folder / "evaluation.json"
    rows = _read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "type" in row for row in rows):
        raise ValueError(f"{path} must hold a list of rows with a type")
    return rows


def sha256(path: Path) -> str:
    """Hash of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _objective(name: str, direction: str) -> Objective:
    if direction not in ("maximize", "minimize"):
        raise ValueError(f"objective {name}: direction {direction!r} must be maximize or minimize")
    return Objective(str(name), cast("Literal['maximize', 'minimize']", direction))


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def read_object(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object; anything else is a `ValueError` that names it."""
    content = _read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object")
    return content


def _read_trials(results: Results, run: Run) -> list[TrialRow]:
    # Optuna's backend would create the file.
    if not results.journal.is_file():
        raise ValueError(f"results: {results.folder} holds no study: {results.journal.name} is missing")
    return [trial_row(trial) for trial in _frozen_trials(results.journal, run)]


def _frozen_trials(journal: Path, run: Run) -> list[FrozenTrial]:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        storage = JournalStorage(JournalFileBackend(str(journal)))
        names = {study.study_name: study._study_id for study in storage.get_all_studies()}
        if run.recipe not in names:
            there = ", ".join(sorted(names)) or "none"
            raise ValueError(f"it holds no study of recipe {run.recipe}; there is {there}")
        directions = [direction.name.lower() for direction in storage.get_study_directions(names[run.recipe])]
        trials = storage.get_all_trials(names[run.recipe], deepcopy=False)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"results: {journal} cannot be used: {error}") from error
    if directions != [objective.direction for objective in run.objectives]:
        raise ValueError(f"results: {journal} optimises {', '.join(directions)}, unlike the objectives of run.json")
    return sorted(trials, key=lambda trial: trial.number)


def trial_row(trial: FrozenTrial) -> TrialRow:
    """One of Optuna's trials as a row."""
    attributes = trial.user_attrs
    outcome = _outcome(trial)
    return TrialRow(
        number=trial.number,
        outcome=outcome,
        params=dict(trial.params),
        values=tuple(trial.values) if outcome == "trained" and trial.values else (),
        constraints=trial.constraints,
        footprint=attributes.get("footprint", {}),
        metrics=attributes.get("metrics", {}),
        reason=str(attributes.get("reason", "")),
        distributions=trial.distributions,
    )


def _outcome(trial: FrozenTrial) -> Outcome:
    if not trial.state.is_finished():
        return "unfinished"
    by_state: dict[str, Outcome] = {"COMPLETE": "trained", "PRUNED": "stopped"}
    said = trial.user_attrs.get("outcome")
    outcome = cast("Outcome", said) if said in OUTCOMES else by_state.get(trial.state.name, "failed")
    return "failed" if outcome == "trained" and not trial.values else outcome


def folder_fault(folder: Path, number: int) -> str:
    """What is wrong with the folder of something trained, whose metrics.json must bear `number`; empty if whole."""
    for name in TRIAL_FILES:
        path = folder / name
        if not path.is_file() or path.stat().st_size == 0:
            return f"{name} is {'empty' if path.is_file() else 'missing'}"
    try:
        return _contradiction(folder, number)
    except (OSError, ValueError) as error:
        return str(error)


def _contradiction(folder: Path, number: int) -> str:
    with (folder / TFLITE).open("rb") as file:
        if file.read(8)[4:] != _TFLITE_IDENTIFIER:
            return f"{TFLITE} is not a .tflite"
    read_object(folder / "student.json")
    metrics = read_object(folder / "metrics.json")
    if metrics.get("number") != number:
        return f"metrics.json is of trial {metrics.get('number')}"
    expected = metrics.get("tflite_sha256")
    if expected is not None and expected != sha256(folder / TFLITE):
        return f"{TFLITE} is not the file that was scored: its hash differs from metrics.json"
    return ""
