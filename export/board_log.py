"""What a board prints while it runs a model: operator times and arena sizes, picked out of a serial log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from statistics import median
from typing import final

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# The clock of a monitor, ESPHome's level and tag, ESP-IDF's level, time and tag.
_PREFIX = re.compile(
    r"^(?:\[[\d:. -]+\]\s*|(?:\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d(?:[.,]\d+)?\s*(?:->|>|\|)?\s*)?"
    r"(?:\[[A-Z]\]\[[^\]]{1,40}\]:\s*)?(?:[IWEDV] \([\d:.]+\) [^:]{1,40}: )?"
)
_HEADER = re.compile(r'"Unique Tag"\s*,\s*"Total (microseconds|ticks)')
_TAG = re.compile(r'^"?([A-Z][A-Z0-9_]*)"?\s*,\s*(\d+)$')
_TOTAL = re.compile(r'^"?total number of (?:ticks|microseconds)"?\s*,\s*(\d+)', re.IGNORECASE)
_EVENT_HEADER = re.compile(r'"Event"\s*,\s*"Tag"\s*,\s*"(Ticks|Microseconds)"', re.IGNORECASE)
_EVENT_ROW = re.compile(r"^\d+\s*,\s*\"?([A-Z][A-Z0-9_]*)\"?\s*,\s*(\d+)$")
_EVENT = re.compile(r"^([A-Z][A-Z0-9_]*) took (\d+) (microseconds|us|ticks)\b")
_ARENA = re.compile(r"Arena allocation (head|tail|total) (\d+) bytes")
MAX_LINE = 400


@final
@dataclass(frozen=True)
class BoardLog:
    """Times in the log's own unit (microseconds or ticks): one entry per event, and one block of sums per tag.

    `events` holds every line in order, over all Invokes of the log; `tag_blocks` one dictionary per printed table.
    """

    events: tuple[tuple[str, int], ...]
    tag_blocks: tuple[dict[str, int], ...]
    arena: dict[str, int]

    @property
    def timed(self) -> bool:
        """Whether it holds any time."""
        return bool(self.events or self.tag_blocks)

    def tags(self) -> dict[str, float]:
        """Median sum of each tag over the tables."""
        names = {name for block in self.tag_blocks for name in block}
        return {name: median(block[name] for block in self.tag_blocks if name in block) for name in sorted(names)}


def read_log(text: str) -> BoardLog:
    """Pick times and sizes out of a log, whatever lies between them; colours and ESP-IDF prefixes are dropped."""
    reader = _LogReader()
    for line in text.splitlines():
        reader.take(_PREFIX.sub("", _COLOUR.sub("", line[:MAX_LINE]).strip(), count=1))
    return reader.log()


@final
class _LogReader:
    """Collects one log line by line; a table of tags ends at its total or where another begins."""

    def __init__(self) -> None:
        self._events: list[tuple[str, int]] = []
        self._blocks: list[dict[str, int]] = []
        self._arena: dict[str, int] = {}
        self._in_table = False
        self._in_events = False

    def take(self, line: str) -> None:
        """Read one line."""
        if found := _ARENA.search(line):
            self._arena[found[1]] = int(found[2])
        elif _HEADER.search(line):
            self._in_table, self._in_events = True, False
            self._blocks.append({})
        elif _EVENT_HEADER.search(line):
            self._in_table, self._in_events = False, True
        elif _TOTAL.match(line):
            self._in_table = self._in_events = False
        elif found := _EVENT.match(line):
            self._events.append((found[1], int(found[2])))
        elif self._in_table and (found := _TAG.match(line)):
            self._blocks[-1][found[1]] = self._blocks[-1].get(found[1], 0) + int(found[2])
        elif self._in_events and (found := _EVENT_ROW.match(line)):
            self._events.append((found[1], int(found[2])))

    def log(self) -> BoardLog:
        """Everything read so far; a table of which no row arrived does not count."""
        return BoardLog(tuple(self._events), tuple(block for block in self._blocks if block), self._arena)
