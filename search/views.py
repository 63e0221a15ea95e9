"""What Weights & Biases is given: a run for each trained trial, one for the study, an agent's run, a sweep."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
import shutil
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from export.front import find_front
from export.results import TFLITE, read_metrics, read_run, read_study
from search.study import outcome
from search.study_table import parallel_coordinates, trial_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import wandb

    from export.front import Front
    from export.results import Results
    from trainables.distil import Progress

STUDY_RUN = "study"
SCATTERED = ("decision_ms", "arena_bytes")
CONDITIONS = (
    "recipe",
    "board",
    "budget",
    "latency_margin",
    "profiler_version",
    "epochs",
    "seed",
    "narrowing",
    "versions",
)
_FINISHED = "finished"
_SYNCED = "*.wandb.synced"


def wandb_folder(results: Results) -> Path:
    """Everything that W&B writes for one results folder."""
    return results.folder / "wandb"


def environment(results: Results) -> dict[str, str]:
    """Variables that keep W&B's files in the results folder, and W&B from reporting its own errors over the network."""
    folder = wandb_folder(results)
    inner = {f"WANDB_{kind.upper()}_DIR": str(folder / kind) for kind in ("cache", "config", "data")}
    return {"WANDB_DIR": str(results.folder), "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true", **inner}


def study_id(results: Results) -> str:
    """Eight hexadecimal digits that stay with a study: of its journal's first line, which Optuna makes unique."""
    with results.journal.open("rb") as journal:
        return hashlib.sha256(journal.readline()).hexdigest()[:8]


def recorded(results: Results) -> dict[str, Path]:
    """Folders of the study's finished runs by run id."""
    if not results.journal.is_file():
        return {}
    folders = sorted(wandb_folder(results).glob(f"offline-run-*-{study_id(results)}-*"))
    return {_run_id(folder): folder for folder in folders if (folder / _FINISHED).is_file()}


def uploaded(run_folder: Path) -> bool:
    """Whether W&B has marked a run's file as synced."""
    return any(run_folder.glob(_SYNCED))


def _run_id(folder: Path) -> str:
    return folder.name.split("-", 3)[3]


@final
class Recorder:
    """Writes offline runs from a results folder. One at a time: what another one is writing would be removed.

    `problems` says by trial number why a run could not be written.
    """

    def __init__(self, results: Results) -> None:
        self._results = results
        self._read_bytes = 0
        self.problems: dict[int, str] = {}

    def catch_up(self) -> None:
        """Write a run for each trained trial that has none."""
        size = self._results.journal.stat().st_size if self._results.journal.is_file() else 0
        if size == self._read_bytes or not self._results.run_json.is_file():
            return
        told = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        missing = [trial for trial in told if trial.number not in self._done and trial.number not in self.problems]
        for trial in missing:
            if outcome(trial) == "trained" and self._written(trial):
                self._done.add(trial.number)
        self._read_bytes = size

    def write_study(self) -> None:
        """Write the run of a study with trained trials, in place of an earlier one.

        A results folder that cannot be read is a `ValueError`.
        """
        front = find_front(read_study(self._results.folder))
        if not front.study.trained:
            return
        for folder in wandb_folder(self._results).glob(f"offline-run-*-{self._study_id}-{STUDY_RUN}"):
            shutil.rmtree(folder)
        with self._run(STUDY_RUN, STUDY_RUN, _conditions(front.study.run.details)) as run:
            _log_study(run, front, f"{front.study.run.recipe}-{self._study_id}")

    @cached_property
    def _study_id(self) -> str:
        return study_id(self._results)

    @cached_property
    def _recipe(self) -> str:
        return read_run(self._results).recipe

    @cached_property
    def _study(self) -> optuna.Study:
        # Kept open, because the journal grows with the refused trials and Optuna reads on where it stopped.
        storage = JournalStorage(JournalFileBackend(str(self._results.journal)))
        return optuna.load_study(study_name=self._recipe, storage=storage)

    @cached_property
    def _done(self) -> set[int]:
        finished = recorded(self._results)
        for folder in wandb_folder(self._results).glob(f"offline-run-*-{self._study_id}-*"):
            if _run_id(folder) not in finished:
                shutil.rmtree(folder)
        return {int(number) for run_id in finished if (number := run_id.split("-", 1)[1]) != STUDY_RUN}

    def _written(self, trial: optuna.trial.FrozenTrial) -> bool:
        try:
            metrics = read_metrics(self._results, trial.number)
            rows = history(self._results.trial(trial.number) / "history.csv")
            with self._run(str(trial.number), "trial", trial.params) as run:
                for row in rows:
                    run.log(row, step=int(row["epoch"]))
                run.summary.update(summary_of(metrics, trial.constraints))
        except Exception as error:
            # One trial's damaged folder, or W&B itself: neither may keep the others from being recorded.
            self.problems[trial.number] = f"{type(error).__name__}: {error}"
            return False
        return True

    @contextlib.contextmanager
    def _run(self, name: str, kind: str, config: Mapping[str, Any]) -> Iterator[wandb.Run]:
        import wandb

        with wandb.init(
            project=project(),
            id=f"{self._study_id}-{name}",
            name=name if name == kind else f"{kind} {name}",
            group=f"{self._recipe}-{self._study_id}",
            job_type=kind,
            config=dict(config),
            dir=str(self._results.folder),
            mode="offline",
            reinit="create_new",
            settings=_quiet(),
        ) as run:
            yield run
        (Path(run.dir).parent / _FINISHED).touch()


