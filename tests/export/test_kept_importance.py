"""Importance is computed once for the same scores."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import patch

import pytest

from export import kept_importance
from export.front import find_front
from export.importance import Branch, Importance, importances
from export.kept_importance import kept_importances
from export.report import report, write_report
from export.results import read_study
from tests.export.results_folder import ResultsFolder


@pytest.fixture
def made(tmp_path: Path) -> ResultsFolder:
    folder = ResultsFolder(tmp_path / "results")
    folder.random(2, trained=17)
    return folder


def test_the_second_time_nothing_is_computed_and_the_same_is_said(made: ResultsFolder) -> None:
    front = find_front(read_study(made.folder))
    first = write_report(front).read_text()
    with patch.object(kept_importance, "importances", side_effect=AssertionError):
        assert write_report(front).read_text() == first
    assert kept_importances(front.study) == importances(front.study)
    assert first == report(front)


SHARES = [Branch("", 17, ("alpha",), (Importance("alpha", 0.8, 0.4, 17),))]


def test_other_trials_and_a_damaged_file_make_them_anew(made: ResultsFolder) -> None:
    path = made.folder / "importance.json"
    with patch.object(kept_importance, "importances", return_value=SHARES) as computed:
        for damage in ("[", "{}", json.dumps({"schema": 0})):
            path.write_text(damage)
            assert kept_importances(read_study(made.folder)) == SHARES
        assert computed.call_count == 3
        assert kept_importances(read_study(made.folder)) == SHARES
        assert computed.call_count == 3
        made.trained(0.5, 10.0, 20_000)
        kept_importances(read_study(made.folder))
        assert computed.call_count == 4


def test_what_says_nothing_is_not_kept(made: ResultsFolder) -> None:
    with patch.object(kept_importance, "importances", return_value=[Branch("", 3, ("alpha",))]):
        kept_importances(read_study(made.folder))
    assert not (made.folder / "importance.json").exists()
