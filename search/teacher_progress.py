"""How far a teacher has come, said to whoever waits for it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import final

LOGGER = "trainables.teachers"
QUIET_SECONDS = 10.0


@contextlib.contextmanager
def said(say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Within, the last word of teachers at work is said, once in ten seconds and not in the first ten."""
    logger, handler = logging.getLogger(LOGGER), _Sayer(say, clock)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@final
class _Sayer(logging.Handler):
    def __init__(self, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        super().__init__(logging.INFO)
        self._say, self._clock, self._said_at = say, clock, clock()

    def emit(self, record: logging.LogRecord) -> None:
        if self._clock() - self._said_at >= QUIET_SECONDS:
            self._said_at = self._clock()
            self._say(f"teacher: {record.getMessage()}")
