"""A front as a person reads it in a terminal: its table, what its seeds say, what was picked and written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from export import figures
from export.results import read_object
from export.reviewed import untrained_that_fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.front import Front
    from export.results import TrialRow

_SEED_COLUMNS = ("mean", "low", "high", "seeds", "p_nondominated")
_SHOWN_OBJECTIVES = {"score", "decision_ms", "arena_bytes", "flash_bytes"}


def front_as_text(front: Front, picked: TrialRow, rule: str, written: Sequence[str]) -> str:
    """The lines of `python -m export RESULTS`; `written` are its last ones."""
    study = front.study
    lines = [
        f"{study.run.recipe} on {study.run.board_name}: {study.summary()}",
        f"front: {len(front.members)} trials, hypervolume {front.hypervolume:.3f} ({_reference(front)})",
        *_never_trained(front),
        "",
        *_table(front, picked),
        *_gains(front),
        *_doubt(front),
        "",
        f"picked ({rule}): {_picked(front, picked)}",
        *_steps(front, picked),
        *written,
    ]
    return "\n".join(lines)


def _reference(front: Front) -> str:
    corner = [f"{o.name} {value:g}" for o, value in zip(front.study.run.objectives, front.reference, strict=True)]
    return f"reference point {', '.join(corner)}"


def _never_trained(front: Front) -> list[str]:
    count = 0 if front.study.as_searched else untrained_that_fit(front.study)
    return [f"{count} refused trials fit these ceilings, but were never trained"] if count else []


def _gains(front: Front) -> list[str]:
    lines = []
    for number, member in front.retrained.members.items():
        gain = f"{figures.difference(member.gain)} over labels alone, {member.gain.count} seeds"
        said = [gain] if member.gains else []
        said += [f"F1 less the teacher's {figures.beside_teacher(member)}"] if member.gaps else []
        lines += [f"trial {number} on test: {'; '.join(said)}"] if said else []
    return ["", *lines] if lines else []


def _doubt(front: Front) -> list[str]:
    if not front.study.as_searched:
        return []
    said = figures.doubt(front)
    return [f"{said}; fresh seeds for the front:", f"  {figures.confirming_command(front)}"] if said else []


def _picked(front: Front, picked: TrialRow) -> str:
    at_length = " at full length, one seed" if picked.final else ""
    outside = "" if front.member(picked.number) else ", which is not on the front"
    return f"trial {picked.name.removeprefix('final:')}{at_length}{outside}"


def _steps(front: Front, picked: TrialRow) -> list[str]:
    """How far a streaming student's steps lie from what it was trained as."""
    apart = read_object(front.study.results.of(picked) / "metrics.json").get("streaming") or {}
    if not {"float_largest", "int8_mean", "int8_largest", "logit_range"} <= apart.keys():
        return []
    return [
        "frame by frame its logits differ from whole clips' by at most "
        f"{apart['float_largest']:.2g} in float, {apart['int8_largest']:.2g} in INT8 (mean {apart['int8_mean']:.2g}, "
        f"of a range of {apart['logit_range']:.3g})"
    ]


def _table(front: Front, picked: TrialRow) -> list[str]:
    seeds = _SEED_COLUMNS if front.retrained.members else ()
    extra = _extra(front)
    head = (
        "",
        "trial",
        "score",
        "float",
        *seeds,
        *extra,
        "decision ms",
        "Invoke ms (interval)",
        "arena KiB",
        "flash KiB",
    )
    outside = picked.final or not front.member(picked.number)
    shown = [*front.members, *([picked] if outside else [])]
    rows = [head, *(_cells(front, row, row.name == picked.name) for row in shown)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _extra(front: Front, row: TrialRow | None = None) -> dict[str, Any]:
    """Objectives that no other column shows, with the trial's values."""
    names = [objective.name for objective in front.study.run.objectives]
    values = row.values if row else [None] * len(names)
    return {name: v for name, v in zip(names, values, strict=True) if name not in _SHOWN_OBJECTIVES}


def _cells(front: Front, row: TrialRow, is_picked: bool) -> tuple[str, ...]:
    footprint = row.footprint
    return (
        "*" if is_picked else "",
        row.name,
        figures.score(row.metrics.get("score_int8")),
        figures.score(row.metrics.get("score_float")),
        *(_seed_cells(front, row) if front.retrained.members else ()),
        *(figures.with_unit(name, value) for name, value in _extra(front, row).items()),
        _quantity(footprint.get("decision_ms"), 1),
        figures.interval(footprint),
        _quantity(footprint.get("arena_bytes"), 1024),
        _quantity(footprint.get("flash_bytes"), 1024),
    )


def _seed_cells(front: Front, row: TrialRow) -> tuple[str, ...]:
    confirmed = front.retrained.members.get(row.number)
    if row.final or confirmed is None:
        return tuple("-" for _ in _SEED_COLUMNS)
    mean = confirmed.score
    chance = figures.probability(confirmed.p_nondominated)
    return figures.score(mean.mean), figures.score(mean.low), figures.score(mean.high), str(mean.count), chance


def _quantity(value: Any, unit: float) -> str:
    return f"{value / unit:.1f}" if isinstance(value, int | float) else "-"
