"""The command `data DIR`: what it counts and finds, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from search.data_report import main

Record = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTSTILL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten speakers who say two words twice each, in half a second."""
    random = np.random.default_rng(0)
    for word in ("yes", "no"):
        (tmp_path / "data" / word).mkdir(parents=True)
        for name in (f"s{s}_nohash_{n}.wav" for s in range(10) for n in range(2)):
            soundfile.write(tmp_path / "data" / word / name, random.normal(0, 0.1, 8_000), 16_000)
    return tmp_path / "data"


def report(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, Any], str]:
    code = main([str(folder), "--json", *options])
    out, err = capsys.readouterr()
    return code, json.loads(out), err


def write_manifest(folder: Path, splits: dict[str, str]) -> None:
    """Every clip in train, except the speakers named."""
    lines = ["path,label,speaker,split"]
    for path in sorted(folder.rglob("*.wav")):
        speaker = path.name.split("_")[0]
        split = splits.get(path.stem, splits.get(speaker, "train"))
        lines.append(f"{path.relative_to(folder).as_posix()},{path.parent.name},{speaker},{split}")
    (folder / "manifest.csv").write_text("\n".join(lines))


def test_counts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(folder / "yes" / "s0_nohash_9.wav", np.random.default_rng(9).normal(0, 0.1, 8_000), 8_000)
    code, facts, err = report(folder, capsys)
    assert (code, err) == (0, "")
    assert (facts["files"], facts["clips"], facts["speakers"], facts["seconds"]) == (41, 41, 10, 21.0)
    assert facts["sample_rates_hz"] == {"8000": 1, "16000": 40}
    assert facts["labels"] == [
        {"label": "no", "split": "", "clips": 20, "speakers": 10, "seconds": 10.0},
        {"label": "yes", "split": "", "clips": 21, "speakers": 10, "seconds": 11.0},
    ]
    assert facts["split"]["rule"] == "by speaker"
    assert sum(row["clips"] for row in facts["split"]["rows"]) == 41


def test_split_preview_is_of_the_word(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, facts, _ = report(folder, capsys, "--word", "yes")
    rows = {row["split"]: row for row in facts["split"]["rows"]}
    assert facts["split"]["speaker_disjoint"]
    assert set(rows["test"]["labels"]) == {"_other_", "yes"}
    assert sum(row["speakers"] for row in rows.values()) == 10
    _, facts, _ = report(folder, capsys, "--word", "yes", "--split", "random")
    assert (facts["split"]["rule"], facts["split"]["speaker_disjoint"]) == ("random", False)
    assert facts["warnings"][0].startswith("--split random: speakers are not kept apart")


def test_duplicates_are_found_under_any_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples, rate = soundfile.read(folder / "yes" / "s1_nohash_0.wav", dtype="int16")
    soundfile.write(folder / "no" / "copy.flac", samples, rate)
    _, facts, _ = report(folder, capsys)
    paths = ["no/copy.flac", "yes/s1_nohash_0.wav"]
    assert facts["duplicates"] == [{"paths": paths, "labels": ["no", "yes"], "splits": []}]


def test_leaks_between_given_splits_are_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_manifest(folder, {"s8": "validation", "s9": "test", "s0_nohash_1": "test"})
    code, facts, _ = report(folder, capsys, "--word", "yes")
    assert code == 0
    assert [(leak["kind"], leak["value"], leak["splits"]) for leak in facts["leaks"]] == [
        ("speaker", "s0", ["test", "train"])
    ]
    assert facts["split"]["rule"] == "by speaker"
    assert "the given splits leak and are drawn anew" in facts["warnings"][0]


def test_unreadable_files_are_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "yes" / "s0_nohash_0.wav").write_bytes(b"")
    code, facts, _ = report(folder, capsys)
    assert (code, facts["files"], facts["clips"]) == (0, 40, 39)
    assert facts["unreadable"] == [{"path": "yes/s0_nohash_0.wav", "problem": "is empty (0 bytes)"}]


def test_data_that_training_would_refuse_are_still_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(2):
        for speaker in range(2):
            (folder / "yes" / f"s{speaker}_nohash_{n}.wav").write_bytes(b"")
    code, facts, err = report(folder, capsys, "--word", "yes")
    assert (code, facts["split"], len(facts["unreadable"])) == (2, None, 4)
    assert "error: --data: 4 of 40 files cannot be read, more than 5%" in err
    assert facts["refusal"] in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--word", "maybe"], "error: --word: the data hold no clip of 'maybe'; there are no, yes"),
        (["--task", "x"], "has no manifest.csv to pick a task from"),
    ],
)
def test_bad_input_ends_with_2(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main([str(folder), *options]) == 2
    assert message in capsys.readouterr().err


def test_missing_folder_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "nowhere is not there" in capsys.readouterr().err


def test_text_shows_the_same_facts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_manifest(folder, {"s8": "validation", "s9": "test", "s0_nohash_1": "test"})
    (folder / "no" / "s5_nohash_0.wav").write_bytes((folder / "yes" / "s5_nohash_0.wav").read_bytes())
    (folder / "no" / "s6_nohash_0.wav").write_bytes(b"")
    assert main([str(folder), "--word", "yes"]) == 0
    text = capsys.readouterr().out
    for line in (
        "39 clips in 40 files, 19.5 s, 10 speakers; 39 at 16000 Hz",
        "duplicates (same audio): 1\n  no/s5_nohash_0.wav = yes/s5_nohash_0.wav under the labels no, yes",
        "leaks between given splits: 1\n  speaker s0 in test, train (4 clips)",
        "unreadable: 1\n  no/s6_nohash_0.wav: is empty (0 bytes)",
        "split preview: by speaker, speaker-disjoint",
        "warning: the given splits leak",
    ):
        assert line in text


def test_long_lists_are_cut_in_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, path in enumerate(sorted((folder / "yes").glob("*.wav"))[:12]):
        (folder / "no" / f"copy{number}.wav").write_bytes(path.read_bytes())
    main([str(folder)])
    assert "duplicates (same audio): 12\n" in (text := capsys.readouterr().out)
    assert text.count(" = ") == 10
    assert "  and 2 more" in text
