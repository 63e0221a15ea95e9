"""The plots of the pick against the profile that `python -m export profile` prints."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from export.calibration import Calibration, recorded_calibration
from export.footprint import profile
from export.front import Front, find_front
from export.latency import Constant, Constants, constants
from export.markup import html, tag
from export.picks import pick
from export.profile_section import SHOWN_OPERATORS, profile_section
from export.results import read_study
from spaces.board import load_board
from tests.export.results_folder import ResultsFolder

BOARD = load_board("esp32-s3-devkitc-1-n8")


def front_with(tmp_path: Path, model: bytes, **details: Any) -> Front:
    folder = ResultsFolder(tmp_path / "results", details={"board": asdict(BOARD), **details})
    number = folder.trained(0.9, 20.0, 20_000)
    (folder.folder / "trials" / str(number) / "student.int8.tflite").write_bytes(model)
    return find_front(read_study(folder.folder))


def page_of(front: Front) -> str:
    return html(tag("div", *profile_section(front, pick(front, "best"))))


def test_its_operators_and_blocks_are_those_of_the_profile(student: bytes, tmp_path: Path) -> None:
    front = front_with(tmp_path, student)
    page = page_of(front)
    found = profile(student, BOARD)
    kinds = [row.operator.kind for row in found.rows]
    assert re.findall(r">(\d+ [A-Z0-9_]+)</text>", page) == [f"{at} {kind}" for at, kind in enumerate(kinds)]
    assert f"One Invoke: {found.footprint.latency_ms:.2f} ms in {len(kinds)} operators" in page
    assert f"arena {found.footprint.arena_bytes / 1024:.1f} KiB" in page
    assert page.count('class="block ') == len(found.arena.blocks)
    slowest = max(found.rows, key=lambda row: row.cycles)
    assert f"kernel {slowest.kernel_cycles / BOARD.cpu_mhz / 1000:.3f} ms" in page
    assert "of profiler version 1, these of" in page


def test_a_boards_own_factors_are_used(student: bytes, tmp_path: Path) -> None:
    table = {name: Constant(3 * c.value, c.log_sd) for name, c in constants().table.items()}
    own = Calibration(BOARD.name, BOARD.esp_nn, BOARD.cpu_mhz, 3.0, Constants(table))
    recorded = json.loads(json.dumps(asdict(own)))
    assert recorded_calibration(recorded) == own
    page = page_of(front_with(tmp_path, student, calibration=recorded))
    slow = profile(student, BOARD, calibration=own).footprint.latency_ms
    assert slow > 2 * profile(student, BOARD).footprint.latency_ms
    assert f"One Invoke: {slow:.2f} ms" in page


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ({"board": "esp32-s3"}, "does not describe its board in full"),
        ({"board": {"name": "some board"}}, "does not describe its board in full"),
        ({"calibration": {"board": "b"}}, "its calibration is not whole"),
    ],
)
def test_what_is_missing_is_said(details: dict[str, Any], said: str, student: bytes, tmp_path: Path) -> None:
    page = page_of(front_with(tmp_path, student, **details))
    assert "The model cannot be profiled: " in page and said in page


def test_a_file_that_is_no_model_is_said_to_be_none(tmp_path: Path) -> None:
    assert "The model cannot be profiled: " in page_of(front_with(tmp_path, b"\x1c\0\0\0TFL3" + bytes(64)))


def test_of_a_long_graph_the_slowest_are_shown_and_the_rest_are_summed(new_model: Any, tmp_path: Path) -> None:
    m = new_model()
    x = y = m.tensor((1, 4, 4, 8))
    for _ in range(SHOWN_OPERATORS + 7):
        y = m.add(y, x)
    model = m.build([x], [m.conv(y, 32, (3, 3))])
    page = page_of(front_with(tmp_path, model))
    names = re.findall(r">(\d+) ([A-Z0-9_]+)</text>", page)
    assert len(names) == SHOWN_OPERATORS and names[-1][1] == "CONV_2D"
    assert [int(index) for index, _ in names] == sorted(int(index) for index, _ in names)
    rows = profile(model, BOARD).rows
    left = sorted(row.cycles for row in rows)[:8]
    assert f"and 8 more operators, {sum(left) / BOARD.cpu_mhz / 1000:.3f} ms together" in page


def test_without_a_pick_there_is_no_profile(student: bytes, tmp_path: Path) -> None:
    front = front_with(tmp_path, student)
    assert profile_section(front, None) == []
