"""Reading manifest.csv: what it may hold, and each message for what it may not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trainables.corpora.corpus import Recording
from trainables.corpora.manifest import read_manifest


@pytest.fixture
def folder(record: Callable[..., Path]) -> Path:
    for name in ("a.wav", "b.wav", "sub/c.wav"):
        path = record(name)
    record("../outside.wav")
    return path.parent.parent


def manifest(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    (folder / "manifest.csv").write_text(text, encoding=encoding)
    return folder


def test_every_column_is_read_and_others_ignored(folder: Path) -> None:
    text = "x,path,label,task,split,speaker,group\n1,sub/c.wav,dog,sounds,val,s1,g1\n1,a.wav,cat,sounds,fold12,,\n"
    assert read_manifest(manifest(folder, text)) == (
        Recording(folder / "a.wav", "cat", "", "", "fold12", "sounds"),
        Recording(folder / "sub/c.wav", "dog", "s1", "g1", "validation", "sounds"),
    )


def test_path_and_label_are_enough(folder: Path) -> None:
    recordings = read_manifest(manifest(folder, 'path,label\nb.wav,"dog, big"\n\na.wav,cat\n'))
    assert recordings == (Recording(folder / "a.wav", "cat"), Recording(folder / "b.wav", "dog, big"))


def test_spreadsheets_byte_order_mark_and_spaces_do_no_harm(folder: Path) -> None:
    recordings = read_manifest(manifest(folder, "path, label\na.wav, cat \n", "utf-8-sig"))
    assert recordings == (Recording(folder / "a.wav", "cat"),)


def test_task_picks_rows_and_spares_the_others_checks(folder: Path) -> None:
    text = "path,label,task\na.wav,cat,sounds\nmissing.wav,dog,speech\n"
    assert [r.label for r in read_manifest(manifest(folder, text), "sounds")] == ["cat"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.wav,cat\n", r"manifest.csv, row 1: .*path and label; path missing among 'file', 'label'"),
        ("path;label\na.wav;cat\n", r"row 1: .*path, label missing among 'path;label'"),
        ("", r"row 1: .*path, label missing among none"),
        ("path,label,label\na.wav,cat,x\n", r"row 1: column 'label' stands there more than once"),
        ("path,label\n", "holds no rows below its heading"),
        (
            "path,label\na.wav,cat\n../outside.wav,cat\n",
            r"row 3, field path: must stay inside .*data, not '../outside.wav'",
        ),
        ("path,label\n/etc/hostname,cat\n", r"row 2, field path: must stay inside .*, not '/etc/hostname'"),
        ("path,label\nlink.wav,cat\n", r"row 2, field path: must stay inside .*, not 'link.wav'"),
        ("path,label\nnone.wav,cat\n", r"row 2, field path: must be a file in .*, not 'none.wav'"),
        ("path,label\nsub,cat\n", r"row 2, field path: must be a file in .*, not 'sub'"),
        ("path,label\n,cat\n", r"row 2, field path: must not be empty, not ''"),
        ("path,label\na.wav,\n", r"row 2, field label: must not be empty, not ''"),
        ("path,label\na.wav\n", r"row 2, field label: must not be empty, not ''"),
        ("path,label\na.wav,cat\nsub/../a.wav,dog\n", r"row 3, field path: must not repeat row 2, not 'sub/../a.wav'"),
        (
            "path,label,split\na.wav,cat,dev\n",
            r"row 2, field split: must be train, validation, test or foldN, not 'dev'",
        ),
        ("path,label,split\na.wav,cat,fold\n", r"row 2, field split: .*, not 'fold'"),
    ],
)
def test_broken_rules_name_file_row_field_rule_and_value(folder: Path, text: str, message: str) -> None:
    (folder / "link.wav").symlink_to(folder.parent / "outside.wav")
    with pytest.raises(ValueError, match=r"manifest\.csv.*" + message.removeprefix("manifest.csv")):
        read_manifest(manifest(folder, text))


def test_other_encodings_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"manifest.csv: must be text in UTF-8 \(.*at byte 17\)"):
        read_manifest(manifest(folder, "path,label\na.wav,é\n", "latin-1"))


def test_task_that_is_not_there_lists_those_that_are(folder: Path) -> None:
    text = "path,label,task\na.wav,cat,sounds\nb.wav,dog,speech\n"
    with pytest.raises(ValueError, match=r"--task: .*holds no task 'x'; there are sounds, speech"):
        read_manifest(manifest(folder, text), "x")


def test_task_without_its_column_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"--task: .*manifest.csv has no column 'task'; leave --task out"):
        read_manifest(manifest(folder, "path,label\na.wav,cat\n"), "sounds")
