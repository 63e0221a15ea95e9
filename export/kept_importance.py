"""Importance as a results folder keeps it: computed once for the same scores, since forests take seconds."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from export import importance
from export.importance import Branch, Importance, importances
from export.results import read_object, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from export.results import Study

SCHEMA = 1


def kept_importances(study: Study) -> list[Branch]:
    """`importances` of a results folder's study, from its importance.json where that is of the same trials."""
    path, key = study.results.importance_json, _key(study)
    kept = _read(path, key)
    if kept is not None:
        return kept
    found = importances(study)
    if any(branch.rows for branch in found):
        branches = [asdict(branch) for branch in found]
        write_atomically(path, json.dumps({"schema": SCHEMA, "key": key, "branches": branches}, indent=1) + "\n")
    return found


def _read(path: Path, key: str) -> list[Branch] | None:
    """None where there is no such file of the same trials; a damaged one is written anew."""
    try:
        kept = read_object(path)
        same = kept["schema"] == SCHEMA and kept["key"] == key
        return [_branch(branch) for branch in kept["branches"]] if same else None
    except (ValueError, KeyError, TypeError):
        return None


def _key(study: Study) -> str:
    """A hash of everything that the shares come from."""
    settings = (importance.TREES, importance.SHUFFLED_TREES, importance.SHUFFLES, importance.MOST_TRIALS)
    rows = [[row.number, dict(row.params), row.values] for row in study.trained]
    return hashlib.sha256(json.dumps([settings, rows], sort_keys=True).encode()).hexdigest()


def _branch(fields: dict[str, Any]) -> Branch:
    rows = tuple(Importance(**row) for row in fields["rows"])
    return Branch(fields["condition"], fields["trials"], tuple(fields["names"]), rows)
