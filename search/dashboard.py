"""The command `python -m search.dashboard`: optuna-dashboard over a study, live and read-only."""

from __future__ import annotations

import argparse
import copy
import errno
import json
import sys
from contextlib import suppress
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
import optuna_dashboard
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend

from export.figures import refusal, with_unit
from export.front import ceiling_of, front_of
from export.results import Results, read_run, read_trials, trial_row

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from optuna.study._frozen import FrozenStudy
    from optuna.trial import FrozenTrial, TrialState

    from export.results import Run, TrialRow
    from spaces.candidate import Objective

DONE, BAD_INPUT = 0, 2
HOST, PORT = "127.0.0.1", 8080
REFUSAL = "This page is read-only: a search may be writing this study. Nothing was changed."
# Keys that optuna-dashboard reads: constraints as Optuna 4 kept them, and figures to draw beside its own.
CONSTRAINTS = "constraints"
FIGURE = "dashboard:plot_data:{}:0"
# The grey that optuna-dashboard gives to infeasible trials.
GREY, FRONT, DOMINATED = "#cccccc", "#0f766e", "#93c5bd"


class ReadOnlyError(RuntimeError):
    """Something tried to write through a view."""


@final
class ReadOnlyJournal(BaseJournalBackend):
    """A journal file that is read without its lock and never written."""

    def __init__(self, path: Path) -> None:
        self._file = JournalFileBackend(str(path))

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Entries from a number on, as far as whole lines reach."""
        return self._file.read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Always a `ReadOnlyError`."""
        raise ReadOnlyError(REFUSAL)


@final
class StudyView(JournalStorage):
    """The storage of a results folder for optuna-dashboard: its trials with their constraints where the page looks.

    The page draws only trials that have scores. Refused ones have none, hence a figure of its own for each objective
    beside the first, with what was refused in grey under it.
    """

    def __init__(self, results: Results) -> None:
        super().__init__(ReadOnlyJournal(results.journal))
        self._run = read_run(results)

    def get_all_studies(self) -> list[FrozenStudy]:
        """Studies with the figures of their trials."""
        studies = super().get_all_studies()
        for study in studies:
            rows = [trial_row(trial) for trial in super().get_all_trials(study._study_id, deepcopy=False)]
            study.system_attrs |= {
                FIGURE.format(name): json.dumps(figure) for name, figure in figures(rows, self._run).items()
            }
        return studies

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """One trial."""
        return _with_listed_constraints(super().get_trial(trial_id))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Every trial of a study."""
        return [_with_listed_constraints(trial) for trial in super().get_all_trials(study_id, deepcopy, states)]


def _with_listed_constraints(trial: FrozenTrial) -> FrozenTrial:
    shown = copy.copy(trial)
    shown.system_attrs = {**trial.system_attrs, CONSTRAINTS: list(trial.constraints.values())}
    return shown


def figures(rows: Sequence[TrialRow], run: Run) -> dict[str, dict[str, Any]]:
    """Plotly figures by name: the first objective over each other one, and over that axis what was refused."""
    return {
        f"{run.objectives[0].name}-{objective.name}": _figure(rows, run, at)
        for at, objective in enumerate(run.objectives)
        if at
    }


def _figure(rows: Sequence[TrialRow], run: Run, at: int) -> dict[str, Any]:
    trained = [row for row in rows if row.outcome == "trained"]
    fitting = [row for row in trained if row.fits]
    found = front_of([row.values for row in fitting], [objective.direction for objective in run.objectives])
    members = {fitting[index].number for index in found.indices}
    traces = [
        _trained("dominated", DOMINATED, [row for row in fitting if row.number not in members], run.objectives, at),
        _trained("on the front", FRONT, [row for row in fitting if row.number in members], run.objectives, at),
        _trained("trained, over budget", GREY, [row for row in trained if not row.fits], run.objectives, at),
        _refused(rows, run.objectives[at].name),
        _ceiling(run, at, [row.values[0] for row in trained]),
    ]
    return {"data": [trace for trace in traces if trace["x"]], "layout": _layout(run.objectives, at)}


def _trained(
    name: str, colour: str, rows: Sequence[TrialRow], objectives: Sequence[Objective], at: int
) -> dict[str, Any]:
    return {
        **_markers(name, colour, "circle", [_tip(row, objectives) for row in rows]),
        "x": [row.values[at] for row in rows],
        "y": [row.values[0] for row in rows],
    }


def _refused(rows: Sequence[TrialRow], axis: str) -> dict[str, Any]:
    refused = [row for row in rows if row.outcome == "refused" and axis in row.footprint]
    tips = [f"{refusal(row)}\n{axis} {with_unit(axis, row.footprint[axis])}" for row in refused]
    return {
        **_markers("refused, never trained", GREY, "x", tips),
        "x": [row.footprint[axis] for row in refused],
        "y": ["refused"] * len(refused),
        "yaxis": "y2",
    }


def _markers(name: str, colour: str, symbol: str, tips: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "marker": {"color": colour, "symbol": symbol, "size": 8},
        "text": [tip.replace("\n", "<br>") for tip in tips],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _tip(row: TrialRow, objectives: Sequence[Objective]) -> str:
    values = zip(objectives, row.values, strict=True)
    return "\n".join([f"trial {row.number}", *(f"{o.name} {with_unit(o.name, value)}" for o, value in values)])


def _ceiling(run: Run, at: int, heights: Sequence[float]) -> dict[str, Any]:
    ceiling = ceiling_of(run.objectives[at].name, run.budget)
    known = ceiling is not None and heights
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "ceiling",
        "line": {"color": "#b3261e", "dash": "dash", "width": 1},
        "x": [ceiling, ceiling] if known else [],
        "y": [min(heights), max(heights)] if known else [],
    }


def _layout(objectives: Sequence[Objective], at: int) -> dict[str, Any]:
    score, axis = objectives[0].name, objectives[at].name
    return {
        "title": {"text": f"{score} against {axis}, with what was refused", "x": 0.02, "font": {"size": 15}},
        "xaxis": {"title": {"text": axis}, "anchor": "y2", "automargin": True},
        "yaxis": {"title": {"text": score}, "domain": [0.16, 1.0], "automargin": True},
        "yaxis2": {"domain": [0.0, 0.1], "showgrid": False, "zeroline": False, "automargin": True},
        "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom"},
        "margin": {"l": 60, "r": 20, "t": 80, "b": 50},
        "uirevision": "true",
    }


def read_only(app: WSGIApplication) -> WSGIApplication:
    """The application without its writes: any method but GET and HEAD is answered 403 with a reason, as JSON."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return app(environ, start_response)
        # A connection that is closed on an unread body is reset before the browser sees the answer.
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        body = json.dumps({"reason": REFUSAL}).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Allow", "GET, HEAD")]
        start_response("403 Forbidden", headers)
        return [body]

    return answer


