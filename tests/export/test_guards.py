"""Warnings of many trials as one line each."""

from __future__ import annotations

import json
from pathlib import Path

from export.front import find_front
from export.guards import gathered, raised
from export.markup import html, tag
from export.results import TrialRow, read_study
from export.warnings_section import warnings_section
from tests.export.results_folder import ResultsFolder


def test_texts_that_differ_in_numbers_become_one_with_their_span() -> None:
    rows = [TrialRow(number, "trained") for number in range(4)]
    warnings = {
        0: ["loss is 12.1 times the other, over 10: raise alpha"],
        1: ["loss is 9e2 times the other, over 10: raise alpha", "alone"],
        3: ["loss is 30 times the other, over 10: raise alpha"],
    }
    first, second = gathered(warnings, rows)
    assert first.text == "loss is 12.1 to 9e2 times the other, over 10: raise alpha"
    assert [row.number for row in first.trials] == [0, 1, 3]
    assert (second.text, [row.number for row in second.trials]) == ("alone", [1])


def test_a_study_says_what_its_trials_were_warned_of(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    for score in (0.9, 0.8, 0.7, 0.6):
        folder.trained(score, 20.0, 20_000)
    (folder.folder / "trials/3/metrics.json").write_text(json.dumps({"number": 3, "warnings": "not a list"}))
    front = find_front(read_study(folder.folder))
    (found,) = raised(front.study)
    assert [row.number for row in found.trials] == [0]
    page = html(tag("div", *warnings_section(front, {0})))
    assert '<td class="n">1</td><td><a href="#trial-0">0</a></td>' in page


def test_a_study_without_warnings_has_no_such_section(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results", details={"warnings": []})
    folder.failed("loss: nan")
    folder.refused(80.0, 1)
    assert warnings_section(find_front(read_study(folder.folder)), set()) == []