def _quiet() -> wandb.Settings:
    """Nothing printed, watched or reported; each of these costs a tenth of a second or a file per run."""
    import wandb

    return wandb.Settings(
        console="off",
        silent=True,
        disable_git=True,
        disable_code=True,
        save_code=False,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )


def history(path: Path) -> list[dict[str, float]]:
    """The rows of a history.csv, one per epoch; empty cells are left out."""
    rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    return [{name: float(value) for name, value in row.items() if value} for row in rows]


def summary_of(metrics: Mapping[str, Any], overruns: Mapping[str, float]) -> dict[str, Any]:
    """Summary of a trial's run: objectives by name, fractions over each ceiling, footprint, both scores."""
    return {
        **metrics["objectives"],
        "score_int8": metrics["score_int8"],
        "score_float": metrics["score_float"],
        "outcome": metrics["outcome"],
        "constraints": dict(overruns),
        "fits": all(over <= 0 for over in overruns.values()),
        "footprint": dict(metrics["footprint"]),
    }


def _conditions(details: Mapping[str, Any]) -> dict[str, Any]:
    named = {
        part: {key: details.get(part, {}).get(key) for key in ("name", "content_hash")} for part in ("data", "teacher")
    }
    return {**{key: details[key] for key in CONDITIONS if key in details}, **named}


def _log_study(run: wandb.Run, front: Front, students: str) -> None:
    import wandb

    objectives = [objective.name for objective in front.study.run.objectives]
    numbers = {row.number for row in front.members}
    rows = trial_rows(front.study.trained, objectives, numbers)
    trained = _table(rows)
    scatters = {
        f"{objectives[0]}_by_{x}": wandb.plot.scatter(trained, x, objectives[0], f"{objectives[0]} by {x}")
        for x in SCATTERED
    }
    parameters = wandb.Plotly(parallel_coordinates(rows, objectives))
    on_front = _table([row for row in rows if row["on_front"]])
    run.log({"front": on_front, "trained": trained, "parameters": parameters, **scatters}, step=0)
    run.summary.update(
        {"counts": dict(front.study.counts), "front_size": len(numbers), "hypervolume": front.hypervolume}
    )
    _log_artifacts(run, front, students)


def _table(rows: Sequence[Mapping[str, Any]]) -> wandb.Table:
    import wandb

    columns: list[str | int] = [*rows[0]] if rows else ["trial"]
    return wandb.Table(columns=columns, data=[list(row.values()) for row in rows], allow_mixed_types=True)


def _log_artifacts(run: wandb.Run, front: Front, name: str) -> None:
    import wandb

    results = front.study.results
    students = wandb.Artifact(
        f"{name}-students", type="model", metadata={"trials": [row.number for row in front.members]}
    )
    for row in front.members:
        # Nobody changes a trial's model, so W&B need not copy it.
        students.add_file(
            str(results.trial(row.number) / TFLITE), f"trial_{row.number}.int8.tflite", policy="immutable"
        )
    run.log_artifact(students)
    if results.report_html.is_file():
        report = wandb.Artifact(f"{name}-report", type="report")
        report.add_file(str(results.report_html))
        run.log_artifact(report)


def under_agent() -> bool:
    """Whether a W&B agent started this process: it says so by environment variables."""
    return bool(os.environ.get("WANDB_SWEEP_ID"))


@contextlib.contextmanager
def agent_run(results: Results) -> Iterator[AgentRun]:
    """The run that the agent asked for, under its id, with its parameters; offline where WANDB_MODE says so.

    It ends as failed if the body raises.
    """
    for name, value in environment(results).items():
        os.environ.setdefault(name, value)
    import wandb

    with wandb.init(job_type="trial", settings=_quiet()) as run:
        yield AgentRun(run)


@final
class AgentRun:
    """The agent's run while its trial is taught."""

    def __init__(self, run: wandb.Run) -> None:
        self._run, self._epochs = run, 0

    def epochs(self, progress: Progress) -> None:
        """Log the epochs that are new in `progress`."""
        for row in progress.history[self._epochs :]:
            self._run.log(row, step=int(row["epoch"]))
        self._epochs = len(progress.history)

    def trained(self, metrics: Mapping[str, Any], overruns: Mapping[str, float], ignored: Sequence[str]) -> None:
        """Write the summary; `ignored` names the sweep's parameters that this point does not use."""
        self._run.summary.update({**summary_of(metrics, overruns), "ignored_parameters": list(ignored)})


def register_sweep(config: Mapping[str, Any], run_ids: Sequence[str], results: Results) -> str:
    """Make a sweep of runs that the server has; return its id. Speaks to the network.

    What it sends is tested against a stand-in of the API; it was not verified against the real service. Raises
    `ConnectionError` with W&B's own words where that fails.
    """
    for name, value in environment(results).items():
        os.environ.setdefault(name, value)
    import wandb

    try:
        # W&B prints what this returns.
        with contextlib.redirect_stdout(io.StringIO()):
            return wandb.sweep(dict(config), project=project(), prior_runs=list(run_ids))
    except wandb.Error as error:
        raise ConnectionError(f"W&B did not take the sweep: {error}") from error


def project() -> str:
    """W&B's project of all runs; WANDB_PROJECT names another."""
    return os.environ.get("WANDB_PROJECT", "potstill")
