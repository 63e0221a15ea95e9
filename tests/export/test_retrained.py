"""Folders of what was trained again, and what the front says of them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from export.front import Front, find_front, write_front
from export.picks import pick
from export.results import Results, read_study
from export.retrained import score_axis
from spaces.candidate import Objective
from tests.export.results_folder import ResultsFolder


@pytest.fixture
def made(tmp_path: Path) -> ResultsFolder:
    """Trials 0, 1 and 2 are the front, by hand; 3 is dominated by 1."""
    folder = ResultsFolder(tmp_path / "results")
    folder.trained(0.95, 40.0, 60_000)
    folder.trained(0.90, 20.0, 20_000)
    folder.trained(0.60, 5.0, 10_000)
    folder.trained(0.85, 25.0, 21_000)
    folder.refused(80.0, 30_000)
    return folder


def front_of(folder: ResultsFolder) -> Front:
    return find_front(read_study(folder.folder))


def rewrite(path: Path, change: dict[str, Any]) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def test_without_anything_trained_again_there_is_nothing(made: ResultsFolder) -> None:
    retrained = front_of(made).retrained
    assert (retrained.members, retrained.finals, retrained.left_out) == ({}, (), {})


def test_fresh_seeds_are_read_with_their_test_figures(made: ResultsFolder) -> None:
    made.confirmed(0, s1=0.92, s2=0.94)
    made.confirmed(1, s7=0.89)
    members = front_of(made).retrained.members
    assert list(members) == [0, 1, 2]
    assert members[0].scores == {1: 0.92, 2: 0.94}
    # The score is F1, which lies .0317 lower on test; the threshold is no figure of its.
    assert members[0].tests == pytest.approx({1: 0.8883, 2: 0.9083})
    assert (members[1].scores, members[1].score.low) == ({7: 0.89}, None)
    assert (members[2].scores, members[2].p_nondominated) == ({}, None)


def test_the_searchs_own_score_is_in_no_mean(made: ResultsFolder) -> None:
    made.confirmed(0, s1=0.92, s2=0.94)
    front = front_of(made)
    assert front.retrained.members[0].score.mean == pytest.approx(0.93)
    assert front.members[0].values[0] == 0.95


def test_probabilities_follow_the_seeds(made: ResultsFolder) -> None:
    made.trained(0.896, 19.0, 19_000)  # On the front, just below trial 1 at a lower cost.
    made.confirmed(0, s1=0.95, s2=0.951, s3=0.949)
    made.confirmed(1, s1=0.88, s2=0.881, s3=0.879)
    made.confirmed(5, s1=0.91, s2=0.911, s3=0.909)
    chances = {number: member.p_nondominated for number, member in front_of(made).retrained.members.items()}
    assert chances[1] is not None and chances[1] < 0.05
    assert chances[5] is not None and chances[5] > 0.95
    assert chances[0] is not None and chances[0] > 0.95


def test_seeds_of_a_rival_count_against_a_member(made: ResultsFolder) -> None:
    made.trained(0.70, 4.0, 9_000)  # Dominates trial 2, so that 2 is a rival no longer on the front.
    made.confirmed(5, s1=0.62, s2=0.63, s3=0.61)
    before = front_of(made).retrained.members[5].p_nondominated
    assert before is not None and before > 0.95
    made.trained(0.69, 4.0, 9_000)
    made.confirmed(6, s1=0.70, s2=0.71, s3=0.69)
    after = front_of(made).retrained.members
    assert 6 not in after
    assert after[5].p_nondominated is not None and after[5].p_nondominated < 0.05


def test_one_seed_each_gives_means_and_no_probability(made: ResultsFolder) -> None:
    made.confirmed(0, s1=0.92)
    made.confirmed(1, s1=0.88)
    member = front_of(made).retrained.members[0]
    assert (member.score.mean, member.score.low, member.p_nondominated) == (0.92, None, None)


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda folder: (folder / "metrics.json").unlink(), "not finished: metrics.json is missing"),
        (lambda folder: (folder / "student.int8.tflite").unlink(), "student.int8.tflite is missing"),
        (lambda folder: (folder / "metrics.json").write_text("{"), "metrics.json is not JSON"),
        (lambda folder: rewrite(folder / "metrics.json", {"number": 9}), "metrics.json is of trial 9"),
        (lambda folder: rewrite(folder / "metrics.json", {"params": {}}), "its parameters are not those of trial 0"),
        (lambda folder: rewrite(folder / "metrics.json", {"objectives": {}}), "objective score is missing or not a nu"),
        (lambda folder: rewrite(folder / "metrics.json", {"objectives": None}), "objective score is missing"),
        (
            lambda folder: rewrite(
                folder / "metrics.json",
                {"objectives": {"score": float("nan"), "decision_ms": 1.0, "arena_bytes": 1.0}},
            ),
            "objective score is missing or not a number",
        ),
        (lambda folder: rewrite(folder / "metrics.json", {"tflite_sha256": "00"}), "its hash differs"),
    ],
)
def test_damaged_and_unfinished_folders_are_named_and_left_out(made: ResultsFolder, spoil: Any, fault: str) -> None:
    made.confirmed(0, s1=0.92, s2=0.94, s3=0.99)
    made.final(0, 0.97)
    spoil(made.folder / "confirm/0/3")
    spoil(made.folder / "final/0")
    retrained = front_of(made).retrained
    assert list(retrained.members[0].scores) == [1, 2]
    assert retrained.finals == ()
    assert set(retrained.left_out) == {"confirm/0/3", "final/0"}
    assert all(fault in said for said in retrained.left_out.values())


def test_what_is_no_seeds_folder_is_passed_over(made: ResultsFolder) -> None:
    made.confirmed(0, s1=0.92, s2=0.94)
    made.final(0, 0.97)
    for name in ("confirm/0/notes", "confirm/0/4.tmp", "confirm/99/1", "confirm/session", "final/4", "final/log"):
        (made.folder / name).mkdir(parents=True)
    (made.folder / "confirm/7").write_text("a file")
    retrained = front_of(made).retrained
    assert (list(retrained.members[0].scores), len(retrained.finals), retrained.left_out) == ([1, 2], 1, {})


def test_a_score_without_a_twin_on_test_has_no_test_mean(made: ResultsFolder) -> None:
    made.confirmed(0, s1=0.92, s2=0.94)
    rewrite(made.folder / "confirm/0/2/metrics.json", {"test": {"recall": 0.9}})
    made.confirmed(1, s1=0.89)
    rewrite(made.folder / "confirm/1/1/metrics.json", {"test": None})
    members = front_of(made).retrained.members
    assert (members[0].tests, members[1].tests) == ({}, {})


def test_front_files_gain_fields_where_there_are_seeds(made: ResultsFolder) -> None:
    write_front(Results(made.folder))
    plain = json.loads((made.folder / "front.json").read_text())
    made.confirmed(0, s1=0.92, s2=0.94, s3=0.96)
    made.final(1, 0.93)
    write_front(Results(made.folder))
    content = json.loads((made.folder / "front.json").read_text())
    best, _, last = content["members"]
    assert content["schema"] == plain["schema"] == 1
    assert {key: best[key] for key in plain["members"][0]} == plain["members"][0]
    added = {key: value for key, value in best.items() if key not in plain["members"][0]}
    assert 0.8 < added.pop("p_nondominated") < 0.95
    # Half the interval: 4.3027 times the deviation .02 over the root of 3.
    expected = {"mean": 0.94, "low": 0.890317, "high": 0.989683, "seeds": 3}
    on_test = {"test_mean": 0.9083, "test_low": 0.858617, "test_high": 0.957983}
    assert added.pop("within_teacher_margin") is True
    # The teacher has F1 0.9 on test.
    gap = {f"teacher_gap_{end}": on_test[f"test_{end}"] - 0.9 for end in ("mean", "low", "high")}
    assert added == pytest.approx(expected | on_test | gap, abs=1e-6)
    assert (last["mean"], last["low"], last["seeds"], last["p_nondominated"]) == (None, None, 0, None)
    rows = list(csv.DictReader((made.folder / "front.csv").read_text().splitlines()))
    assert float(rows[0]["mean"]) == pytest.approx(0.94)
    assert (rows[0]["seeds"], rows[2]["mean"]) == ("3", "")
    [final] = content["finals"]
    assert (final["trial"], final["values"]["score"], final["tflite"]) == (1, 0.93, "final/1/student.int8.tflite")
    assert "finals" not in plain


def test_full_length_trainings_are_picked_by_name(made: ResultsFolder) -> None:
    made.final(1, 0.93)
    made.final(3, 0.91)
    row = pick(front_of(made), "final:3")
    assert (row.number, row.final, row.name, row.values) == (3, True, "final:3", (0.91, 25.0, 21_000.0))
    assert row.params == made.study.trials[3].params
    assert Results(made.folder).of(row) == made.folder / "final/3"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("final:2", "no trial 2 was trained at full length; there is final:1; --final trains one"),
        ("final:", "there is final:1"),
        ("final:0", r"the folder of final:0 cannot be used: student\.json is missing"),
    ],
)
def test_bad_final_pick_says_what_there_is(made: ResultsFolder, rule: str, message: str) -> None:
    made.final(1, 0.93)
    made.final(0, 0.97)
    (made.folder / "final/0/student.json").unlink()
    with pytest.raises(ValueError, match=message):
        pick(front_of(made), rule)


def test_the_score_is_found_by_name_or_comes_first() -> None:
    cost, score, other = (Objective(name, "minimize") for name in ("arena_bytes", "score", "error"))
    assert score_axis([cost, score]) == 1
    assert score_axis([other, cost]) == 0
