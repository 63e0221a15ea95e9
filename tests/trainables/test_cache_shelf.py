"""The cache's cap: what is evicted, in which order, what a running process keeps, and what killed ones leave."""

from __future__ import annotations

import ast
import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from trainables import cache, cache_holds
from trainables.cache import cache_folder, cached_array, cached_folder, keep_record, read_record
from trainables.cache_holds import held, keep_what_is_used
from trainables.cache_shelf import KINDS, Want, cap_bytes, entries_of, parse_bytes, prune, unfinished_of

ROOT = Path(cache.__file__).parent.parent
KIB = 1 << 10


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POTSTILL_CACHE", str(tmp_path))
    monkeypatch.delenv("POTSTILL_CACHE_CAP", raising=False)
    return tmp_path


def made(key: str, kib: int = 64, used: float | None = None) -> None:
    """An entry that nothing maps, last used so many seconds ago."""
    cached_array(key, lambda: np.ones(kib * KIB, np.uint8))
    path = cache_folder() / "arrays" / f"{key}.array"
    if used is not None:
        os.utime(path, (time.time() - used, path.stat().st_mtime - 10**6))


def keys(folder: Path) -> set[str]:
    return {entry.key for entry in entries_of(folder)}


def never() -> np.ndarray:
    raise AssertionError("made again")


def test_what_was_used_least_recently_goes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, used in (("b", 300.0), ("a", 200.0), ("c", 100.0)):
        made(key, used=used)
    monkeypatch.setenv("POTSTILL_CACHE_CAP", "220K")
    made("d")
    assert keys(folder) == {"a", "c", "d"}
    cache._last_marked.clear()
    cached_array("a", never)
    made("e")
    assert keys(folder) == {"a", "d", "e"}, "what was opened again is young again"


