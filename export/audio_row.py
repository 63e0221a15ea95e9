"""Sounds of a trial in the report: played from the page itself where there is room, else linked."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export import figures
from export.markup import tag

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# What the sounds of one trial may take in the page, which holds 3 MB in all.
EMBEDDED_BYTES = 1_200_000

_MIME = {".flac": "audio/flac", ".wav": "audio/wav"}


def with_sounds(
    rows: Sequence[Mapping[str, Any]], folder: Path, root: Path, *, embedded: bool
) -> list[Mapping[str, Any]]:
    """The rows of a trial's evaluation, those of type audio with a `source` for each clip.

    A source is a data URI while `embedded` ones fit, then a link relative to `root`, where the report lies. It is empty
    for a clip that names no file of the trial's own folder.
    """
    room = EMBEDDED_BYTES if embedded else 0
    shown: list[Mapping[str, Any]] = []
    for row in rows:
        clips = [dict(clip) for clip in _clips(row)]
        for clip in clips:
            clip["source"] = _source(clip, folder, root, room)
            room -= len(clip["source"]) if clip["source"].startswith("data:") else 0
        shown.append({**row, "clips": clips} if clips else row)
    return shown


def _clips(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    clips = row.get("clips") if row["type"] == "audio" else None
    return [clip for clip in clips if isinstance(clip, dict)] if isinstance(clips, list) else []


def _source(clip: Mapping[str, Any], folder: Path, root: Path, room: int) -> str:
    """Where a clip's sound is; empty for nowhere."""
    name = clip.get("file")
    if not isinstance(name, str) or Path(name).name != name or Path(name).suffix not in _MIME:
        return ""
    path = folder / name
    if not path.is_file():
        return ""
    if path.stat().st_size * 4 / 3 > room:
        return path.relative_to(root).as_posix()
    return f"data:{_MIME[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def audio(row: Mapping[str, Any]) -> Element:
    """A player or a link for each clip."""
    return tag(
        "div", *(tag("p", tag("span", f"{figures.shown(clip['name'])} "), _player(clip)) for clip in row["clips"])
    )


def _player(clip: Mapping[str, Any]) -> Element:
    source = clip.get("source")
    if not source:
        return tag("span", "(its file is not there)", class_="soft")
    if source.startswith("data:"):
        return tag("audio", src=source, controls=True, preload="none")
    return tag("a", source, href=source)
