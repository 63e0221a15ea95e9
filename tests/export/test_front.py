"""Front, hypervolume, picks and front files."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.front import ceiling_of, find_front, front_of, write_front
from export.picks import pick
from export.results import Results, read_study
from tests.export.results_folder import ResultsFolder

DIRECTIONS = ("maximize", "minimize", "minimize")
# A coarse grid makes ties and duplicates frequent.
GRID = st.integers(0, 6).map(lambda step: step / 6)
ROWS = st.lists(st.tuples(GRID, GRID, GRID), max_size=12)


def dominates(one: tuple[float, ...], other: tuple[float, ...], directions: tuple[str, ...]) -> bool:
    losses = [(-a, -b) if d == "maximize" else (a, b) for a, b, d in zip(one, other, directions, strict=True)]
    return all(a <= b for a, b in losses) and any(a < b for a, b in losses)


def covered_share(rows: list[tuple[float, ...]]) -> float:
    """The dominated share of the unit box, cell by cell of the 1/6 grid: score up, the others down."""
    middles = [(step + 0.5) / 6 for step in range(6)]
    cells = list(itertools.product(middles, repeat=3))
    inside = [any(s >= cell[0] and x <= cell[1] and y <= cell[2] for s, x, y in rows) for cell in cells]
    return sum(inside) / len(cells)


@given(ROWS, st.tuples(*[st.sampled_from(["maximize", "minimize"])] * 3))
def test_front_is_what_nothing_dominates(rows: list[tuple[float, ...]], directions: tuple[str, ...]) -> None:
    expected = [
        index
        for index, row in enumerate(rows)
        if not any(dominates(other, row, directions) for other in rows) and row not in rows[:index]
    ]
    assert list(front_of(rows, directions).indices) == expected


@given(ROWS)
def test_hypervolume_is_the_covered_share_of_the_box(rows: list[tuple[float, ...]]) -> None:
    assert front_of(rows, DIRECTIONS, [None, 1.0, 1.0]).hypervolume == pytest.approx(covered_share(rows), abs=1e-12)


@given(ROWS, st.tuples(GRID, GRID, GRID))
def test_hypervolume_never_falls_when_a_trial_is_added(rows: list[tuple[float, ...]], new: tuple[float, ...]) -> None:
    ceilings = [None, 1.0, 1.0]
    before = front_of(rows, DIRECTIONS, ceilings).hypervolume
    assert 0 <= before <= front_of([*rows, new], DIRECTIONS, ceilings).hypervolume + 1e-12 <= 1 + 1e-9


def test_hypervolume_by_hand() -> None:
    rows = [(0.5, 10.0), (0.8, 30.0)]
    # Half the height over 10-30 of 40, 0.8 of it over the last quarter.
    assert front_of(rows, ("maximize", "minimize"), [None, 40.0]).hypervolume == pytest.approx(0.5 * 0.5 + 0.8 * 0.25)


def test_without_a_ceiling_the_box_ends_at_the_worst_value() -> None:
    assert front_of([(0.5, 10.0), (0.8, 30.0)], ("maximize", "minimize")).hypervolume == pytest.approx(0.5 * 20 / 30)


def test_scores_outside_0_to_1_span_the_box_themselves() -> None:
    rows = [(-3.0, 10.0), (12.0, 20.0)]
    assert front_of(rows, ("maximize", "minimize"), [None, 40.0]).hypervolume == pytest.approx(0.5)


def test_rows_beyond_a_ceiling_add_no_volume() -> None:
    assert front_of([(0.9, 60.0)], ("maximize", "minimize"), [None, 50.0]).hypervolume == 0.0


def test_rows_that_are_not_finite_are_never_on_the_front() -> None:
    rows = [(math.nan, 1.0), (0.5, 2.0), (math.inf, 3.0), (0.9, -math.inf)]
    assert front_of(rows, ("maximize", "minimize")).indices == (1,)


@pytest.mark.parametrize("rows", [[], [(math.nan, 1.0)]])
def test_empty_front(rows: list[tuple[float, ...]]) -> None:
    found = front_of(rows, ("maximize", "minimize"))
    assert (found.indices, found.hypervolume) == ((), 0.0)


def test_one_objective_keeps_its_best() -> None:
    found = front_of([(0.2,), (0.7,), (0.7,)], ("maximize",))
    assert found.indices == (1,)
    assert found.hypervolume == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("name", "ceiling"), [("decision_ms", 50.0), ("arena_bytes", 65536.0), ("flash_bytes", None), ("score", None)]
)
def test_ceiling_of_an_objective(name: str, ceiling: float | None) -> None:
    assert ceiling_of(name, {"latency_ms": 50.0, "arena_bytes": 65536.0, "flash_bytes": math.inf}) == ceiling


@pytest.fixture
def made(tmp_path: Path) -> ResultsFolder:
    """Trials 0-3 are the front, by hand; 4 is dominated by 1, 5 is refused, 6 never finished."""
    folder = ResultsFolder(tmp_path / "results")
    folder.trained(0.95, 40.0, 60_000, flash_bytes=90_000)
    folder.trained(0.90, 20.0, 20_000, flash_bytes=50_000)
    folder.trained(0.94, 35.0, 50_000, flash_bytes=70_000)
    folder.trained(0.60, 5.0, 10_000, flash_bytes=20_000)
    folder.trained(0.85, 25.0, 21_000, flash_bytes=50_000)
    folder.refused(80.0, 30_000)
    folder.unfinished()
    return folder


def test_front_of_a_study(made: ResultsFolder) -> None:
    front = find_front(read_study(made.folder))
    assert [row.number for row in front.members] == [0, 2, 1, 3]
    assert [row.number for row in front.dominated] == [4]
    assert front.member(3) and not front.member(4)
    rows = [
        (0.95, 40 / 50, 60_000 / 65_536),
        (0.9, 0.4, 20_000 / 65_536),
        (0.94, 0.7, 50_000 / 65_536),
        (0.6, 0.1, 10_000 / 65_536),
    ]
    share = monte_carlo_share(rows)
    assert front.hypervolume == pytest.approx(share, abs=0.01)


def monte_carlo_share(rows: Sequence[tuple[float, float, float]]) -> float:
    draws = np.random.default_rng(3).random((100_000, 3))
    covered = np.zeros(len(draws), dtype=bool)
    for score, x, y in rows:
        covered |= (draws[:, 0] <= score) & (draws[:, 1] >= x) & (draws[:, 2] >= y)
    return float(covered.mean())


@pytest.mark.parametrize(
    ("rule", "number"),
    [
        ("knee", 1),  # scaled distances: 0 -> 1.41, 2 -> 1.18, 1 -> 0.49, 3 -> 1
        ("best", 0),
        ("smallest", 3),
        ("within:0", 0),
        ("within:0.01", 2),
        ("within:0.05", 1),
        ("within:1", 3),
        ("2", 2),
        ("4", 4),
    ],
)
def test_pick(made: ResultsFolder, rule: str, number: int) -> None:
    assert pick(find_front(read_study(made.folder)), rule).number == number


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("elbow", "--pick: 'elbow' is unknown; use knee, best, smallest, within:0.01, a trial's number or final:"),
        ("within:", "needs a tolerance of at least 0, as in within:0.01"),
        ("within:-1", "needs a tolerance of at least 0"),
        ("within:nan", "needs a tolerance of at least 0"),
        ("99", "there is no trial 99; on the front are 0, 2, 1, 3"),
        ("5", "trial 5 is refused, not trained; on the front are 0, 2, 1, 3"),
        ("6", "trial 6 is unfinished, not trained"),
        ("-1", "'-1' is unknown"),
    ],
)
def test_bad_pick_names_the_choices(made: ResultsFolder, rule: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pick(find_front(read_study(made.folder)), rule)


def test_pick_of_a_damaged_trial_says_so(made: ResultsFolder) -> None:
    (made.folder / "trials/1/student.json").unlink()
    with pytest.raises(ValueError, match=r"the folder of trial 1 is damaged: student\.json is missing"):
        pick(find_front(read_study(made.folder)), "1")


def test_ties_go_to_the_smaller_then_to_the_first(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    folder.trained(0.9, 10.0, 30_000)
    folder.trained(0.9, 20.0, 20_000)
    folder.trained(0.9, 20.0, 20_000)
    front = find_front(read_study(folder.folder))
    assert sorted(row.number for row in front.members) == [0, 1]
    assert pick(front, "best").number == 1
    assert pick(front, "knee").number == 1


def test_smallest_breaks_equal_arenas_by_flash(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    folder.trained(0.9, 20.0, 20_000, flash_bytes=50_000)
    folder.trained(0.8, 10.0, 20_000, flash_bytes=40_000)
    assert pick(find_front(read_study(folder.folder)), "smallest").number == 1


def test_damaged_trials_leave_the_front_to_those_they_dominated(made: ResultsFolder) -> None:
    (made.folder / "trials/1/evaluation.json").write_text("{not json")
    front = find_front(read_study(made.folder))
    assert [row.number for row in front.members] == [0, 2, 4, 3]
    assert "evaluation.json is not JSON" in front.study.damaged[1]


def test_trained_trials_over_budget_are_not_on_the_front(made: ResultsFolder) -> None:
    made.trained(0.99, 70.0, 10_000)
    front = find_front(read_study(made.folder))
    assert not front.member(7)
    assert front.dominated[-1].number == 7


def test_only_trials_over_budget_can_be_picked_by_number_alone(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    folder.trained(0.99, 70.0, 10_000)
    front = find_front(read_study(folder.folder))
    with pytest.raises(ValueError, match="no trained trial fits the budget; pick by number: 0"):
        pick(front, "knee")
    assert pick(front, "0").number == 0


BOX = ["hypervolume", "hypervolume_ideal", "hypervolume_reference"]
FIELDS = ["schema", "recipe", "objectives", "board", "budget", "latency_margin", "calibration", *BOX, "members"]


def test_front_json_has_the_agreed_fields(made: ResultsFolder) -> None:
    write_front(Results(made.folder))
    content = json.loads((made.folder / "front.json").read_text())
    assert list(content) == FIELDS
    assert content["objectives"] == [["score", "maximize"], ["decision_ms", "minimize"], ["arena_bytes", "minimize"]]
    assert content["hypervolume_ideal"] == {"score": 1, "decision_ms": 0, "arena_bytes": 0}
    assert content["hypervolume_reference"] == {"score": 0, "decision_ms": 50, "arena_bytes": 65536}
    best = content["members"][0]
    assert list(best) == ["trial", "params", "values", "score_int8", "score_float", "footprint", "tflite"]
    assert best["trial"] == 0
    assert best["values"] == {"score": 0.95, "decision_ms": 40.0, "arena_bytes": 60_000}
    assert (best["score_int8"], best["score_float"]) == (0.95, pytest.approx(0.954))
    assert best["footprint"]["flash_bytes"] == 90_000
    assert (made.folder / best["tflite"]).is_file()


def test_front_csv_holds_the_same_rows(made: ResultsFolder) -> None:
    write_front(Results(made.folder))
    members = json.loads((made.folder / "front.json").read_text())["members"]
    rows = list(csv.DictReader((made.folder / "front.csv").read_text().splitlines()))
    assert [int(row["trial"]) for row in rows] == [member["trial"] for member in members]
    for row, member in zip(rows, members, strict=True):
        assert float(row["values.decision_ms"]) == member["values"]["decision_ms"]
        assert float(row["params.temperature"]) == member["params"]["temperature"]
        assert row["params.student"] == member["params"]["student"]


def test_score_that_is_not_a_number_is_null(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    folder.trained(0.9, 10.0, 30_000, score_float=math.nan)
    write_front(Results(folder.folder))
    text = (folder.folder / "front.json").read_text()
    assert json.loads(text)["members"][0]["score_float"] is None
    assert "NaN" not in text


def test_empty_study_has_an_empty_front(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    assert write_front(Results(folder.folder)).members == ()
    assert json.loads((folder.folder / "front.json").read_text())["members"] == []
    assert (folder.folder / "front.csv").read_text() == "schema,trial\n"
