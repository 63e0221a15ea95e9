"""The command `python -m search cache`: what it shows, what it removes, what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from search.__main__ import main
from tests.search.studies import ROOT
from trainables import cache_holds
from trainables.cache import cached_array, keep_record


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POTSTILL_CACHE", str(tmp_path))
    monkeypatch.setenv("POTSTILL_CACHE_CAP", "1G")
    for key, kib, days in (("audio-0a", 400, 40), ("log-mel-0b", 200, 40), ("log-mel-0c", 100, 1)):
        cached_array(key, lambda kib=kib: np.ones(kib << 10, np.uint8))  # type: ignore[misc]
        path = tmp_path / "arrays" / f"{key}.array"
        os.utime(path, (time.time() - days * 86_400, path.stat().st_mtime - 10**8))
    keep_record("footprint-0d", {"flash_bytes": 1})
    return tmp_path


def left(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "arrays").iterdir()}


def test_it_shows_kinds_by_size_with_their_last_use(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache"]) == 0
    first, head, *rows = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{folder}: 7") and first.endswith(" KiB of at most 1.0 GiB (POTSTILL_CACHE_CAP)")
    assert head.split() == ["kind", "entries", "size", "last", "use", "what", "it", "is"]
    assert [row.split()[:2] for row in rows[:3]] == [["audio", "1"], ["log-mel", "2"], ["footprint", "1"]]
    yesterday = time.strftime("%Y-%m-%d", time.localtime(time.time() - 86_400))
    assert yesterday in rows[1] and "log-mels of a corpus or stream" in rows[1]


def test_it_says_what_is_in_use_and_what_was_left(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mapped = cached_array("audio-0a", lambda: np.zeros(1))
    (folder / "arrays" / "log-mel-0c.tmp").write_bytes(bytes(2048))
    assert main(["cache"]) == 0
    shown = capsys.readouterr().out
    assert f", by process {os.getpid()}" in shown
    assert "left unfinished by processes that ended: 1 entry, 2.0 KiB; --prune removes it" in shown
    assert main(["cache", "--prune", "--to", "0"]) == 0
    shown = capsys.readouterr().out
    assert "kept, because a running process uses it: 1 entry, 404.0 KiB" in shown
    assert "removed, unfinished: 1 entry, 2.0 KiB" in shown
    assert left(folder) == {"audio-0a"} and mapped.all()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"audio-0a", "log-mel-0b", "log-mel-0c"}),
        (["--to", "350K"], {"log-mel-0b", "log-mel-0c"}),
        (["--older-than", "30d"], {"log-mel-0c"}),
        (["--older-than", "30d", "--kind", "log-mel"], {"audio-0a", "log-mel-0c"}),
        (["--kind", "log-mel"], {"audio-0a"}),
        (["--kind", "log-mel", "--kind", "audio"], set()),
        (["--to", "600K", "--kind", "log-mel"], {"audio-0a", "log-mel-0c"}),
    ],
)
def test_it_removes_what_is_wanted_away(
    folder: Path, options: list[str], expected: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    cache_holds._registers.pop(folder).close()
    assert main(["cache", "--prune", *options]) == 0
    assert left(folder) == expected
    assert ("nothing was removed" in capsys.readouterr().out) == (len(expected) == 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prune", "--to", "lots"], "--to: 'lots' is no size"),
        (["--prune", "--older-than", "5"], "--older-than: '5' is no age; give hours, days or weeks"),
        (["--prune", "--kind", "mel"], "--kind: 'mel' is unknown; there are audio, footprint, log-mel"),
        (["--to", "1G"], "add --prune"),
    ],
)
def test_bad_input_is_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_cap_that_is_no_size_is_bad_input_of_every_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTSTILL_CACHE_CAP", "20X")
    done = subprocess.run(
        [sys.executable, "-m", "search", "cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: POTSTILL_CACHE_CAP: '20X' is no size; give bytes, or a number with K, M")


def test_it_needs_neither_torch_nor_ray(folder: Path) -> None:
    code = "import sys; from search.__main__ import main; main(['cache']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "ray", "tensorflow", "transformers"} & set(done.stdout.split())