@final
class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


@final
class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the page asks every few seconds."""


def server_for(folder: Path, port: int) -> WSGIServer:
    """A server of the folder's study on 127.0.0.1, listening and not yet serving; port 0 takes a free one.

    A folder that is no results folder is a `ValueError` as in `export.results.read_study`, and so is a port that cannot
    be had.
    """
    read_trials(folder)
    app = read_only(optuna_dashboard.wsgi(StudyView(Results(folder))))
    try:
        return make_server(HOST, port, app, server_class=_Server, handler_class=_QuietHandler)
    except OverflowError:
        raise ValueError(f"--port: must lie within 0-65535, not {port}") from None
    except OSError as error:
        in_use = "is in use on this machine" if error.errno == errno.EADDRINUSE else f"cannot be had: {error.strerror}"
        raise ValueError(f"--port: {port} {in_use}; choose another, or 0 for any that is free") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m search.dashboard",
        description="Show a study in optuna-dashboard, also while its search runs. Nothing is written.",
    )
    parser.add_argument("results", type=Path, metavar="RESULTS", help="the folder that a search writes")
    parser.add_argument(
        "--port", type=int, default=PORT, help="on 127.0.0.1; 0 takes a free one (default: %(default)s)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until interrupted. Exit code 0, or 2 for a folder or a port that cannot be used."""
    arguments = _parser().parse_args(argv)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        server = server_for(arguments.results, arguments.port)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    with server, suppress(KeyboardInterrupt):
        print(f"http://{HOST}:{server.server_port}/ shows {arguments.results}, read-only; Ctrl-C ends it", flush=True)
        server.serve_forever()
    return DONE


if __name__ == "__main__":
    sys.exit(main())
