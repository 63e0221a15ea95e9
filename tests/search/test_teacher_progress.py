"""What a person hears of a teacher at work."""

from __future__ import annotations

import logging

from search.teacher_progress import said
from trainables.teachers import embedded, fine_tuned


def test_a_teacher_at_work_is_heard_every_ten_seconds() -> None:
    now, heard = [0.0], list[str]()
    with said(heard.append, lambda: now[0]):
        for second, message in enumerate(["a", "b", "c", "d", "e"]):
            now[0] = 6.0 * second
            logging.getLogger("trainables.teachers.mine").info("at %s", message)
    assert heard == ["teacher: at c", "teacher: at e"]


def test_nobody_hears_it_before_or_after() -> None:
    logger, heard = logging.getLogger("trainables.teachers"), list[str]()
    before = (logger.level, list(logger.handlers))
    with said(heard.append, iter(range(0, 1000, 20)).__next__):
        logger.info("within")
    logger.info("after")
    assert heard == ["teacher: within"]
    assert (logger.level, logger.handlers) == before


def test_those_who_work_long_tell() -> None:
    for progress in (embedded.PROGRESS, fine_tuned.PROGRESS):
        assert progress.name.startswith("trainables.teachers.")
