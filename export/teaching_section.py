"""What the teacher brought, in the report: the front's members beside their twins that learnt from labels alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export import figures
from export.confirmation import estimate
from export.markup import tag
from export.scale import Scale
from export.tables import plain_table
from export.twins import score_direction
from spaces import recipes
from spaces.twin import learns_alone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from export.confirmation import Confirmed, Estimate
    from export.front import Front
    from export.results import TrialRow

TITLE = "Did the teacher help?"
WIDTH, HEIGHT, MARGIN = 240, 22, 8
COLUMNS = ("trial", "gain on test (95 %)", "the interval", "taught", "labels alone", "pairs of seeds")
PICTURE = 2
EXPLAINED = (
    "Each member beside its twin, the same student trained on labels alone with the same seeds. A gain is the mean "
    "difference of the pairs with its 95 % interval (Student's t), positive where the teacher helped."
)
UNKNOWN = "Not known: no member of the front was trained beside a twin that learns from labels alone."


def teaching_section(front: Front) -> list[Element]:
    """Both means, the paired gain and its interval, drawn; where that is not known, how to learn it."""
    if not front.members:
        return []
    paired = [(row, front.retrained.members[row.number]) for row in front.members if _paired(front, row)]
    if not paired:
        return [tag("h2", TITLE), tag("div", *_unknown(front), class_="card notes")]
    return [tag("h2", TITLE), tag("p", EXPLAINED, class_="soft"), _card(front, paired)]


def _paired(front: Front, row: TrialRow) -> bool:
    confirmed = front.retrained.members.get(row.number)
    return confirmed is not None and bool(confirmed.gains)


def _unknown(front: Front) -> list[Element]:
    if all(_is_alone(front, row) for row in front.members):
        return [tag("p", "Every member of the front learns from labels alone: the teacher had no part in it.")]
    if not front.study.as_searched:
        return [tag("p", UNKNOWN)]
    return [tag("p", UNKNOWN), tag("p", "To learn it: ", tag("code", figures.confirming_command(front)))]


def _is_alone(front: Front, row: TrialRow) -> bool:
    recipe = front.study.run.recipe
    return recipe in recipes() and learns_alone(recipe, row.params)


def _card(front: Front, paired: Sequence[tuple[TrialRow, Confirmed]]) -> Element:
    ends = [0.0, *(end for _, confirmed in paired for end in _ends(confirmed.gain))]
    scale = Scale(min(ends), max(*ends, min(ends) + 1e-9), MARGIN, WIDTH - MARGIN)
    table = plain_table(COLUMNS, [_cells(front, row, confirmed) for row, confirmed in paired])
    head, *lines = table.iter("tr")
    head[PICTURE].text = f"{scale.low:+.3f} to {scale.high:+.3f}"
    for line, (row, confirmed) in zip(lines, paired, strict=True):
        line[PICTURE].append(_picture(row, confirmed.gain, scale))
    rest = [tag("p", said) for said in (_verdict([confirmed.gain for _, confirmed in paired]), _left(front)) if said]
    return tag("div", table, *rest, class_="card")


def _cells(front: Front, row: TrialRow, confirmed: Confirmed) -> list[str]:
    sign = -1 if score_direction(front.study) == "minimize" else 1
    taught = estimate([confirmed.alone[seed] + sign * gain for seed, gain in confirmed.gains.items()])
    alone = estimate(list(confirmed.alone.values()))
    return [
        row.name,
        figures.difference(confirmed.gain),
        "",
        figures.estimated(taught),
        figures.estimated(alone),
        str(confirmed.gain.count),
    ]


def _ends(gain: Estimate) -> list[float]:
    return [end for end in (gain.mean, gain.low, gain.high) if end is not None]


def _verdict(gains: Sequence[Estimate]) -> str:
    known = [(gain.low, gain.high) for gain in gains if gain.low is not None and gain.high is not None]
    if not known:
        return "One pair each has no interval: nothing is shown yet."
    helped, hurt = sum(low > 0 for low, _ in known), sum(high < 0 for _, high in known)
    said = f"Of {len(known)} intervals {helped} lie{'s' if helped == 1 else ''} above zero and {hurt} below"
    return f"{said}; one that holds zero shows nothing either way."


def _left(front: Front) -> str:
    alone = [row.name for row in front.members if _is_alone(front, row)]
    missing = [row.name for row in front.members if not _paired(front, row) and row.name not in alone]
    said = [f"Labels alone themselves: {', '.join(alone)}."] if alone else []
    said += [f"Not confirmed: {', '.join(missing)}."] if missing else []
    return " ".join(said)


def _picture(row: TrialRow, gain: Estimate, x: Scale) -> Element:
    middle = HEIGHT / 2
    drawn = [tag("path", class_="guide", d=f"M{x(0):.1f} 1V{HEIGHT - 1}")]
    if gain.low is not None and gain.high is not None:
        drawn.append(tag("path", class_="whisker", d=f"M{x(gain.low):.1f} {middle - 4}v8m0-4H{x(gain.high):.1f}m0-4v8"))
    if gain.mean is not None:
        drawn.append(tag("circle", class_="dot front", cx=x(gain.mean), cy=middle, r=4))
    label = f"trial {row.name}: gain {figures.difference(gain)}"
    return tag("svg", *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", width=WIDTH, height=HEIGHT, role="img", aria_label=label)
