"""A reader of W&B's offline files, from their published framing: LevelDB log records that hold protobuf messages."""

from __future__ import annotations

import json
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as protobuf

BLOCK_BYTES = 32 * 1024
FILE_HEADER_BYTES = 7
RECORD_HEADER = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """What one .wandb file says."""

    run_id: str = ""
    name: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    sweep_id: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    artifacts: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    exit_code: int | None = None


def messages(content: bytes) -> list[bytes]:
    """The records of a LevelDB log that begins behind W&B's own seven bytes; an unfinished last one is left out."""
    found, parts, at = [], [], FILE_HEADER_BYTES
    assert content[:4] == b":W&B"
    while at + RECORD_HEADER.size <= len(content):
        left = BLOCK_BYTES - at % BLOCK_BYTES
        if left < RECORD_HEADER.size:
            at += left
            continue
        _, size, kind = RECORD_HEADER.unpack_from(content, at)
        at += RECORD_HEADER.size
        if not kind or at + size > len(content):
            break
        parts.append(content[at : at + size])
        at += size
        if kind in (FULL, LAST):
            found.append(b"".join(parts))
            parts = []
    return found


def read_run(path: Path) -> OfflineRun:
    run = OfflineRun()
    for message in messages(path.read_bytes()):
        record = protobuf.Record()  # type: ignore[attr-defined]
        record.ParseFromString(message)
        _take(run, record)
    return run


def finished_run(folder: Path, seconds: float = 10.0) -> OfflineRun:
    """The run of a run folder, once its exit record is there; W&B may still be writing it."""
    (path,) = folder.glob("*.wandb")
    until = time.monotonic() + seconds
    while (run := read_run(path)).exit_code is None:
        assert time.monotonic() < until, f"{path} has no exit record"
        time.sleep(0.05)
    return run


def finished_runs(results: Path) -> dict[str, list[OfflineRun]]:
    """Every run under a results folder, by what follows the study in its id."""
    found: dict[str, list[OfflineRun]] = {}
    for folder in sorted((results / "wandb").glob("offline-run-*")):
        run = finished_run(folder)
        found.setdefault(run.run_id.split("-", 1)[1], []).append(run)
    return found


def _take(run: OfflineRun, record: Any) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        for name, value in {"run_id": "run_id", "name": "display_name", "group": "run_group"}.items():
            setattr(run, name, getattr(record.run, value))
        run.project, run.job_type, run.sweep_id = record.run.project, record.run.job_type, record.run.sweep_id
        _update(run.config, record.run.config.update)
    elif kind == "config":
        _update(run.config, record.config.update)
    elif kind == "history":
        run.history.append(_update({}, record.history.item))
    elif kind == "summary":
        _update(run.summary, record.summary.update)
    elif kind == "files":
        run.files += [file.path for file in record.files.files]
    elif kind == "artifact":
        names = [entry.path for entry in record.artifact.manifest.contents]
        run.artifacts[record.artifact.name] = (record.artifact.type, names)
    elif kind == "exit":
        run.exit_code = record.exit.exit_code


def _update(target: dict[str, Any], items: Any) -> dict[str, Any]:
    for item in items:
        keys = [item.key] if getattr(item, "key", "") else list(item.nested_key)
        place = target
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = json.loads(item.value_json)
    return target
