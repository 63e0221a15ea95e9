"""The report as a browser's parser reads it: its parts, what it says, and that data never become markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from export.picks import pick
from export.report import MAX_BYTES, report, write_report
from tests.export.report_page import front_of, page_of, parsed
from tests.export.results_folder import ResultsFolder

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">\'"&lt;'


@pytest.fixture
def made(tmp_path: Path) -> ResultsFolder:
    folder = ResultsFolder(tmp_path / "results")
    folder.trained(0.95, 40.0, 60_000)
    folder.trained(0.90, 20.0, 20_000)
    folder.trained(0.60, 5.0, 10_000)
    folder.trained(0.85, 25.0, 21_000)
    folder.refused(80.0, 30_000)
    folder.refused(20.0, 90_000)
    folder.failed("loss: nan in epoch 3")
    return folder


def rewrite(path: Path, change: dict[str, Any]) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def test_both_charts_show_every_kind_of_point(made: ResultsFolder) -> None:
    page = page_of(made)
    classes = page.classes()
    # Two charts and the key: 2 front members beside the pick, 1 dominated, 2 refused.
    assert classes["dot picked"] == 2 + 1
    assert classes["dot front"] == 2 * 2 + 1
    assert classes["dot dominated"] == 2 * 1 + 1
    assert classes["refused"] == 2 * 2 + 1
    assert classes["ceiling"] == 2
    assert "score against decision (ms)" in page.text and "score against arena (KiB)" in page.text


def test_refused_points_say_what_they_exceed(made: ResultsFolder) -> None:
    tips = [attributes["data-tip"] for name, attributes in page_of(made).elements if "data-tip" in attributes]
    assert any("trial 4, never trained\nover latency_ms by 92%" in tip for tip in tips)
    assert any("trial 5, never trained\nover arena_bytes by 37%" in tip for tip in tips)


def test_front_table_has_int8_beside_float(made: ResultsFolder) -> None:
    every = page_of(made).rows
    rows = every[[row[:4] for row in every].index(["trial", "INT8", "float", "INT8 - float"]) :]
    assert rows[1] == [
        "0 ",
        "0.950",
        "0.954",
        "-0.004",
        "40.0 ms",
        "36.0 (28.8-43.2)",
        "58.6 KiB",
        "39.1 KiB",
        rows[1][-1],
    ]
    assert rows[2][0] == "1 picked"
    assert [row[0].split()[0] for row in rows[1:4]] == ["0", "1", "2"]


def test_every_trial_has_a_section_and_the_picked_one_is_first_and_open(made: ResultsFolder) -> None:
    details = [attributes for name, attributes in page_of(made).elements if name == "details"]
    assert [attributes["id"] for attributes in details] == ["trial-1", "trial-0", "trial-2", "trial-3"]
    assert ["open" in attributes for attributes in details] == [True, False, False, False]


def test_links_lead_to_sections_that_are_there(made: ResultsFolder) -> None:
    elements = page_of(made).elements
    anchors = {attributes["id"] for _, attributes in elements if "id" in attributes}
    links = {attributes["href"].removeprefix("#") for _, attributes in elements if "href" in attributes}
    assert links == {"trial-0", "trial-1", "trial-2", "trial-3"}
    assert links <= anchors


def test_every_point_of_the_front_charts_leads_to_its_trial(made: ResultsFolder) -> None:
    text = report(front_of(made))
    pairs = re.findall(
        r'<a href="#trial-(\d+)" aria-label="trial \d+"><circle class="dot [a-z]+"[^>]*data-trial="(\d+)"', text
    )
    assert sorted(pairs) == sorted([(number, number) for number in "0123"] * 2)


def test_dominated_pick_is_in_table_and_sections(made: ResultsFolder) -> None:
    page = page_of(made, "3")
    assert "3 picked" in [row[0] for row in page.rows]
    assert "trial-3" in [attributes.get("id") for _, attributes in page.elements]


def test_test_figures_stand_beside_validation_and_are_said_to_be_reported_only(made: ResultsFolder) -> None:
    page = page_of(made)
    assert ["", "validation", "test"] in page.rows
    assert ["f1", "0.9", "0.8683"] in page.rows
    assert "nothing was chosen on them" in page.text


def test_evaluation_rows_and_histories_are_drawn(made: ResultsFolder) -> None:
    page = page_of(made)
    assert ["hey potstill", "2010%", "18090%"] in page.rows  # confusion: count and share of its row
    assert ["hey hotel", "60", "7"] in page.rows
    assert "ROC on test" in page.text
    titles = ("Training loss", "Score while training", "Learning rate")
    assert all(page.text.count(title) == 4 for title in titles)
    assert page.classes()["series s2"] >= 3  # loss, hard loss and soft loss


def test_how_to_reproduce_holds_command_versions_and_hashes(made: ResultsFolder) -> None:
    page = page_of(made)
    assert "python -m search wakeword --trials 24 --results results/demo" in page.text
    assert ["data.content_hash", "3f1c" * 16] in page.rows
    assert ["teacher.content_hash", "9d2e" * 16] in page.rows
    assert ["versions.python", "3.11"] in page.rows


def test_warnings_failures_and_damage_are_shown(made: ResultsFolder) -> None:
    (made.folder / "trials/3/student.json").unlink()
    made.unfinished()
    page = page_of(made)
    assert "teacher: F1 0.78 on validation" in page.text
    assert "trial 3: left out, its folder is damaged: student.json is missing" in page.text
    assert "not finished: 1 of 8 trials" in page.text
    assert ["loss: nan in epoch 3", "1"] in page.rows
    assert "distillation loss is 12.1 times the hard loss" in page.text  # trial 0's own


def test_one_seed_each_is_said_beside_the_front(made: ResultsFolder) -> None:
    page = page_of(made)
    assert "How sure is this order?One seed each: which of two near scores is the better one is not known." in page.text
    assert "python -m search wakeword --trials 24 --results results/demo --confirm 3" in page.text
    # In the head of each trial's section, and in the caution about what moved the score.
    assert page.text.count("one seed") == 4 + 1
    tips = [attributes["data-tip"] for name, attributes in page.elements if "data-tip" in attributes]
    assert sum(tip.endswith("\none seed") for tip in tips) == 2 * 3


def test_fresh_seeds_have_a_table_with_drawn_intervals(made: ResultsFolder) -> None:
    made.confirmed(0, s1=0.92, s2=0.94, s3=0.96)
    made.confirmed(1, s1=0.89)
    page = page_of(made)
    at = next(index for index, row in enumerate(page.rows) if "fresh seeds" in row)
    head, rows = page.rows[at], page.rows[at + 1 : at + 4]
    assert head[4] == "0.600 to 0.990"
    assert rows[0][:4] == ["0", "0.950", "0.920, 0.940, 0.960", "0.940 (0.890-0.990)"]
    assert rows[0][6] == "0.908 (0.859-0.958)"
    assert rows[1][2:4] == ["0.890", "0.890"]
    assert rows[2][1:4] == ["0.600", "none", "-"] and rows[2][5:] == ["-", "-", "-"]
    pictures = {a["aria-label"] for name, a in page.elements if a.get("aria-label", "").startswith("trial 0: ")}
    assert pictures == {"trial 0: 0.950 in the search, 0.940 (0.890-0.990) since"}
    # One interval; each front member has a latency whisker in the chart of it as well.
    assert page.classes()["whisker"] == 1 + 3
    assert "mean 0.940 (0.890-0.990) of 3 fresh seeds" in page.text and "mean 0.890 of 1 fresh seed" in page.text
    assert "One seed only: trial 2." in page.text


def test_seeds_that_all_agree_can_be_drawn(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    folder.trained(0.9, 20.0, 20_000)
    folder.confirmed(0, s1=0.9, s2=0.9)
    page = page_of(folder)
    assert "0.900 (0.900-0.900)" in page.text and "nan" not in page.text


def test_full_length_trainings_stand_beside_the_search(made: ResultsFolder) -> None:
    made.final(2, 0.66)
    page = page_of(made)
    assert ["final:2", "0.600", "0.660", "0.664", "5.0 ms", "9.8 KiB"] in page.rows
    details = [attributes for name, attributes in page.elements if name == "details"]
    assert [attributes["id"] for attributes in details] == [
        "trial-final-2",
        "trial-1",
        "trial-0",
        "trial-2",
        "trial-3",
    ]
    assert "Trial 2 at full lengthscore 0.660one seed" in page.text
    picked = page_of(made, "final:2")
    opened = [a["id"] for name, a in picked.elements if name == "details" and "open" in a]
    assert opened == ["trial-final-2"]
    assert "final:2 picked" in [row[0] for row in picked.rows]
    assert "python -m export RESULTS --pick final:2" in picked.text


def test_folders_that_were_left_out_are_warned_of(made: ResultsFolder) -> None:
    made.confirmed(0, s1=0.92)
    (made.folder / "confirm/0/1/metrics.json").unlink()
    assert "confirm/0/1: left out: not finished: metrics.json is missing" in page_of(made).text


def test_stopped_trials_are_counted_with_their_reasons_and_not_drawn(made: ResultsFolder) -> None:
    before = page_of(made).classes()
    for _ in range(2):
        made.stopped("dominated by 2 trials at epoch 5")
    made.stopped("dominated by 3 trials at epoch 10")
    page = page_of(made)
    assert "3stopped" in page.text
    at = page.text.index("Trials that were stopped early")
    assert "dominated by 2 trials at epoch 52" in page.text[at:]
    assert {kind: page.classes()[kind] for kind in before if kind.startswith("dot")} == {
        kind: count for kind, count in before.items() if kind.startswith("dot")
    }


def test_data_cannot_become_markup(made: ResultsFolder) -> None:
    folder = made.folder / "trials" / "1"
    rewrite(
        made.folder / "run.json",
        {"command": HOSTILE, "warnings": [HOSTILE], "board": {"name": HOSTILE}, "data": {HOSTILE: HOSTILE}},
    )
    rewrite(folder / "metrics.json", {"warnings": [HOSTILE], "validation": {HOSTILE: HOSTILE}})
    hostile_rows = [
        {"type": "confusion", "title": HOSTILE, "labels": [HOSTILE], "counts": [[1]]},
        {"type": "curve", "title": HOSTILE, "x_name": HOSTILE, "y_name": HOSTILE, "x": [0, 1], "y": [0, 1]},
        {"type": "table", "title": HOSTILE, "columns": [HOSTILE], "rows": [[HOSTILE]]},
        {"type": HOSTILE},
    ]
    (folder / "evaluation.json").write_text(json.dumps(hostile_rows))
    (folder / "history.csv").write_text(f'epoch,"loss{HOSTILE.replace(chr(34), chr(34) * 2)}",loss\n0,1,1\n1,2,2\n')
    made.failed(HOSTILE)
    page = page_of(made)
    names = Counter(name for name, _ in page.elements)
    assert names["script"] == 1 and names["img"] == 0
    assert not any(attribute.startswith("on") for _, attributes in page.elements for attribute in attributes)
    assert page.text.count(HOSTILE) >= 15


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"type": "video", "title": "Clip"}, "draws no rows of type video"),
        ({"type": "audio", "title": "Clip"}, "malformed: KeyError 'clips'"),
        ({"type": "audio", "title": "Clip", "clips": [{"file": "a.wav"}]}, "malformed: KeyError 'name'"),
        ({"type": "curve", "title": "C", "x_name": "x", "y_name": "y", "x": [1, 2], "y": [1]}, "malformed: ValueError"),
        ({"type": "confusion", "title": "C", "labels": ["a", "b"], "counts": [[1]]}, "malformed: ValueError"),
        ({"type": "table", "title": "T", "columns": ["a"]}, "malformed: KeyError 'rows'"),
    ],
)
def test_rows_that_cannot_be_drawn_say_why(made: ResultsFolder, row: dict[str, Any], said: str) -> None:
    (made.folder / "trials/1/evaluation.json").write_text(json.dumps([row]))
    assert said in page_of(made).text


def test_sounds_are_played_from_the_section_of_the_pick_alone(made: ResultsFolder) -> None:
    rows = [{"type": "audio", "title": "Clip", "clips": [{"name": "clean", "file": "clean.flac"}]}]
    for number in (1, 2):
        folder = made.folder / "trials" / str(number)
        (folder / "evaluation.json").write_text(json.dumps(rows))
        (folder / "clean.flac").write_bytes(b"fLaC")
    page = page_of(made, "1")
    played = [attributes["src"] for name, attributes in page.elements if name == "audio"]
    assert played == [f"data:audio/flac;base64,{base64.b64encode(b'fLaC').decode()}"]
    assert "trials/2/clean.flac" in {attributes.get("href") for _, attributes in page.elements}
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "media-src data:" in policy


def test_unreadable_history_is_said_in_its_section(made: ResultsFolder) -> None:
    (made.folder / "trials/1/history.csv").write_bytes(b"epoch,loss\n\xff\xfe,1\n")
    assert "This trial's folder cannot be shown" in page_of(made).text


def test_page_loads_nothing_and_allows_its_own_script_alone(made: ResultsFolder) -> None:
    front = front_of(made)
    text = report(front)
    page = parsed(text)
    assert not [a for name, a in page.elements if "src" in a or (name == "link")]
    assert not re.search(r"url\(|@import|https?://", text)
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    script = text[text.index("<script>") + len("<script>") : text.index("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'") and f"script-src 'sha256-{digest}'" in policy


def test_large_study_stays_under_3_megabytes_and_says_what_it_left_out(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    # Bigger is better all the way: every trial is on the front.
    for index in range(60):
        number = folder.trained(0.5 + index / 200, 1.0 + index / 2, 5_000 + 900 * index)
        rows = [{"type": "table", "title": "T", "columns": ["a"], "rows": [["x" * 290]] * 400}]
        (folder.folder / "trials" / str(number) / "evaluation.json").write_text(json.dumps(rows))
    for index in range(100):
        folder.refused(60.0 + index, 70_000)
    front = front_of(folder)
    path = write_report(front, pick(front, "30"))
    assert path == folder.folder / "report.html"
    assert path.stat().st_size < MAX_BYTES
    page = parsed(path.read_text(encoding="utf-8"))
    sections = [attributes["id"] for name, attributes in page.elements if name == "details"]
    assert sections[0] == "trial-30" and len(sections) < 60
    assert "and 200 more rows in evaluation.json" in page.text
    left_out = page.text[page.text.index("Left out to keep this page under 3 MB: trials ") :]
    assert f"{60 - len(sections)}" == str(left_out.split(".")[0].count(",") + 1)
    links = {attributes["href"] for _, attributes in page.elements if "href" in attributes}
    assert links == {f"#{section}" for section in sections}


def test_report_without_a_pick_or_anything_trained(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    folder.refused(80.0, 30_000)
    page = parsed(report(front_of(folder)))
    assert page.classes()["dot picked"] == 0
    assert page.classes()["refused"] == 2 + 1
