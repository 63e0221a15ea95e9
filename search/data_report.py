"""The command `python -m search data DIR`: what a data folder holds, and how it would be split."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from trainables.corpora.corpus import SPLITS, Clip, Recording
from trainables.corpora.folders import read_folder
from trainables.corpora.leaks import find_leaks
from trainables.corpora.splits import SPLIT_MODES, SplitMode, Splitting, split_clips
from trainables.corpora.wakeword_task import (
    OTHER,
    as_wakeword,
    check_readable,
    checked_word,
    readable_clips,
    task_doubts,
)

_SHOWN = 10


@final
@dataclass(frozen=True)
class DataReport:
    """Facts of a folder as plain data for JSON, and what keeps it from being used (empty where nothing does)."""

    facts: dict[str, Any]
    refusal: str


def main(argv: list[str]) -> int:
    """Print the report; 0, or 2 where the folder cannot be read or trained on."""
    options = _parser().parse_args(argv)
    try:
        report = data_report(options.folder, options.word, options.task, options.split, options.seed)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(report.facts, indent=2) if options.json else "\n".join(_lines(report.facts)))
    if report.refusal:
        print(f"error: {report.refusal}", file=sys.stderr)
    return 2 if report.refusal else 0


def data_report(folder: Path, word: str | None, task: str | None, mode: SplitMode, seed: int) -> DataReport:
    """Count, hash and split the recordings of a folder; one that cannot be read at all is a `ValueError`."""
    recordings = read_folder(folder, task)
    if word is not None:
        checked_word(word, recordings)
    clips, unreadable = readable_clips(folder, recordings)
    facts = {
        "schema": 1,
        "data": str(folder),
        "task": task,
        "word": word,
        "files": len(recordings),
        "clips": len(clips),
        "seconds": round(sum(clip.seconds for clip in clips), 1),
        "speakers": len({clip.speaker for clip in clips} - {""}),
        "sample_rates_hz": _sample_rates(clips),
        "labels": _by_label(clips),
        "duplicates": _duplicates(folder, clips),
        "leaks": _leaks(folder, clips),
        "unreadable": [{"path": _shown(folder, path), "problem": problem} for path, problem in unreadable],
        "warnings": list(task_doubts(recordings)),
    }
    return _with_split(facts, recordings, clips, unreadable, word, mode, seed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m search data", description="Count, check and split a folder of recordings; nothing is changed."
    )
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="manifest.csv, Speech Commands or class-per-folder layout"
    )
    parser.add_argument("--word", help="preview the split of this word against everything else")
    parser.add_argument("--task", help="rows of a mixed manifest.csv to use")
    parser.add_argument("--split", choices=SPLIT_MODES, default="speaker", help="how to split (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the drawn split (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _with_split(
    facts: dict[str, Any],
    recordings: Sequence[Recording],
    clips: tuple[Clip, ...],
    unreadable: Sequence[tuple[Path, str]],
    word: str | None,
    mode: SplitMode,
    seed: int,
) -> DataReport:
    """The facts with the split that training would use, or why it would be refused."""
    try:
        check_readable(unreadable, len(recordings))
        splitting = split_clips(as_wakeword(clips, word) if word else clips, mode, seed, (OTHER, word) if word else ())
    except ValueError as error:
        return DataReport({**facts, "split": None, "refusal": str(error)}, str(error))
    warnings = [*facts["warnings"], *splitting.warnings]
    return DataReport({**facts, "warnings": warnings, "split": _preview(splitting), "refusal": ""}, "")


def _preview(splitting: Splitting) -> dict[str, Any]:
    return {
        "rule": splitting.rule,
        "speaker_disjoint": splitting.speaker_disjoint,
        "left_out": len(splitting.dropped),
        "rows": [_split_row(splitting.clips, split) for split in SPLITS],
    }


def _split_row(clips: Sequence[Clip], split: str) -> dict[str, Any]:
    members = [clip for clip in clips if clip.split == split]
    labels = dict(sorted(Counter(clip.label for clip in members).items()))
    return {
        "split": split,
        "clips": len(members),
        "speakers": len({c.speaker for c in members} - {""}),
        "labels": labels,
    }


def _sample_rates(clips: Sequence[Clip]) -> dict[str, int]:
    return {str(rate): count for rate, count in sorted(Counter(clip.sample_rate_hz for clip in clips).items())}


def _by_label(clips: Sequence[Clip]) -> list[dict[str, Any]]:
    members: dict[tuple[str, str], list[Clip]] = defaultdict(list)
    for clip in clips:
        members[clip.source_label, clip.split].append(clip)
    return [
        {
            "label": label,
            "split": split,
            "clips": len(group),
            "speakers": len({clip.speaker for clip in group} - {""}),
            "seconds": round(sum(clip.seconds for clip in group), 1),
        }
        for (label, split), group in sorted(members.items())
    ]


def _duplicates(folder: Path, clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """Every audio content that several files hold, and whether their labels differ."""
    copies: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        if not clip.silent:
            copies[clip.audio_hash].append(clip)
    return [
        {
            "paths": [_shown(folder, clip.path) for clip in group],
            "labels": sorted({clip.source_label for clip in group}),
            "splits": sorted({clip.split for clip in group} - {""}),
        }
        for group in copies.values()
        if len(group) > 1
    ]


def _leaks(folder: Path, clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """Leaks between the splits that the data give."""
    return [
        {
            "kind": leak.kind,
            "value": leak.value,
            "splits": list(leak.splits),
            "paths": [_shown(folder, path) for path in leak.paths],
        }
        for leak in find_leaks(clip for clip in clips if clip.split)
    ]


def _shown(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _lines(facts: dict[str, Any]) -> list[str]:
    rates = ", ".join(f"{count} at {rate} Hz" for rate, count in facts["sample_rates_hz"].items()) or "none"
    lines = [
        f"{facts['data']}: {facts['clips']} clips in {facts['files']} files, {facts['seconds']:g} s, "
        f"{facts['speakers']} speakers; {rates}",
        "",
        f"{'label':<24}{'split':<12}{'clips':>7}{'speakers':>10}{'seconds':>10}",
    ]
    lines += [
        f"{row['label']:<24}{row['split'] or '-':<12}{row['clips']:>7}{row['speakers']:>10}{row['seconds']:>10.1f}"
        for row in facts["labels"]
    ]
    lines += _section("duplicates (same audio)", [_duplicate_line(copy) for copy in facts["duplicates"]])
    lines += _section("leaks between given splits", [_leak_line(leak) for leak in facts["leaks"]])
    lines += _section("unreadable", [f"{file['path']}: {file['problem']}" for file in facts["unreadable"]])
    if facts["split"]:
        lines += _split_lines(facts["split"])
    return lines + [f"warning: {warning}" for warning in facts["warnings"]]


def _section(title: str, entries: Sequence[str]) -> list[str]:
    more = [f"  and {len(entries) - _SHOWN} more"] if len(entries) > _SHOWN else []
    return ["", f"{title}: {len(entries)}", *(f"  {entry}" for entry in entries[:_SHOWN]), *more]


def _duplicate_line(copy: dict[str, Any]) -> str:
    clash = f" under the labels {', '.join(copy['labels'])}" if len(copy["labels"]) > 1 else ""
    return " = ".join(copy["paths"]) + clash


def _leak_line(leak: dict[str, Any]) -> str:
    return f"{leak['kind']} {leak['value']} in {', '.join(leak['splits'])} ({len(leak['paths'])} clips)"


def _split_lines(split: dict[str, Any]) -> list[str]:
    disjoint = "speaker-disjoint" if split["speaker_disjoint"] else "not known to be speaker-disjoint"
    left_out = f", {split['left_out']} copies left out" if split["left_out"] else ""
    lines = ["", f"split preview: {split['rule']}, {disjoint}{left_out}"]
    for row in split["rows"]:
        labels = ", ".join(f"{label} {count}" for label, count in row["labels"].items())
        lines.append(f"  {row['split']:<12}{row['clips']:>6} clips {row['speakers']:>5} speakers   {labels}")
    return [*lines, ""]
