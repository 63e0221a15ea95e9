"""What fresh seeds say about the front, in the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export import figures
from export.markup import tag
from export.retrained import score_axis
from export.scale import Scale
from export.tables import plain_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from export.confirmation import Confirmed
    from export.front import Front
    from export.results import TrialRow

TITLE = "How sure is this order?"
WIDTH, HEIGHT, MARGIN = 240, 22, 8
COLUMNS = ("trial", "in the search", "fresh seeds", "mean (95 %)", "p non-dominated", "mean on test (95 %)")
GAP = "F1 less the teacher's, test (95 %)"
EXPLAINED = (
    "The front holds the best of many scores, so a score from the search is too high on average: means and intervals "
    "(Student's t) are over fresh seeds alone. p is the share of joint draws of all trials' expected scores in which "
    "none dominates the member; trials with one seed are drawn with the deviation between seeds that the others show. "
    "All seeds share one split of the data: nothing here speaks of other recordings."
)
KEY = "Ring: the score in the search. Small points: fresh seeds. Bar and point: their mean with its interval."


def seeds_section(front: Front) -> list[Element]:
    """A table with a drawn interval per member, or what is not known and how to learn it."""
    if not front.members:
        return []
    if not front.retrained.members:
        return [tag("h2", TITLE), *_doubt(front)]
    return [tag("h2", TITLE), tag("p", EXPLAINED, class_="soft"), _card(front), *_doubt(front)]


def _doubt(front: Front) -> list[Element]:
    doubt = figures.doubt(front)
    if not doubt:
        return []
    command = tag("p", "Fresh seeds for the front: ", tag("code", figures.confirming_command(front)))
    return [tag("div", tag("p", f"{doubt[0].upper()}{doubt[1:]}."), command, class_="card notes")]


def _card(front: Front) -> Element:
    axis = score_axis(front.study.run.objectives)
    members = [(row, row.values[axis], front.retrained.members[row.number]) for row in front.members]
    scale = _scale([value for _, searched, confirmed in members for value in [searched, *_marks(confirmed)]])
    more = [GAP] if any(confirmed.gaps for _, _, confirmed in members) else []
    gaps = [[figures.beside_teacher(confirmed)] if more else [] for _, _, confirmed in members]
    table = plain_table(
        [*COLUMNS, *more], [[*_cells(*member), *gap] for member, gap in zip(members, gaps, strict=True)]
    )
    head, *lines = table.iter("tr")
    head.insert(4, tag("th", f"{scale.low:.3f} to {scale.high:.3f}"))
    for line, member in zip(lines, members, strict=True):
        line.insert(4, tag("td", _picture(*member, scale)))
    return tag("div", table, tag("p", KEY, class_="soft"), class_="card")


def _cells(row: TrialRow, searched: float, confirmed: Confirmed) -> list[str]:
    return [
        str(row.number),
        figures.score(searched),
        ", ".join(figures.score(score) for score in confirmed.scores.values()) or "none",
        figures.estimated(confirmed.score),
        figures.probability(confirmed.p_nondominated),
        figures.estimated(confirmed.test),
    ]


def _scale(drawn: Sequence[float]) -> Scale:
    low, high = min(drawn), max(drawn)
    return Scale(low, high if high > low else low + 1.0, MARGIN, WIDTH - MARGIN)


def _marks(confirmed: Confirmed) -> list[float]:
    ends = (confirmed.score.low, confirmed.score.high)
    return [*confirmed.scores.values(), *(end for end in ends if end is not None)]


def _picture(row: TrialRow, searched: float, confirmed: Confirmed, x: Scale) -> Element:
    middle, estimate = HEIGHT / 2, confirmed.score
    drawn: list[Element] = []
    if estimate.low is not None and estimate.high is not None:
        bar = f"M{x(estimate.low):.1f} {middle - 4}v8m0-4H{x(estimate.high):.1f}m0-4v8"
        drawn.append(tag("path", class_="whisker", d=bar))
    points = "".join(f"M{x(score):.1f} {middle}h0" for score in confirmed.scores.values())
    drawn.append(tag("path", class_="dots", d=points or None))
    drawn.append(tag("circle", class_="dot dominated", cx=x(searched), cy=middle, r=5))
    if estimate.mean is not None:
        drawn.append(tag("circle", class_="dot front", cx=x(estimate.mean), cy=middle, r=4))
    label = f"trial {row.number}: {figures.score(searched)} in the search, {figures.estimated(estimate)} since"
    return tag("svg", *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", width=WIDTH, height=HEIGHT, role="img", aria_label=label)