def test_opening_marks_the_use_without_a_new_checksum(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made("a", used=5000.0)
    cached_array("a", never)
    cache._last_marked.clear()
    monkeypatch.setattr(cache, "_checksum", lambda array: pytest.fail("compared again"))
    cached_array("a", never)
    (entry,) = entries_of(folder)
    assert time.time() - entry.used < 60


def test_an_entry_larger_than_the_cap_serves_its_maker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made("old")
    monkeypatch.setenv("POTSTILL_CACHE_CAP", "10K")
    mapped = cached_array("large", lambda: np.arange(50_000))
    assert keys(folder) == {"large"}
    assert mapped.sum() == np.arange(50_000).sum()


def test_records_outlive_the_cap(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_record("footprint-1", {"arena_bytes": 5})
    os.utime(folder / "records" / "footprint-1.json", (1, 1))
    monkeypatch.setenv("POTSTILL_CACHE_CAP", "10K")
    made("large")
    assert read_record("footprint-1") == {"arena_bytes": 5}


def test_what_is_mapped_stays_and_what_is_let_go_may_go(folder: Path) -> None:
    mapped = cached_array("k", lambda: np.arange(9))
    view = np.asarray(mapped)[2:]
    del mapped
    gc.collect()
    result = prune(folder, Want(to_bytes=0))
    assert ([entry.key for entry in result.in_use], result.entries, keys(folder)) == (["k"], (), {"k"})
    assert held(folder) == {"k": {os.getpid()}}
    assert view.sum() == 35
    del view
    gc.collect()
    made("other")
    assert keys(folder) == {"k", "other"}
    assert {entry.key for entry in prune(folder, Want(to_bytes=0)).entries} >= {"k"}


def test_a_study_keeps_what_its_trials_will_need(folder: Path) -> None:
    made("audio-1")
    cached_array("audio-1", never)
    keep_what_is_used()
    gc.collect()
    made("other")
    assert "audio-1" not in {entry.key for entry in prune(folder, Want(to_bytes=0)).entries}


def test_pruning_keeps_newer_ones_in_place_of_those_in_use(folder: Path) -> None:
    mapped = cached_array("old", lambda: np.ones(64 * KIB, np.uint8))
    path = folder / "arrays" / "old.array"
    os.utime(path, (1, path.stat().st_mtime))
    made("middle", used=100.0)
    made("new")
    cached_array("x", lambda: np.ones(1, np.uint8))
    prune(folder, Want(to_bytes=150 * KIB))
    assert keys(folder) == {"old", "new", "x"}
    assert mapped.all()


def test_kinds_and_ages(folder: Path) -> None:
    for key, used in (("audio-1", 90_000.0), ("log-mel-1", 90_000.0), ("log-mel-2", 10.0)):
        made(key, used=used)
    made("last-1")
    prune(folder, Want(before=time.time() - 86_400, kinds=["log-mel"]))
    assert keys(folder) == {"audio-1", "log-mel-2", "last-1"}
    prune(folder, Want(kinds=["audio"]))
    assert keys(folder) == {"log-mel-2", "last-1"}


def test_folders_count_and_go(folder: Path) -> None:
    def make(place: Path) -> None:
        (place / "a.wav").write_bytes(bytes(5000))

    cached_folder("espeak-1", make)
    (entry,) = entries_of(folder)
    assert (entry.kind, entry.size_bytes) == ("espeak", 5000)
    cache_holds._registers.pop(folder).close()
    assert [gone.key for gone in prune(folder, Want(to_bytes=0)).entries] == ["espeak-1"]
    assert list((folder / "folders").iterdir()) == []


def test_a_flipped_bit_in_a_folder_is_found(folder: Path) -> None:
    def make(place: Path) -> None:
        (place / "a.wav").write_bytes(b"hello")

    wav = cached_folder("k", make) / "a.wav"
    wav.write_bytes(b"hellp")
    marker = wav.parent / ".complete.json"
    os.utime(marker, (0, time.time() - 90_000))
    assert (cached_folder("k", make) / "a.wav").read_bytes() == b"hello"


@pytest.mark.parametrize("damage", [lambda text: text.replace("17", "18"), lambda text: text[:-5], lambda text: ""])
def test_a_damaged_record_is_none(folder: Path, damage: object) -> None:
    keep_record("footprint-1", {"arena_bytes": 17.5, "board": "x"})
    assert read_record("footprint-1") == {"arena_bytes": 17.5, "board": "x"}
    path = folder / "records" / "footprint-1.json"
    path.write_text(damage(path.read_text()))  # type: ignore[operator]
    assert read_record("footprint-1") is None
    assert read_record("footprint-2") is None


def test_what_killed_processes_left_is_swept_and_what_is_being_written_is_not(folder: Path) -> None:
    made("a")
    (folder / "arrays" / "a.tmp").write_bytes(bytes(10))
    (folder / "arrays" / "b.tmp").write_bytes(bytes(10))
    (folder / "locks" / "b.lock").touch()
    (folder / "folders" / "c.tmp").mkdir()
    (folder / "locks" / "c.lock").touch()
    just_now = folder / "records" / "footprint-1.77.tmp"
    just_now.write_text("{")
    with cache._lock("b"):
        assert {entry.key for entry in unfinished_of(folder)} == {"a.tmp", "c.tmp"}
        prune(folder, Want())
        assert (folder / "arrays" / "b.tmp").is_file() and just_now.is_file()
    os.utime(just_now, (1, 1))
    prune(folder, Want())
    assert unfinished_of(folder) == []
    assert not list(folder.rglob("*.tmp"))
    assert keys(folder) == {"a"}


READER = """
import sys, time
from trainables.cache import cached_array
mapped = cached_array("k", lambda: sys.exit("made again"))
print("mapped", flush=True)
sys.stdin.readline()
print(int(mapped.sum()), flush=True)
"""


def reading() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", READER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "mapped\n"
    return process


def test_what_another_process_reads_stays_until_it_ends_however_it_ends(folder: Path) -> None:
    made("k", 100)
    cache_holds._registers.pop(folder).close()
    reader = reading()
    assert held(folder) == {"k": {reader.pid}}
    assert [entry.key for entry in prune(folder, Want(to_bytes=0)).in_use] == ["k"]
    assert reader.communicate("\n", timeout=30)[0].strip() == str(100 * KIB)
    assert held(folder) == {} and not list((folder / "held").iterdir())
    killed = reading()
    killed.kill()
    killed.communicate()
    assert held(folder) == {}
    assert [entry.key for entry in prune(folder, Want(to_bytes=0)).entries] == ["k"]
    assert not list((folder / "held").iterdir()), "the register of the killed process is gone too"


CROWD = """
import sys
import numpy as np
from trainables.cache import cache_folder, cached_array
from trainables.cache_shelf import Want, prune

rng = np.random.default_rng(int(sys.argv[1]))
made = 0
for turn in range(150):
    number = int(rng.integers(6))
    mapped = cached_array(f"k-{number}", lambda: np.full(20_000, number, np.int32))
    if rng.random() < 0.3:
        prune(cache_folder(), Want(to_bytes=int(rng.integers(300_000))))
    assert mapped.shape == (20_000,) and (mapped == number).all()
print("whole")
"""


def test_writers_readers_and_pruners_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTSTILL_CACHE_CAP", "200K")
    command = [sys.executable, "-c", CROWD]
    crowd = [subprocess.Popen([*command, str(n)], cwd=ROOT, stdout=subprocess.PIPE, text=True) for n in range(3)]
    assert [process.communicate(timeout=120)[0] for process in crowd] == ["whole\n"] * 3
    prune(folder, Want(to_bytes=0))
    assert keys(folder) == set() and not list(folder.rglob("*.tmp"))


def test_sizes() -> None:
    assert [parse_bytes(text, "x") for text in ("512", "20G", "1.5 MiB", "2k", "1TB")] == [
        512,
        20 << 30,
        3 << 19,
        2048,
        1 << 40,
    ]


def test_a_cap_that_is_no_size_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTSTILL_CACHE_CAP", "much")
    with pytest.raises(ValueError, match=r"POTSTILL_CACHE_CAP: 'much' is no size; .* such as 20G"):
        cache_folder()


def test_without_a_cap_a_tenth_of_a_small_disk_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        total = 50 << 30

    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage)
    assert cap_bytes(folder) == 5 << 30
    Usage.total = 4 << 40
    assert cap_bytes(folder) == 20 << 30


# Kinds of keys that name no entry of the cache, and those that are put together.
NO_ENTRIES = {"views", "results", "checkpoint", "one"}
PUT_TOGETHER = {"value-tokens", "value-maps", "log-power", "phase-sensitive"}


def test_every_kind_says_what_it_is() -> None:
    kinds = set()
    for path in [*(ROOT / "trainables").rglob("*.py"), *(ROOT / "search").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "content_key":
                first = node.args[0]
                kinds |= {str(first.value)} if isinstance(first, ast.Constant) else set()
    assert kinds - NO_ENTRIES | PUT_TOGETHER == KINDS.keys()
