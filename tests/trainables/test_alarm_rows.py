"""False alarms per hour as the wake-word recipe reports them, and the rule for epochs, by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.false_alarms import FalseAlarms
from spaces import recipe_space
from spaces.board import load_board
from spaces.candidate import Scalar
from spaces.front_end import FrontEnd
from trainables.alarm_rows import Heard, epoch_value, judged_on_streams, refractory_decisions
from trainables.assignment import Assignment
from trainables.recipe import Judgement, Request, recipe
from trainables.trial import run_trial

POINT: dict[str, Scalar] = {
    **{k: v for k, v in recipe_space("wakeword").START_POINTS[0].items() if not k.startswith("tiny_conv")},
    "mels": 20,
    "hop_ms": 20,
    "student": "ds_cnn",
    "ds_cnn_width": 8,
    "ds_cnn_depth": 1,
    "ds_cnn_second_stride": 2,
}
# Ten decisions a second, half an hour.
POSITIVES = np.array([1.0, 2, 3, 4])


def heard(loud: dict[int, float], hours: float = 0.5) -> Heard:
    stream = np.zeros(int(36_000 * hours))
    for at, score in loud.items():
        stream[at] = score
    return Heard(POSITIVES, stream, hours, refractory=20)


def judgement() -> Judgement:
    return Judgement(0.9, 0.9, {"f1": 0.9, "threshold": 1.5}, {"f1": 0.8}, {"threshold": 1.5})


def test_rates_recalls_and_bounds_are_those_of_both_streams() -> None:
    # Within two seconds a second loud window is the same alarm; the fourth is too quiet for 1.5.
    validation = heard({100: 2.5, 110: 2.6, 5_000: 3.5, 9_000: 1.2})
    test = heard({10: 1.7, 200: 1.8, 300: 3.2, 7_000: 0.9})
    found = judged_on_streams(judgement(), {"validation": validation, "test": test}, None)
    assert found.decision == {"threshold": 1.5, "refractory_seconds": 2.0}
    assert found.validation["false_alarms_per_hour"] == 4.0
    assert found.test["false_alarms_per_hour"] == 6.0
    assert found.test["false_alarms_per_hour_high"] == FalseAlarms(3, 0.5).high
    assert found.test["stream_minutes"] == 30.0
    # At most one per hour allows none in half an hour: over 3.5, where one clip in four is left.
    assert found.validation["recall_at_ceiling"] == found.test["recall_at_ceiling"] == 0.25
    table, curve = found.rows
    rows = {row[0]: dict(zip(table["columns"], row, strict=True)) for row in table["rows"]}
    assert list(rows) == ["in student.json", "recall 0.9", "recall 0.95", "at most 1/h"]
    assert rows["recall 0.9"]["threshold"] == 1.0
    assert (rows["recall 0.9"]["alarms"], rows["recall 0.9"]["miss rate"]) == (3, 0.0)
    assert rows["at most 1/h"]["alarms"] == 0
    assert rows["at most 1/h"]["95 % high"] == pytest.approx(6.0, abs=0.01)
    assert "30.0 distinct minutes of test" in table["title"]
    assert "under 6/h" in table["title"]
    # Thresholds 4, 3, 2, 1 bring none, which is drawn as half a one in half an hour, one, one, and three alarms.
    assert (curve["x"], curve["y"]) == ([1.0, 2.0, 2.0, 6.0], [0.25, 0.5, 0.75, 1.0])
    assert curve["x_scale"] == "log"


def test_a_ceiling_moves_the_threshold_of_the_device() -> None:
    both = {split: heard({100: 2.5, 5_000: 3.5, 9_000: 1.2}) for split in ("validation", "test")}
    assert judged_on_streams(judgement(), both, 2.0).decision["threshold"] == 3.0
    assert judged_on_streams(judgement(), both, 4.0).decision["threshold"] == pytest.approx(1.85)
    # No clip is as loud as this stream: the best F1 stays.
    loud = {split: heard({7: 9.0}) for split in ("validation", "test")}
    assert judged_on_streams(judgement(), loud, 0.0).decision["threshold"] == 1.5


def test_two_seconds_are_as_many_decisions_as_the_hop_makes_them() -> None:
    assert refractory_decisions(FrontEnd(), 10) == 20
    assert refractory_decisions(FrontEnd(hop_samples=256), 6) == 21


@given(
    loud=st.lists(st.tuples(st.integers(0, 17_999), st.floats(0.5, 5)), max_size=6),
    others=st.lists(st.tuples(st.integers(0, 17_999), st.floats(0.5, 5)), max_size=6),
    f1=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_epochs_are_ordered_by_recall_and_then_by_f1(
    loud: list[tuple[int, float]], others: list[tuple[int, float]], f1: tuple[float, float]
) -> None:
    first, second = heard(dict(loud)), heard(dict(others))
    keys = [(one.recall(one.threshold_under(2.0)), f) for one, f in zip((first, second), f1, strict=True)]
    values = [epoch_value(one, 2.0, f) for one, f in zip((first, second), f1, strict=True)]
    if keys[0][0] != keys[1][0]:
        assert (values[0] > values[1]) == (keys[0] > keys[1])
    else:
        assert (values[0] > values[1]) == (f1[0] > f1[1]) or values[0] == pytest.approx(values[1])


def test_where_no_epoch_meets_the_ceiling_f1_decides() -> None:
    never = heard({50: 9.0})
    assert 0 < epoch_value(never, 0.0, 0.3) < epoch_value(never, 0.0, 0.4) < 1 / len(POSITIVES)


def assignment(folder: Path, speech_folder: Path, **asked: object) -> Assignment:
    material = recipe("wakeword").prepare(Request(data=speech_folder, word="up", **asked))  # type: ignore[arg-type]
    return Assignment("wakeword", material, load_board(recipe_space("wakeword").BOARD), 2, 0, folder)


def test_a_trial_reports_its_false_alarms_and_its_teacher(speech_folder: Path, tmp_path: Path) -> None:
    asked = assignment(tmp_path, speech_folder)
    metrics = run_trial(asked, 0, POINT)
    assert metrics["test"]["stream_minutes"] == pytest.approx(asked.material.streams["test"].hours * 60)
    table = next(
        row for row in json.loads((tmp_path / "0/evaluation.json").read_text()) if row["title"].startswith("False")
    )
    at_threshold = table["rows"][0]
    assert at_threshold[1] == pytest.approx(metrics["validation"]["threshold"], abs=1e-4)
    assert 1 - at_threshold[5] == pytest.approx(metrics["test"]["recall"], abs=1e-4)
    teacher = asked.material.teacher["test"]["f1"]
    within = metrics["test"]["f1"] >= teacher - 0.05
    assert metrics["beside_teacher"] == {
        "f1": metrics["test"]["f1"],
        "teacher_f1": teacher,
        "margin": 0.05,
        "within_margin": within,
    }


def test_a_ceiling_orders_the_epochs(speech_folder: Path, tmp_path: Path) -> None:
    asked = assignment(tmp_path, speech_folder, max_false_alarms_per_hour=1000.0)
    metrics = run_trial(asked, 0, POINT)
    history = (tmp_path / "0/history.csv").read_text().splitlines()
    scores = [float(line.split(",")[history[0].split(",").index("validation_score")]) for line in history[1:]]
    assert metrics["best_epoch"] == int(np.argmax(scores))
    positives = int((asked.material.corpus.targets()[asked.material.corpus.indices("validation")] == 1).sum())
    # A recall, in whole clips, and less than half a clip of F1.
    assert all(0 <= score * positives % 1 <= 0.5 + 1e-9 for score in scores)


def test_streams_change_the_identity_of_the_data(speech_folder: Path, tmp_path: Path) -> None:
    import soundfile

    for number in range(2):
        samples = 0.1 * np.random.default_rng(number).standard_normal(16_000 * 12)
        soundfile.write(tmp_path / f"{number}.wav", samples, 16_000)
    without = assignment(tmp_path, speech_folder).material
    given_ = assignment(tmp_path, speech_folder, streams=tmp_path).material
    assert given_.data["content_hash"] != without.data["content_hash"]
    assert given_.data["streams"] == {split: {"minutes": 0.2, "recordings": 1} for split in ("validation", "test")}
    told = recipe("wakeword").summary(given_)
    assert any("validation 0.2 minutes (none would mean under 9e+02/h)" in line for line in told)
    assert {stream.audio_key for stream in given_.streams.values()} <= set(recipe("wakeword").arrays(given_))


@pytest.mark.parametrize("rate", [-1.0, float("nan")])
def test_a_ceiling_below_zero_is_named(rate: float, speech_folder: Path) -> None:
    with pytest.raises(ValueError, match="--max-false-alarms-per-hour: must be at least 0"):
        recipe("wakeword").prepare(Request(data=speech_folder, word="up", max_false_alarms_per_hour=rate))


def test_a_ceiling_that_the_minutes_cannot_tell_from_none_is_warned_about(speech_folder: Path) -> None:
    material = recipe("wakeword").prepare(Request(data=speech_folder, word="up", max_false_alarms_per_hour=1.0))
    assert any("minutes of validation allow no alarm at 1/h" in warning for warning in material.warnings)
    assert replace(material, max_false_alarms_per_hour=None).streams


@pytest.mark.parametrize("name", ["baby_cry", "speech_emotion"])
@pytest.mark.parametrize("asked", [{"streams": Path("home")}, {"max_false_alarms_per_hour": 1.0}])
def test_recipes_without_streams_refuse_them(name: str, asked: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"--streams, --max-false-alarms-per-hour: {name} counts no false alarms"):
        recipe(name).prepare(Request(**asked))  # type: ignore[arg-type]
