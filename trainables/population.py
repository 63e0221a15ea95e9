"""Populations: trials whose students are alike, taught together epoch by epoch, each to its own end."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING

from trainables.distil import told
from trainables.draws import Draws
from trainables.learner import Lesson, NotANumberError
from trainables.quantization_aware import QuantizationAware
from trainables.stacked_learners import StackedLearners

if TYPE_CHECKING:
    from trainables.distil import Due, Figures, Result, Teaching
    from trainables.learner import Learner


class PopulationError(RuntimeError):
    """An epoch of several learners failed: each of them may yet go on alone."""


def together(members: Sequence[Teaching[Result]]) -> Iterator[Result]:
    """Run trials to their ends, and give what each ends with as soon as it ends.

    In every round each trains the epoch that is due; those whose networks are alike by now do it at once, with the same
    result as alone. What a trial does between its epochs it does in its turn. What its training raises is raised inside
    it, so that it ends this trial alone; what it raises itself ends all.
    """
    due: dict[Teaching[Result], Due] = {}
    for member in members:
        try:
            due[member] = next(member)
        except StopIteration as ended:
            yield ended.value
    while due:
        for member, figures in zip(list(due), trained(list(due.values())), strict=True):
            try:
                due[member] = told(member, figures)
            except StopIteration as ended:
                del due[member]
                yield ended.value


def trained(epochs: Sequence[Due]) -> list[Figures | Exception]:
    """Each epoch's figures, or why it failed."""
    alike: dict[Hashable, list[int]] = defaultdict(list)
    for place, due in enumerate(epochs):
        alike[_likeness(due.learner, place)].append(place)
    found: dict[int, Figures | Exception] = {}
    for places in alike.values():
        found |= zip(places, _trained_alike([epochs[place] for place in places]), strict=True)
    return [found[place] for place in range(len(epochs))]


def _likeness(learner: Learner, place: int) -> Hashable:
    """The same for learners whose networks differ in their weights alone."""
    if isinstance(learner.network, QuantizationAware):
        # Its ranges are no weights: it trains alone.
        return place
    shapes = tuple((name, weight.shape) for name, weight in learner.network.state_dict().items())
    return type(learner.network), type(learner.criterion), learner.candidate.architecture, learner.device, shapes


def _trained_alike(epochs: Sequence[Due]) -> list[Figures | Exception]:
    if len(epochs) == 1:
        return [epochs[0].figures()]
    started = time.perf_counter()
    try:
        found = _epoch_of_all([due.learner for due in epochs], [_lesson(due) for due in epochs])
    except Exception as error:
        failed = PopulationError(f"{type(error).__name__}: {error}")
        failed.__cause__ = error
        return [failed] * len(epochs)
    seconds = (time.perf_counter() - started) / len(epochs)
    return [figures if isinstance(figures, Exception) else {**figures, "seconds": seconds} for figures in found]


def _lesson(due: Due) -> Lesson:
    due.learner.network.train()
    return Lesson(due.learner, due.epoch, due.epochs)


def _epoch_of_all(learners: Sequence[Learner], lessons: Sequence[Lesson]) -> list[Figures | Exception]:
    """Side by side as long as they have steps left: whoever has more takes the rest with fewer beside it."""
    draws = [Draws(own.draws_of(lesson.epoch), own.device) for own, lesson in zip(learners, lessons, strict=True)]
    done = 0
    for until in sorted({len(lesson) for lesson in lessons}):
        active = [place for place, lesson in enumerate(lessons) if len(lesson) >= until]
        stack = StackedLearners([learners[place] for place in active])
        for step in range(done, until):
            batches = []
            for place in active:
                with draws[place].used():
                    batches.append(learners[place].batch(*lessons[place].batches[step]))
            rates = [lessons[place].rates[step] for place in active]
            losses = stack.step(batches, rates, [draws[place] for place in active])
            for place, own in zip(active, losses, strict=True):
                lessons[place].learnt(step, own)
        stack.give_back()
        done = until
    return [_figures(lesson) for lesson in lessons]


def _figures(lesson: Lesson) -> Figures | Exception:
    try:
        return lesson.figures()
    except NotANumberError as error:
        return error
