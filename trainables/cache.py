"""Content-addressed arrays and folders on disk, shared safely by processes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from filelock import FileLock
from numpy.typing import DTypeLike

Array = np.ndarray[Any, np.dtype[Any]]
Mapped = np.memmap[Any, np.dtype[Any]]

_HEADER_BYTES = 4096
_CHUNK_BYTES = 1 << 24
_MARKER = ".complete.json"

# Entries whose checksum this process has compared already, by identity of the file on disk.
_verified: set[tuple[str, int, int, int]] = set()


def cache_folder() -> Path:
    """The folder of all entries: $POTSTILL_CACHE, else the user's cache folder; made when missing.

    A folder that cannot be made or written is a `ValueError`.
    """
    chosen = os.environ.get("POTSTILL_CACHE")
    folder = Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_cache_dir("potstill"))
    try:
        for name in ("arrays", "folders", "locks"):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"POTSTILL_CACHE: the cache folder {folder} cannot be made: {error.strerror}") from error
    if not os.access(folder / "locks", os.W_OK):
        raise ValueError(f"POTSTILL_CACHE: the cache folder {folder} cannot be written; name another one")
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


def cached_folder(key: str, make: Callable[[Path], None]) -> Path:
    """The folder stored under `key`, filled by `make(empty_folder)` the first time.

    It appears whole or not at all; one that has lost or gained files or bytes is made again.
    """
    folder = cache_folder() / "folders" / key
    with _lock(key):
        if not _complete(folder):
            _make_folder(folder, make)
    return folder


def _lock(key: str) -> FileLock:
    return FileLock(cache_folder() / "locks" / f"{key}.lock")


def _entry(key: str, write: Callable[[Path], None]) -> Mapped:
    path = cache_folder() / "arrays" / f"{key}.array"
    stored = _open(path, key)
    if stored is not None:
        return stored
    with _lock(key):
        stored = _open(path, key)
        if stored is None:
            _write_atomically(path, write)
            stored = _open(path, key)
    if stored is None:
        raise RuntimeError(f"cache: {path} does not hold what was just written; the disk may be failing")
    return stored


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
        (temporary / _MARKER).write_text(json.dumps(_contents(temporary)), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _complete(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / _MARKER).read_text(encoding="utf-8")) == _contents(folder))
    except (OSError, ValueError):
        return False


def _contents(folder: Path) -> dict[str, int]:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != _MARKER]
    return {"files": len(sizes), "bytes": sum(sizes)}
