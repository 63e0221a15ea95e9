"""ESC-50's and AudioSet's layouts, and what wins where a folder has several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trainables.corpora.corpus import Recording
from trainables.corpora.sound_layouts import read_sounds

Record = Callable[..., Path]
HEADER = "# Segments csv created Sun Mar  5 10:54:25 2017\n# YTID, start_seconds, end_seconds, positive_labels\n"


def esc50(record: Record, rows: str) -> Path:
    folder = record("audio/1-17367-A-10.wav").parent.parent
    record("audio/2-50665-A-20.wav")
    (folder / "meta").mkdir()
    (folder / "meta" / "esc50.csv").write_text("filename,fold,target,category,esc10,src_file,take\n" + rows)
    return folder


def test_esc50_gives_folds_and_sources(record: Record) -> None:
    rows = "2-50665-A-20.wav,2,20,crying_baby,True,50665,A\n1-17367-A-10.wav,1,10,rain,True,17367,A\n"
    folder = esc50(record, rows)
    assert read_sounds(folder) == (
        (
            Recording(folder / "audio/1-17367-A-10.wav", "rain", group="17367", split="fold1"),
            Recording(folder / "audio/2-50665-A-20.wav", "crying_baby", group="50665", split="fold2"),
        ),
        (),
    )


def test_an_esc50_list_without_its_columns_is_refused(record: Record) -> None:
    folder = record("audio/a.wav").parent.parent
    (folder / "meta").mkdir()
    (folder / "meta" / "esc50.csv").write_text("filename,label\na.wav,rain\n")
    with pytest.raises(ValueError, match=r"esc50\.csv: must hold rows with the columns category, filename, fold"):
        read_sounds(folder)


def test_a_manifest_wins_over_esc50(record: Record) -> None:
    folder = esc50(record, "2-50665-A-20.wav,2,20,crying_baby,True,50665,A\n")
    (folder / "manifest.csv").write_text("path,label\naudio/1-17367-A-10.wav,rain\n")
    assert [recording.label for recording in read_sounds(folder)[0]] == ["rain"]


def segments(record: Record, **lists: str) -> Path:
    folder = record("clips/Y--PJHxphWEs_30.000_40.000.wav").parent.parent
    record("clips/0cry_-_cry0.wav")
    record("YBabyBabyBab.flac")
    for name, rows in lists.items():
        (folder / f"{name}_segments.csv").write_text(HEADER + rows)
    return folder


SPEECH = '--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n'
SOBBING = '0cry_-_cry0, 0.000, 10.000, "/m/09x0r,/m/0463cq4"\n'
BABY = 'BabyBabyBab, 5.000, 15.000, "/t/dd00002"\n'
ABSENT = 'absent-0000, 5.000, 15.000, "/t/dd00002"\n'


def test_audioset_ids_of_cries_are_cries_and_lists_are_splits(record: Record) -> None:
    folder = segments(record, balanced_train=SPEECH + SOBBING, eval=BABY)
    recordings, doubts = read_sounds(folder)
    assert recordings == (
        Recording(folder / "clips/Y--PJHxphWEs_30.000_40.000.wav", "/m/09x0r", group="--PJHxphWEs", split="train"),
        Recording(folder / "clips/0cry_-_cry0.wav", "baby_cry", group="0cry_-_cry0", split="train"),
        Recording(folder / "YBabyBabyBab.flac", "baby_cry", group="BabyBabyBab", split="test"),
    )
    assert doubts == ()


def test_one_list_gives_no_splits_and_missing_clips_are_counted(record: Record) -> None:
    recordings, doubts = read_sounds(segments(record, eval=SPEECH + SOBBING + ABSENT))
    assert [recording.split for recording in recordings] == ["", ""]
    assert doubts == ("1 of 3 clips that AudioSet's lists name are not there",)


def test_a_list_of_absent_clips_alone_is_refused(record: Record) -> None:
    with pytest.raises(ValueError, match=r"holds none of the 1 clips that eval_segments\.csv lists"):
        read_sounds(segments(record, eval=ABSENT))


def test_a_row_of_another_shape_is_named(record: Record) -> None:
    with pytest.raises(ValueError, match=r"eval_segments\.csv, row 4: must be YTID, start_seconds, end_seconds"):
        read_sounds(segments(record, eval=SPEECH + "0cry_-_cry0, 0.000\n"))


def test_other_folders_are_classes(record: Record) -> None:
    folder = record("crying_baby/a.wav").parent.parent
    record("rain/b.wav")
    assert [recording.label for recording in read_sounds(folder)[0]] == ["crying_baby", "rain"]
    with pytest.raises(ValueError, match=r"--task: .* has no manifest\.csv"):
        read_sounds(folder, task="sound_event")
    with pytest.raises(ValueError, match="is not there"):
        read_sounds(folder / "absent")
