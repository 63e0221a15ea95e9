"""Tests of reading what a board prints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.board_log import read_log

TABLE = """ESP-ROM:esp32s3-20210327
\x1b[0;32mI (312) main_task: Calling app_main()\x1b[0m
I (345) tflm: [RecordingMicroAllocator] Arena allocation head 75584 bytes
[RecordingMicroAllocator] Arena allocation tail 7020 bytes
\x1b[0;32mI (412) prof: "Unique Tag","Total microseconds across all events with that tag."\x1b[0m
I (412) prof: CONV_2D, 41500
wifi:state: run -> ok
W (413) wifi: bcn timeout, 3
I (412) prof: MEAN, 26100\r
"total number of microseconds", 67600
IGNORED, 12
"""


def test_a_table_of_tags_between_other_lines() -> None:
    log = read_log(TABLE)
    assert log.tag_blocks == ({"CONV_2D": 41500, "MEAN": 26100},)
    assert log.arena == {"head": 75584, "tail": 7020}
    assert log.timed and not log.events


def test_several_tables_give_the_median_of_each_tag() -> None:
    again = TABLE.replace("41500", "41000") + TABLE.replace("41500", "49000")
    assert read_log(TABLE + again).tags() == {"CONV_2D": 41500, "MEAN": 26100}


def test_lines_of_events() -> None:
    lines = [
        "[12:00:01] CONV_2D took 168688 microseconds.",
        "I (9) app: free heap 1234",
        "SOFTMAX took 91 us",
        "MEAN took 7 ticks (0 ms).",
    ]
    assert read_log("\n".join(lines)).events == (("CONV_2D", 168688), ("SOFTMAX", 91), ("MEAN", 7))


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "[12:00:01.123]",
        "12:00:01.123 > ",
        "2026-06-01 12:00:01.123 -> ",
        "2026-06-01T12:00:01,123 ",
        "I (412) prof: ",
        "\x1b[0;32mI (00:00:12.345) prof: ",
        "12:00:01 \x1b[0;33mW (412) prof: ",
        "[12:00:01][D][tflite:123]: ",
    ],
)
def test_prefixes_of_monitors(prefix: str) -> None:
    lines = ['"Unique Tag","Total ticks across all events with that tag."', "CONV_2D, 41500", "MEAN took 9 us"]
    log = read_log("".join(f"{prefix}{line}\x1b[0m\r\n" for line in lines))
    assert log.tag_blocks == ({"CONV_2D": 41500},) and log.events == (("MEAN", 9),)


def test_a_table_of_events() -> None:
    log = read_log('"Event","Tag","Ticks"\n0,CONV_2D,4000\n1,MEAN,500\n')
    assert log.events == (("CONV_2D", 4000), ("MEAN", 500))


def test_numbers_outside_a_table_are_not_times() -> None:
    log = read_log("HEAP, 4096\nI (1) x: RSSI, 40\n")
    assert not log.timed


@given(st.text(max_size=400))
def test_any_text_is_read(text: str) -> None:
    read_log(text)
    read_log(TABLE + text)


def test_long_lines_are_cut() -> None:
    assert not read_log("x" * 10_000_000).timed
