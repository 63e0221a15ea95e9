"""Rows and axes of a study's trained trials, beside cases worked out by hand."""

from __future__ import annotations

import math

import pytest

from export.results import TrialRow
from search.study_table import NOT_TAKEN, axis, parallel_coordinates, trial_rows

TRIALS = (
    TrialRow(
        3,
        "trained",
        {"student": "ds_cnn", "ds_cnn_width": 8, "peak_lr": 1e-4},
        (0.9, 10.0),
        footprint={"decision_ms": 10.0, "flash_bytes": 100},
        metrics={"score_int8": 0.9, "score_float": 0.91, "test": {}},
    ),
    TrialRow(
        5,
        "trained",
        {"student": "tiny_conv", "depthwise": True, "peak_lr": 1e-2},
        (0.8, 5.0),
        footprint={"decision_ms": 5.0, "flash_bytes": 90},
        metrics={"score_int8": 0.8, "score_float": 0.8},
    ),
)


def test_rows_share_their_columns() -> None:
    first, second = trial_rows(TRIALS, ["score", "decision_ms"], {5})
    assert list(first) == list(second)
    assert list(first)[:7] == ["trial", "on_front", "score", "decision_ms", "score_int8", "score_float", "flash_bytes"]
    assert (first["on_front"], second["on_front"]) == (False, True)
    assert (first["param.ds_cnn_width"], second["param.ds_cnn_width"]) == (8, None)
    assert (first["param.depthwise"], second["param.depthwise"]) == (None, True)


def test_no_trials_are_no_rows() -> None:
    assert trial_rows([], ["score"], set()) == []
    assert not parallel_coordinates([], ["score"]).data[0].dimensions


def test_a_narrow_range_is_drawn_as_it_is() -> None:
    assert axis("param.alpha", [0.2, 0.6, 0.4]) == {"label": "alpha", "values": [0.2, 0.6, 0.4]}


def test_a_wide_range_is_drawn_by_its_logarithm() -> None:
    drawn = axis("param.peak_lr", [1e-4, 1e-2, 1e-3])
    assert drawn["values"] == pytest.approx([-4, -2, -3])
    assert dict(zip(drawn["ticktext"], drawn["tickvals"], strict=True)) == pytest.approx({"0.0001": -4, "0.01": -2})


@pytest.mark.parametrize("values", [["b", "a", "b"], [True, False, True]])
def test_categories_are_numbered(values: list[object]) -> None:
    drawn = axis("param.student", values)
    assert drawn["values"] == [1, 0, 1]
    assert drawn["ticktext"] == [str(value) for value in (values[1], values[0])]


def test_what_a_branch_does_not_have_lies_below() -> None:
    drawn = axis("param.width", [8, None, 16])
    places = dict(zip(drawn["ticktext"], drawn["tickvals"], strict=True))
    assert drawn["values"] == [8.0, places[NOT_TAKEN], 16.0]
    assert places[NOT_TAKEN] < 8


def test_one_value_has_an_axis_too() -> None:
    drawn = axis("param.width", [8, None])
    assert drawn["values"][0] == 8.0
    assert math.isfinite(drawn["values"][1]) and drawn["values"][1] < 8


def test_lines_are_coloured_by_the_first_objective() -> None:
    figure = parallel_coordinates(trial_rows(TRIALS, ["score", "decision_ms"], {5}), ["score", "decision_ms"])
    (drawn,) = figure.data
    assert list(drawn.line.color) == [0.9, 0.8]
    assert [part.label for part in drawn.dimensions] == [
        "student", "ds_cnn_width", "peak_lr", "depthwise", "score", "decision_ms"
    ]  # fmt: skip
