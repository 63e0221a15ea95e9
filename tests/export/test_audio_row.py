"""Sounds in the report: played from the page of the pick, linked in others, within the limit, never from elsewhere."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from export.audio_row import EMBEDDED_BYTES, audio, with_sounds
from export.markup import html


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "results" / "trials" / "3"
    path.mkdir(parents=True)
    (path / "clean.flac").write_bytes(b"fLaC-sound")
    (path / "noisy.wav").write_bytes(b"RIFF")
    (tmp_path / "results" / "secret.wav").write_bytes(b"RIFF")
    return path


def row(*files: str) -> dict[str, Any]:
    return {"type": "audio", "title": "T", "clips": [{"name": f"<{file}>", "file": file} for file in files]}


def shown(folder: Path, *files: str, embedded: bool = True) -> str:
    rows = with_sounds([{"type": "table"}, row(*files)], folder, folder.parent.parent, embedded=embedded)
    assert rows[0] == {"type": "table"}
    return html(audio(rows[1]))


def test_sounds_of_the_pick_are_in_the_page(folder: Path) -> None:
    text = shown(folder, "clean.flac", "noisy.wav")
    assert f'src="data:audio/flac;base64,{base64.b64encode(b"fLaC-sound").decode()}"' in text
    assert 'src="data:audio/wav;base64,' in text and text.count("<audio") == text.count("controls") == 2
    assert "&lt;clean.flac&gt;" in text


def test_sounds_of_other_trials_are_linked(folder: Path) -> None:
    text = shown(folder, "clean.flac", embedded=False)
    assert '<a href="trials/3/clean.flac">' in text and "<audio" not in text


def test_what_is_over_the_limit_is_linked(folder: Path) -> None:
    for name in ("a.flac", "b.flac"):
        (folder / name).write_bytes(bytes(int(EMBEDDED_BYTES * 0.7 * 3 / 4)))
    text = shown(folder, "a.flac", "b.flac", "clean.flac")
    assert text.count("<audio") == 2 and '<a href="trials/3/b.flac">' in text
    assert len(text) < EMBEDDED_BYTES * 1.01


@pytest.mark.parametrize("file", ["../../secret.wav", "gone.wav", "/etc/passwd", "student.json", "", ".."])
def test_other_files_are_not_shown(folder: Path, file: str) -> None:
    (folder / "student.json").write_text("{}")
    text = shown(folder, file)
    assert "(its file is not there)" in text and "src=" not in text and "href=" not in text


def test_a_source_in_the_row_itself_is_not_believed(folder: Path) -> None:
    hostile = row("gone.wav")
    hostile["clips"][0]["source"] = "javascript:alert(1)"
    (shown_row,) = with_sounds([hostile], folder, folder.parent.parent, embedded=True)
    assert "javascript" not in html(audio(shown_row))
