"""Arrays and folders in the cache: content, damage, atomicity, concurrency."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trainables import cache
from trainables.cache import cache_folder, cached_array, cached_folder, content_key, filled_array, stacked_array


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POTSTILL_CACHE", str(tmp_path))
    return tmp_path


@dataclass(frozen=True)
class Setting:
    hop: int
    name: str


def forget_verified() -> None:
    """What a new process would know: nothing."""
    cache._verified.clear()


def never() -> np.ndarray:
    raise AssertionError("made again")


def entry(key: str) -> Path:
    return cache_folder() / "arrays" / f"{key}.array"


def test_key_depends_on_every_part_and_on_nothing_else() -> None:
    parts = [
        Setting(160, "a"),
        Setting(161, "a"),
        Setting(160, "b"),
        [160, "a"],
        160,
        "160",
        {"a": 1},
        (1, (2, 3)),
        (1, 2, 3),
    ]
    keys = [content_key("x", part) for part in parts]
    assert len(set(keys)) == len(keys)
    assert keys[0] == content_key("x", Setting(160, "a"))
    assert content_key("x", {"a": 1, "b": 2}) == content_key("x", {"b": 2, "a": 1})
    assert content_key("x", np.int64(5)) == content_key("x", 5)
    assert content_key("x", 1) != content_key("y", 1)


def test_key_refuses_what_has_no_canonical_text() -> None:
    with pytest.raises(TypeError, match="object has no canonical text"):
        content_key("x", object())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    array=hnp.arrays(
        dtype=st.sampled_from(["<i2", "<f4", "<f8", "|u1", "|b1"]),
        shape=hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5),
    )
)
def test_array_comes_back_bit_for_bit(array: np.ndarray) -> None:
    key = content_key("property", array.tobytes().hex(), array.shape, array.dtype.str)
    cached_array(key, lambda: array)
    again = cached_array(key, never)
    assert (again.dtype, again.shape, again.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_array_is_read_only() -> None:
    stored = cached_array("k", lambda: np.arange(4))
    with pytest.raises(ValueError, match="read-only"):
        stored[0] = 1


def test_filled_array_hands_out_zeros_to_fill() -> None:
    def fill(array: np.ndarray) -> None:
        assert not array.any()
        array[1] = 7

    stored = filled_array("k", (2, 3), np.int16, fill)
    assert stored.dtype == np.int16
    assert stored.tolist() == [[0, 0, 0], [7, 7, 7]]


def test_stacked_array_is_made_of_portions_once() -> None:
    portions = [np.full((2, 3), 1, np.float16), np.full((1, 3), 2, np.float16)]
    stored = stacked_array("k", 3, lambda: iter(portions))
    assert stored.dtype == np.float16
    assert stored.shape == (3, 3)
    assert stored[:, 0].tolist() == [1, 1, 2]
    assert stacked_array("k", 3, never).tolist() == stored.tolist()
    with pytest.raises(AssertionError, match="other: 3 rows of 4"):
        stacked_array("other", 4, lambda: iter(portions))


def test_array_without_plain_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(0,\).*holds no plain numbers"):
        cached_array("k", lambda: np.zeros(0))
    with pytest.raises(ValueError, match="holds no plain numbers"):
        cached_array("k", lambda: np.array([object()]))


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 0xFF
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def wreck_header(path: Path) -> None:
    path.write_bytes(b"{" + path.read_bytes()[1:4000])


def keep_header_only(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_entry(path: Path) -> None:
    cached_array("other", lambda: np.arange(50) + 1)
    path.write_bytes(entry("other").read_bytes())


@pytest.mark.parametrize("damage", [flip_a_byte, cut_short, wreck_header, keep_header_only, empty, other_entry])
def test_damaged_entry_is_made_again(damage: Callable[[Path], None]) -> None:
    cached_array("k", lambda: np.arange(50))
    damage(entry("k"))
    forget_verified()
    assert cached_array("k", lambda: np.arange(50)).tolist() == list(range(50))
    assert cached_array("k", never).tolist() == list(range(50))


def test_failed_making_leaves_nothing(folder: Path) -> None:
    def fail() -> np.ndarray:
        raise RuntimeError("no electricity")

    def fail_half_way(array: np.ndarray) -> None:
        array[0] = 1
        fail()

    with pytest.raises(RuntimeError, match="no electricity"):
        cached_array("k", fail)
    with pytest.raises(RuntimeError, match="no electricity"):
        filled_array("k", (3,), "f4", fail_half_way)
    assert list((folder / "arrays").iterdir()) == []
    assert cached_array("k", lambda: np.ones(2)).tolist() == [1, 1]


def test_leftover_of_a_killed_process_is_overwritten(folder: Path) -> None:
    cache_folder()
    (folder / "arrays" / "k.tmp").write_bytes(b"x" * 100_000)
    assert cached_array("k", lambda: np.ones(2)).tolist() == [1, 1]
    assert [path.name for path in (folder / "arrays").iterdir()] == ["k.array"]


SLOW_MAKER = """
import sys, time
from pathlib import Path
import numpy as np
from trainables.cache import cached_array

def make():
    with Path(sys.argv[1]).open("a") as file:
        file.write("made ")
    time.sleep(0.4)
    return np.arange(100_000)

print(int(cached_array("k", make).sum()))
"""


def test_one_of_several_processes_makes_an_entry(tmp_path: Path) -> None:
    root, log = Path(cache.__file__).parent.parent, tmp_path / "log"
    command = [sys.executable, "-c", SLOW_MAKER, str(log)]
    processes = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    sums = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert sums == [str(sum(range(100_000)))] * 4
    assert log.read_text() == "made "


def test_folder_is_made_once_and_again_when_it_lost_a_file() -> None:
    calls: list[Path] = []

    def make(folder: Path) -> None:
        calls.append(folder)
        (folder / "a").mkdir()
        (folder / "a" / "b.txt").write_text("hello")

    first = cached_folder("k", make)
    assert (cached_folder("k", make), len(calls)) == (first, 1)
    (first / "a" / "b.txt").unlink()
    assert (cached_folder("k", make) / "a" / "b.txt").read_text() == "hello"
    (first / "a" / "b.txt").write_text("hello!")
    assert (cached_folder("k", make) / "a" / "b.txt").read_text() == "hello"
    assert len(calls) == 3


def test_folder_appears_whole_or_not_at_all(folder: Path) -> None:
    def fail(target: Path) -> None:
        (target / "half").write_text("x")
        raise RuntimeError("no electricity")

    with pytest.raises(RuntimeError, match="no electricity"):
        cached_folder("k", fail)
    assert list((folder / "folders").iterdir()) == []


def test_cache_folder_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POTSTILL_CACHE", str(tmp_path / "file"))
    with pytest.raises(ValueError, match=r"POTSTILL_CACHE: the cache folder .*file cannot be made"):
        cache_folder()


def test_cache_folder_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(ValueError, match="cannot be written; name another one"):
        cache_folder()


def test_without_the_variable_the_users_cache_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POTSTILL_CACHE")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / name))
    assert cache_folder() == tmp_path / "potstill"
