"""Content-addressed arrays and folders on disk, shared safely by processes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import time
import weakref
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from filelock import FileLock
from numpy.typing import DTypeLike

from trainables.cache_holds import register
from trainables.cache_shelf import MARKER, cap_bytes, keep_under_cap

Array = np.ndarray[Any, np.dtype[Any]]
Mapped = np.memmap[Any, np.dtype[Any]]

_HEADER_BYTES = 4096
_CHUNK_BYTES = 1 << 24
# An entry's last use is written down no more often than that by one process.
_USE_SECONDS = 60.0
# A folder's files are compared no more often than that: thousands of recordings take a second.
_COMPARED_SECONDS = 86_400.0

# Entries whose checksum this process has compared already, by identity of the file on disk.
_verified: set[tuple[str, int, int, int]] = set()
_last_marked: dict[Path, float] = {}


def cache_folder() -> Path:
    """The folder of all entries: $POTSTILL_CACHE, else the user's cache folder; made when missing.

    A folder that cannot be made or written is a `ValueError`, and so is a $POTSTILL_CACHE_CAP that is no size.
    """
    chosen = os.environ.get("POTSTILL_CACHE")
    folder = Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_cache_dir("potstill"))
    try:
        for name in ("arrays", "folders", "records", "locks", "held"):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"POTSTILL_CACHE: the cache folder {folder} cannot be made: {error.strerror}") from error
    if not os.access(folder / "locks", os.W_OK):
        raise ValueError(f"POTSTILL_CACHE: the cache folder {folder} cannot be written; name another one")
    cap_bytes(folder)
    return folder


def content_key(kind: str, *parts: object) -> str:
    """A file name such as `features-<40 hex digits>` from everything that decides an entry's content.

    `parts` are plain scalars, sequences, mappings and dataclasses of these; anything else is a `TypeError`.
    """
    text = json.dumps(parts, default=_plain, sort_keys=True, separators=(",", ":"))
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:40]}"


def _plain(part: object) -> object:
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return dataclasses.asdict(part)
    if isinstance(part, np.generic):
        return part.item()
    raise TypeError(f"content_key: {type(part).__name__} has no canonical text; pass scalars, lists or dataclasses")


def cached_array(key: str, make: Callable[[], Array]) -> Mapped:
    """The read-only array stored under `key` (see `content_key`), made by `make()` the first time.

    One process makes it, others wait; a damaged or short entry is made again. Shape and dtype are what
    `make` returned.
    """
    return _entry(key, lambda temporary: _store(temporary, key, np.ascontiguousarray(make())))


def filled_array(key: str, shape: Sequence[int], dtype: DTypeLike, fill: Callable[[Mapped], None]) -> Mapped:
    """As `cached_array`, for arrays larger than memory: `fill(array)` writes into zeros of `shape` that lie on disk."""
    return _entry(key, lambda temporary: _store_filled(temporary, key, tuple(shape), np.dtype(dtype), fill))


def stacked_array(key: str, rows: int, portions: Callable[[], Iterable[Array]]) -> Mapped:
    """As `cached_array`, for arrays larger than memory: `rows` rows out of `portions()`, some rows after others."""

    def write(temporary: Path) -> None:
        coming = iter(portions())
        first = next(coming)

        def fill(mapped: Mapped) -> None:
            at = 0
            for portion in chain([first], coming):
                mapped[at : at + len(portion)] = portion
                at += len(portion)
            assert at == rows, f"{key}: {at} rows of {rows}"

        _store_filled(temporary, key, (rows, *first.shape[1:]), first.dtype, fill)

    return _entry(key, write)


def cached_folder(key: str, make: Callable[[Path], None]) -> Path:
    """The folder stored under `key`, filled by `make(empty_folder)` the first time; kept while this process lives.

    It appears whole or not at all; one that has lost or gained files or bytes, or holds others, is made again.
    """
    root = cache_folder()
    folder = root / "folders" / key
    register(root).take(key)
    with _lock(key):
        made = not _complete(folder)
        if made:
            _make_folder(folder, make)
        _mark_use(folder / MARKER)
    if made:
        keep_under_cap(root)
    return folder


def read_record(key: str) -> dict[str, Any] | None:
    """The small object that `keep_record` stored under `key`; None where there is none or it is damaged."""
    path = cache_folder() / "records" / f"{key}.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        value: dict[str, Any] = record["value"]
        if record["key"] != key or record["crc32"] != _checksum_of(value):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    _mark_use(path)
    return value


def keep_record(key: str, value: Mapping[str, Any]) -> None:
    """Store an object of plain scalars, lists and objects under `key`; the last writer wins."""
    path = cache_folder() / "records" / f"{key}.json"
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps({"key": key, "crc32": _checksum_of(value), "value": value}), encoding="utf-8")
    temporary.replace(path)


def _checksum_of(value: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(value, sort_keys=True).encode())


def _lock(key: str) -> FileLock:
    return FileLock(cache_folder() / "locks" / f"{key}.lock")


def _entry(key: str, write: Callable[[Path], None]) -> Mapped:
    root = cache_folder()
    path, mine = root / "arrays" / f"{key}.array", register(root)
    # Said before it is opened or made: what this process maps is not removed, until nothing refers to it any more.
    mine.take(key)
    try:
        mapped = _opened_or_made(path, key, write)
    except BaseException:
        mine.give_back(key)
        raise
    weakref.finalize(mapped._mmap, mine.give_back, key).atexit = False  # type: ignore[attr-defined]
    _mark_use(path)
    return mapped


def _opened_or_made(path: Path, key: str, write: Callable[[Path], None]) -> Mapped:
    stored = _open(path, key)
    if stored is not None:
        return stored
    with _lock(key):
        stored = _open(path, key)
        made = stored is None
        if made:
            _write_atomically(path, write)
            stored = _open(path, key)
    if stored is None:
        raise RuntimeError(f"cache: {path} does not hold what was just written; the disk may be failing")
    if made:
        keep_under_cap(path.parent.parent)
    return stored


def _mark_use(path: Path) -> None:
    now = time.time()
    if now - _last_marked.get(path, 0.0) < _USE_SECONDS:
        return
    _last_marked[path] = now
    # The time of access alone: that of writing says whether a checksum was compared already. Another user's file may
    # refuse it, or a process that prunes have been quicker.
    with suppress(OSError):
        os.utime(path, ns=(int(now * 1e9), path.stat().st_mtime_ns))


def _write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    # Written under the key's lock: one name is enough, and what a killed process left is overwritten.
    temporary = path.with_suffix(".tmp")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _store(temporary: Path, key: str, array: Array) -> None:
    def fill(mapped: Mapped) -> None:
        mapped[...] = array

    _store_filled(temporary, key, array.shape, array.dtype, fill)


def _store_filled(
    temporary: Path, key: str, shape: tuple[int, ...], dtype: np.dtype[Any], fill: Callable[[Mapped], None]
) -> None:
    size = int(np.prod(shape)) * dtype.itemsize
    if not size or dtype.hasobject:
        raise ValueError(f"cache: {key} of shape {shape} and type {dtype} holds no plain numbers")
    _reserve(temporary, _HEADER_BYTES + size)
    mapped: Mapped = np.memmap(temporary, dtype, "r+", _HEADER_BYTES, shape)
    fill(mapped)
    mapped.flush()
    header = {"key": key, "shape": shape, "dtype": dtype.str, "crc32": _checksum(mapped)}
    text = json.dumps(header).encode()
    assert len(text) < _HEADER_BYTES
    with temporary.open("r+b") as file:
        file.write(text.ljust(_HEADER_BYTES))
        file.flush()
        os.fsync(file.fileno())


def _reserve(path: Path, size: int) -> None:
    with path.open("wb") as file:
        # A full disk must raise here: met later, through the mapping, it would kill the process.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        file.truncate(size)


def _checksum(array: Array) -> int:
    checksum = 0
    flat = array.reshape(-1).view(np.uint8)
    for start in range(0, flat.size, _CHUNK_BYTES):
        checksum = zlib.crc32(flat[start : start + _CHUNK_BYTES].data, checksum)
    return checksum


def _open(path: Path, key: str) -> Mapped | None:
    """The stored array, or None where there is none or it is damaged."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(_HEADER_BYTES))
        dtype, shape = np.dtype(header["dtype"]), tuple(header["shape"])
        stat = path.stat()
        if header["key"] != key or stat.st_size != _HEADER_BYTES + int(np.prod(shape)) * dtype.itemsize:
            return None
        mapped: Mapped = np.memmap(path, dtype, "r", _HEADER_BYTES, shape)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    identity = (str(path), stat.st_ino, stat.st_mtime_ns, stat.st_size)
    if identity not in _verified:
        if _checksum(mapped) != header["crc32"]:
            return None
        _verified.add(identity)
    return mapped


def _make_folder(folder: Path, make: Callable[[Path], None]) -> None:
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        make(temporary)
        (temporary / MARKER).write_text(json.dumps(_contents(temporary)), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _complete(folder: Path) -> bool:
    """Whether a folder holds what it did: files and bytes at each opening, and once a day every bit of it."""
    marker = folder / MARKER
    try:
        marked = json.loads(marker.read_text(encoding="utf-8"))
        sizes = [path.stat().st_size for path in _files(folder)]
        if (marked["files"], marked["bytes"]) != (len(sizes), sum(sizes)):
            return False
        if time.time() - marker.stat().st_mtime > _COMPARED_SECONDS:
            if marked != _contents(folder):
                return False
            os.utime(marker)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _contents(folder: Path) -> dict[str, int]:
    checksum = size = 0
    files = _files(folder)
    for path in files:
        content = path.read_bytes()
        size += len(content)
        checksum = zlib.crc32(content, zlib.crc32(str(path.relative_to(folder)).encode(), checksum))
    return {"files": len(files), "bytes": size, "crc32": checksum}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MARKER)
