"""The baby-cry task: which labels are cries, windows that no split parts, folds that go around with the seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from spaces.baby_cry import WINDOW_SECONDS
from trainables.corpora.audio import load_audio
from trainables.corpora.corpus import SPLITS, Clip, Corpus, Recording
from trainables.corpora.cry_task import HOP_SECONDS, OTHER, cry_labels, open_cries
from trainables.corpora.sound_layouts import CRY
from trainables.corpora.windows import cut_into_windows

Record = Callable[..., Path]
RATE_HZ = 16_000


def named(*labels: str) -> tuple[Recording, ...]:
    return tuple(Recording(Path(label), label) for label in labels)


@pytest.mark.parametrize("label", ["baby_cry", "crying_baby", "cry", "Baby Cry", "301 - Crying baby", "babycry"])
def test_labels_named_like_a_cry(label: str) -> None:
    assert cry_labels(None, named(label, "dog", "no_cry", "not crying", "scryer")) == (label,)


def test_another_label_can_be_named() -> None:
    assert cry_labels("dog", named("baby_cry", "dog")) == ("dog",)
    with pytest.raises(ValueError, match="--word: the data hold no clip of 'cat'; name one of baby_cry, dog"):
        cry_labels("cat", named("baby_cry", "dog"))
    with pytest.raises(ValueError, match="--word: no label is named like a cry; name one of dog, rain"):
        cry_labels(None, named("dog", "rain"))
    with pytest.raises(ValueError, match="--data: nothing but baby_cry; recordings of other sounds are needed"):
        cry_labels(None, named("baby_cry"))


def clip_of(seconds: float) -> Clip:
    return Clip(Path("a.wav"), CRY, "cry", "", "", "train", "f00d", seconds, RATE_HZ)


@given(st.floats(0.01, 60))
def test_windows_lie_inside_and_leave_less_than_a_hop(seconds: float) -> None:
    windows = cut_into_windows([clip_of(seconds)], WINDOW_SECONDS, HOP_SECONDS)
    starts = [window.start_seconds for window in windows if window.start_seconds is not None]
    assert starts == [n * HOP_SECONDS for n in range(len(windows))]
    end = starts[-1] + WINDOW_SECONDS
    assert seconds < WINDOW_SECONDS or end - 1e-6 <= seconds < end + HOP_SECONDS
    assert len(windows) == 1 or seconds >= WINDOW_SECONDS
    assert {window.group for window in windows} == {"f00d"}
    assert len({window.audio_hash for window in windows}) == len(windows)


def write_folds(folder: Path, folds: int, seconds: float = 2.0) -> Path:
    rng = np.random.default_rng(0)
    rows = ["path,label,task,split"]
    for fold in range(1, folds + 1):
        for label in ("baby_cry", "rain"):
            for take in range(2):
                path = folder / f"{label}{fold}{take}.wav"
                soundfile.write(path, rng.normal(0, 0.1, int(seconds * RATE_HZ)), RATE_HZ, subtype="PCM_16")
                rows.append(f"{path.name},{label},sound_event,fold{fold}")
    (folder / "manifest.csv").write_text("\n".join(rows))
    return folder


def sources(corpus: Corpus) -> dict[str, set[str]]:
    found = defaultdict(set)
    for clip in corpus.clips:
        found[clip.split].add(clip.path.as_posix())
    return dict(found)


@pytest.mark.parametrize(("seed", "test", "validation"), [(0, "1", "2"), (3, "4", "5"), (4, "5", "1"), (5, "1", "2")])
def test_folds_go_around_with_the_seed(tmp_path: Path, seed: int, test: str, validation: str) -> None:
    corpus = open_cries(write_folds(tmp_path, 5), task="sound_event", seed=seed)
    found = sources(corpus)
    assert {name.removesuffix(".wav")[-2] for name in found["test"]} == {test}
    assert {name.removesuffix(".wav")[-2] for name in found["validation"]} == {validation}
    assert corpus.split_rule == f"given: fold{test} for test, fold{validation} for validation"
    # Each of 20 recordings of 2 s holds three windows.
    assert len(corpus.clips) == 60
    assert {clip.label for clip in corpus.clips} == {CRY, OTHER}


def test_windows_are_cut_from_their_recording(tmp_path: Path) -> None:
    corpus = open_cries(write_folds(tmp_path, 3))
    audio = load_audio(corpus, 15_600)
    for row, clip in zip(audio, corpus.clips, strict=True):
        assert clip.start_seconds is not None
        start = round(clip.start_seconds * RATE_HZ)
        expected, _ = soundfile.read(clip.path, dtype="int16")
        np.testing.assert_array_equal(row, expected[start : start + 15_600])


@pytest.mark.parametrize("seed", [0, 1])
def test_no_recording_is_in_two_splits(record: Record, seed: int) -> None:
    folder = record("crying_baby/0.wav", samples=40_000).parent.parent
    for number in range(1, 12):
        record(f"crying_baby/{number}.wav", samples=40_000)
        record(f"dog/{number}.wav", samples=20_000)
    found = sources(open_cries(folder, seed=seed))
    assert set(found) == set(SPLITS)
    assert not any(found[a] & found[b] for a in SPLITS for b in SPLITS if a < b)


def test_the_corpus_of_its_own_parts_sources() -> None:
    corpus = open_cries(None)
    assert corpus.synthetic
    speakers = [corpus.speakers(split) for split in SPLITS]
    assert len(frozenset.union(*speakers)) == sum(map(len, speakers))
    assert {clip.source_label for clip in corpus.clips} >= {CRY, "speech", "alarm", "rain", "hum", "tones", "quiet"}
    assert not corpus.warnings
