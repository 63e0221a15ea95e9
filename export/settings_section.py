"""What moved the score, in the report: how important each parameter was, and the score along four of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.chart import BOTTOM, HEIGHT, LEFT, RIGHT, SERIES_COLOURS, TOP, WIDTH, Line, frame, path_of
from export.effects import LEAST_TRIALS as LEAST_FOR_EFFECTS
from export.effects import effects
from export.importance import LEAST_TRIALS, MOST_BRANCHES
from export.markup import extend, tag
from export.retrained import score_axis
from export.scale import number, scale_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from export.effects import Effect
    from export.front import Front
    from export.importance import Branch, Importance
    from export.scale import Scale

# In all charts together; of larger studies points are drawn without tips.
HOVERED_TRIALS = 300
FLOOR = HEIGHT - BOTTOM
CAUTION = (
    "Over trained trials alone. The search drew them, one seed each, and it draws more where it expects much: what "
    "stands out here is a hint, to be tested by an ablation or with fresh seeds."
)
EXPLAINED = (
    "Of what single parameters explain of the score (fANOVA, by a forest fitted to the trials) the share of each. The "
    "mark on a bar is the largest share that any of them got in 19 shuffles of the scores: a bar that does not pass it "
    "shows nothing, and where nothing has an effect one study in twenty has a bar that does."
)
MEDIAN = "Line: running median over a third of the trials, at least five."


def settings_section(front: Front, branches: Sequence[Branch], linked: set[int]) -> list[Element]:
    """Importance by branch of the space, and an effect plot per parameter; what cannot be said is said to be so."""
    if not front.study.trained:
        return []
    shown = effects(front.study)
    few = f"A plot of the score along a parameter takes {LEAST_FOR_EFFECTS} trained trials that drew different values."
    students = list(dict.fromkeys(group for effect in shown for group in sorted(set(effect.groups)) if group))
    objectives = front.study.run.objectives
    score = objectives[score_axis(objectives)].name
    charts = [_effect(effect, score, students, linked) for effect in shown]
    return [
        tag("h2", "What moved the score?"),
        tag("p", CAUTION, class_="soft"),
        *_importances(branches),
        *([_key(students), tag("div", *charts, class_="grid2")] if charts else [tag("p", few, class_="soft")]),
    ]


def _importances(branches: Sequence[Branch]) -> list[Element]:
    if not any(branch.rows for branch in branches):
        most = max((branch.trials for branch in branches), default=0)
        said = f"Importance takes {LEAST_TRIALS} trained trials whose scores differ; here are {most}."
        return [
            tag("div", tag("h3", "Importance"), tag("p", said, class_="soft"), class_="card", style="margin:0 0 16px")
        ]
    cards = [_branch(branch) for branch in branches if branch.rows]
    few = [f"{', '.join(b.names)} ({b.condition}, {b.trials})" for b in branches if not b.rows]
    rest = (
        f"Not judged, for want of {LEAST_TRIALS} trials or beyond the {MOST_BRANCHES} largest groups: {'; '.join(few)}."
    )
    return [
        tag("p", EXPLAINED, class_="soft"),
        tag("div", *cards, class_="grid2", style="margin-bottom:16px"),
        *([tag("p", rest, class_="soft")] if few else []),
    ]


def _branch(branch: Branch) -> Element:
    rows = branch.rows
    title = f"Importance, {branch.condition or 'all trials'} ({rows[0].trials} of {branch.trials} trials)"
    if rows[0].trials == branch.trials:
        title = f"Importance, {branch.condition or 'all trials'} ({branch.trials})"
    # The longest bar fills its row.
    top = max(*(row.share for row in rows), rows[0].by_chance)
    return tag("div", tag("h3", title), tag("div", *(_bar(row, top) for row in rows), class_="ranks"), class_="card")


def _bar(row: Importance, top: float) -> Element:
    fill = tag("i", style=f"width:{row.share / top:.1%}")
    mark = tag("b", style=f"left:{row.by_chance / top:.1%}")
    bar = tag("div", fill, mark, class_="bar clear" if row.clear else "bar")
    said = f"{row.name}: {row.share:.1%}; shuffled scores give up to {row.by_chance:.1%}"
    return tag("div", tag("span", row.name), bar, tag("span", f"{row.share:.0%}"), class_="rank", data_tip=said)


def _key(students: Sequence[str]) -> Element:
    shown = [
        tag("span", tag("svg", tag("circle", class_=_colour(at), cx=8, cy=8, r=5), viewBox="0 0 16 16"), student)
        for at, student in enumerate(students)
    ]
    return tag("div", *shown, tag("span", MEDIAN), class_="key")


def _colour(student: int) -> str:
    return f"spot c{student % SERIES_COLOURS}"


def _effect(effect: Effect, score: str, students: Sequence[str], linked: set[int]) -> Element:
    x = scale_of(effect.x, LEFT, WIDTH - RIGHT, always_log=effect.log)
    y = scale_of(effect.y, FLOOR, TOP)
    title = f"{score} against {effect.name}"
    picture = frame((title, effect.name, score), x, y, FLOOR)
    draw = _hovered if len(effect.trials) <= HOVERED_TRIALS else _plain
    extend(picture, draw(effect, x, y, students, linked))
    picture.append(tag("path", class_="series median", d=path_of(Line("", effect.x, effect.median), x, y)))
    said = (
        f"Rank correlation {effect.rank_correlation:+.2f} over {len(effect.trials)} trials; without any effect it lies "
        f"within \u00b1{effect.by_chance:.2f} in 95 of 100 studies."
    )
    return tag("div", tag("h3", title), picture, tag("p", said, class_="soft"), class_="card")


def _hovered(effect: Effect, x: Scale, y: Scale, students: Sequence[str], linked: set[int]) -> list[Element]:
    drawn = []
    for trial, at, score, group in zip(effect.trials, effect.x, effect.y, effect.groups, strict=True):
        tip = f"trial {trial}\n{effect.name} {number(at)}, score {score:.3f}\n{group}".rstrip()
        place = {"cx": round(x(at), 1), "cy": round(y(score), 1), "r": 4.5}
        dot = tag("circle", class_=_colour(_index(group, students)), data_tip=tip, data_trial=trial, **place)
        link = tag("a", dot, href=f"#trial-{trial}", aria_label=f"trial {trial}") if trial in linked else dot
        drawn.append(link)
    return drawn


def _plain(effect: Effect, x: Scale, y: Scale, students: Sequence[str], _: set[int]) -> list[Element]:
    paths: dict[int, str] = {}
    for at, score, group in zip(effect.x, effect.y, effect.groups, strict=True):
        index = _index(group, students)
        paths[index] = paths.get(index, "") + f"M{x(at):.1f} {y(score):.1f}h0"
    return [tag("path", class_=f"spots s{index % SERIES_COLOURS}", d=path) for index, path in paths.items()]


def _index(group: str, students: Sequence[str]) -> int:
    return students.index(group) if group in students else 0
