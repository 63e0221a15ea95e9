"""The command `python -m search cache`: what lies in the cache, and what of it is removed."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from trainables.cache import cache_folder
from trainables.cache_holds import held
from trainables.cache_shelf import KINDS, Entry, Pruned, Want, cap_bytes, entries_of, parse_bytes, prune, unfinished_of

DONE, BAD_INPUT = 0, 2
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([hdw])")
_SECONDS = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def main(argv: Sequence[str]) -> int:
    """Exit code 0 done, 2 bad input."""
    given = _parser().parse_args(argv)
    try:
        print("\n".join(_pruned(given) if given.prune else _shown(given)))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m search cache",
        description="Show what lies in the cache ($POTSTILL_CACHE, else the user's own), or remove some of it.",
        epilog="What a running process uses is never removed. What is removed is made again when it is next needed. "
        "Exit codes: 0 done, 2 bad input.",
    )
    parser.add_argument(
        "--prune", action="store_true", help="remove what killed processes left unfinished, and what is beyond the cap"
    )
    parser.add_argument("--to", metavar="SIZE", help="with --prune: the least recently used until SIZE is left (10G)")
    parser.add_argument("--older-than", metavar="AGE", help="with --prune: what was unused for so long (12h, 30d, 8w)")
    parser.add_argument(
        "--kind", action="append", default=[], metavar="KIND", help="with --prune: this kind alone; may be repeated"
    )
    return parser


def _shown(given: argparse.Namespace) -> list[str]:
    if given.to or given.older_than or given.kind:
        raise ValueError("cache: --to, --older-than and --kind say what --prune removes; add --prune")
    folder = cache_folder()
    entries, users, unfinished = entries_of(folder), held(folder), unfinished_of(folder)
    used = [entry for entry in entries if entry.key in users]
    lines = [
        f"{folder}: {_size(entries)} of at most {_written(cap_bytes(folder))} (POTSTILL_CACHE_CAP)",
        *(_table(entries) if entries else ["nothing is in it"]),
    ]
    if used:
        processes = sorted(set().union(*(users[entry.key] for entry in used)))
        lines.append(f"in use: {_counted(used)}, by process {', '.join(map(str, processes))}")
    if unfinished:
        lines.append(f"left unfinished by processes that ended: {_counted(unfinished)}; --prune removes it")
    return lines


def _table(entries: Sequence[Entry]) -> list[str]:
    kinds: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        kinds[entry.kind].append(entry)
    largest = sorted(kinds.items(), key=lambda item: -sum(entry.size_bytes for entry in item[1]))
    lines = [f"{'kind':<24}{'entries':>8}{'size':>12}  {'last use':<18}what it is"]
    for kind, members in largest:
        last = datetime.fromtimestamp(max(entry.used for entry in members))
        about = KINDS.get(kind, "of another version")
        lines.append(f"{kind:<24}{len(members):>8}{_size(members):>12}  {last:%Y-%m-%d %H:%M}  {about}")
    return lines


def _pruned(given: argparse.Namespace) -> list[str]:
    folder = cache_folder()
    want = _want(given, folder)
    result = prune(folder, want)
    lines = [f"removed {kind}: {_counted(members)}" for kind, members in _by_kind(result)] or ["nothing was removed"]
    if result.unfinished:
        lines.append(f"removed, unfinished: {_counted(result.unfinished)}")
    if result.in_use:
        lines.append(f"kept, because a running process uses it: {_counted(result.in_use)}")
    return [*lines, f"left: {_size(entries_of(folder))}"]


def _by_kind(result: Pruned) -> list[tuple[str, list[Entry]]]:
    kinds = sorted({entry.kind for entry in result.entries})
    return [(kind, [entry for entry in result.entries if entry.kind == kind]) for kind in kinds]


def _want(given: argparse.Namespace, folder: Path) -> Want:
    there = sorted({entry.kind for entry in entries_of(folder)})
    for kind in given.kind:
        if kind not in {*there, *KINDS}:
            raise ValueError(f"--kind: {kind!r} is unknown; there are {', '.join(there) or 'none'}")
    before = None if given.older_than is None else time.time() - _age(given.older_than)
    if given.to is not None:
        return Want(parse_bytes(given.to, "--to"), before, given.kind)
    # By itself it does what happens after every writing.
    by_itself = before is None and not given.kind
    return Want(cap_bytes(folder) if by_itself else None, before, given.kind)


def _age(text: str) -> float:
    match = _AGE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"--older-than: {text!r} is no age; give hours, days or weeks, such as 12h, 30d or 8w")
    return float(match[1]) * _SECONDS[match[2]]


def _counted(entries: Sequence[Entry]) -> str:
    return f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}, {_size(entries)}"


def _size(entries: Iterable[Entry]) -> str:
    return _written(sum(entry.size_bytes for entry in entries))


def _written(size: int) -> str:
    if size < 1 << 20:
        return f"{size / (1 << 10):.1f} KiB"
    return f"{size / (1 << 20):.1f} MiB" if size < 1 << 30 else f"{size / (1 << 30):.1f} GiB"
