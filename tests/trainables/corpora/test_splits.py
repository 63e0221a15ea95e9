"""Splits: shares, what is kept together, given splits, and what is refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.corpora.corpus import SPLITS, Clip
from trainables.corpora.leaks import Leak, bound_sets, describe_leaks, find_leaks
from trainables.corpora.splits import SplitMode, split_clips


def clip(number: int, label: str = "yes", speaker: str = "", group: str = "", split: str = "", audio: str = "") -> Clip:
    return Clip(Path(f"{number:05}.wav"), label, label, speaker, group, split, audio or f"audio-{number}", 1.0, 16_000)


def crowd(speakers: int, each: int = 1, labels: tuple[str, ...] = ("yes", "no")) -> list[Clip]:
    pairs = [(f"s{s}", label) for s in range(speakers) for label in labels for _ in range(each)]
    return [clip(i, label, speaker) for i, (speaker, label) in enumerate(pairs)]


def given_split(speakers: int = 60) -> list[Clip]:
    """Speakers in tens: eight for train, one for validation, one for test."""
    place = {8: "validation", 9: "test"}
    return [replace(c, split=place.get(int(c.speaker[1:]) % 10, "train")) for c in crowd(speakers, 4)]


def test_shares_are_70_15_15_of_each_label() -> None:
    clips = [*crowd(200, 2), *(clip(10_000 + i, "yes", f"t{i}") for i in range(100))]
    result = split_clips(clips, "speaker", 0, ("yes", "no"))
    assert (result.rule, result.speaker_disjoint, result.warnings) == ("by speaker", True, ())
    for label, total in Counter(c.label for c in clips).items():
        count = Counter(c.split for c in result.clips if c.label == label)
        for split, share in zip(SPLITS, (0.7, 0.15, 0.15), strict=True):
            assert count[split] / total == pytest.approx(share, abs=0.02)


bonds = st.sampled_from(["", "a", "b", "c", "d", "e", "f"])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["yes", "no"]), bonds, bonds, bonds), min_size=1, max_size=30), st.integers(0, 5)
)
def test_nothing_bound_together_is_torn_apart(rows: list[tuple[str, str, str, str]], seed: int) -> None:
    clips = [clip(i, label, speaker, group, audio=audio) for i, (label, speaker, group, audio) in enumerate(rows)]
    result = split_clips(clips, "speaker", seed)
    assert [c.path for c in result.clips] == [c.path for c in clips]
    assert {c.split for c in result.clips} <= set(SPLITS)
    assert find_leaks(result.clips) == ()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=3, max_size=12), st.integers(0, 5))
def test_every_split_has_the_word_where_three_speakers_say_it(sizes: list[int], seed: int) -> None:
    clips = [clip(1000 * s + i, "yes", f"s{s}") for s, size in enumerate(sizes) for i in range(size)]
    clips += [clip(90_000 + i, "no", f"other{i}") for i in range(3)]
    result = split_clips(clips, "speaker", seed, ("yes", "no"))
    assert {(c.split, c.label) for c in result.clips} == {(split, label) for split in SPLITS for label in ("yes", "no")}


def test_split_is_stable_for_a_seed_and_another_for_another() -> None:
    clips = crowd(40, 2)

    def drawn(order: list[Clip], seed: int) -> dict[Path, str]:
        return {c.path: c.split for c in split_clips(order, "speaker", seed).clips}

    assert drawn(clips, 1) == drawn(clips, 1) == drawn(clips[::-1], 1)
    assert drawn(clips, 1) != drawn(clips, 2)


def test_silent_clips_are_no_copies_of_each_other() -> None:
    clips = [replace(clip(i, audio="zeros"), silent=True) for i in range(20)]
    assert len(set(bound_sets(clips).tolist())) == 20
    assert set(bound_sets([replace(c, silent=False) for c in clips]).tolist()) == {0}


def test_too_few_speakers_of_the_word_are_refused() -> None:
    clips = [*(clip(i, "yes", f"s{i % 2}") for i in range(10)), *(clip(20 + i, "no", f"t{i}") for i in range(9))]
    with pytest.raises(
        ValueError, match=r"no speaker-disjoint split is possible: 'yes' comes from 2 speaker\(s\).*--split random"
    ):
        split_clips(clips, "speaker", 0, ("yes", "no"))


def test_random_split_ignores_speakers_and_says_so() -> None:
    clips = [*(clip(i, "yes", "one") for i in range(200)), *(clip(500 + i, "no", "one") for i in range(200))]
    result = split_clips(clips, "random", 0, ("yes", "no"))
    assert (result.rule, result.speaker_disjoint) == ("random", False)
    assert result.warnings == ("--split random: speakers are not kept apart, so the scores are too good",)
    assert Counter((c.split, c.label) for c in result.clips) == {
        (split, label): count for split, count in zip(SPLITS, (140, 30, 30), strict=True) for label in ("yes", "no")
    }


def test_random_split_of_two_clips_is_refused() -> None:
    clips = [clip(0), clip(1), *(clip(10 + i, "no") for i in range(9))]
    with pytest.raises(ValueError, match=r"split: \w+ holds no 'yes' \(split random\); add clips"):
        split_clips(clips, "random", 0, ("yes", "no"))


def test_clips_with_speakers_of_their_own_are_never_called_speaker_disjoint() -> None:
    for named in (True, False):
        clips = [clip(i, ("yes", "no")[i % 2], f"s{i}" if named else "") for i in range(300)]
        result = split_clips(clips, "speaker", 0, ("yes", "no"))
        assert (result.rule, result.speaker_disjoint) == ("by clip", False)
        assert "no two clips name the same speaker: the split may not be speaker-disjoint" in result.warnings[0]


def test_groups_alone_are_kept_together_and_the_rule_says_so() -> None:
    clips = [clip(i, ("yes", "no")[i % 2], group=f"g{i // 4}") for i in range(400)]
    result = split_clips(clips, "speaker", 0, ("yes", "no"))
    assert (result.rule, result.speaker_disjoint) == ("by group", False)


def test_clips_without_speakers_among_others_are_doubted() -> None:
    result = split_clips([*crowd(100, 2), clip(9_000, "no")], "speaker", 0, ("yes", "no"))
    assert (result.rule, result.speaker_disjoint) == ("by speaker where one is known", False)
    assert result.warnings == ("1 clips name no speaker: the split is speaker-disjoint only among the others",)


def test_given_splits_without_leaks_are_kept() -> None:
    clips = given_split()
    result = split_clips(clips, "speaker", 0, ("yes", "no"))
    assert (result.clips, result.rule, result.speaker_disjoint) == (tuple(clips), "given", True)
    assert (result.warnings, result.dropped) == ((), ())


def test_given_splits_that_leak_speakers_are_drawn_anew() -> None:
    clips = [replace(c, speaker="s0") if c.speaker == "s9" else c for c in given_split()]
    result = split_clips(clips, "speaker", 0, ("yes", "no"))
    assert (result.rule, result.speaker_disjoint) == ("by speaker", True)
    assert "the given splits leak and are drawn anew by speaker: speaker 's0' is in test, train" in result.warnings[0]
    assert not find_leaks(result.clips)


def test_given_splits_that_leak_are_trusted_on_demand() -> None:
    clips = [replace(c, speaker="s0") if c.speaker == "s9" else c for c in given_split()]
    result = split_clips(clips, "given", 0, ("yes", "no"))
    assert (result.clips, result.rule, result.speaker_disjoint) == (tuple(clips), "given", False)
    assert result.warnings == ("--split given: trusted although it leaks: speaker 's0' is in test, train",)


def test_copies_stay_in_the_test_split_only() -> None:
    clips = given_split()
    first = {split: next(c for c in clips if c.split == split) for split in SPLITS}
    clips = [replace(c, audio_hash="same") if c in first.values() else c for c in clips]
    result = split_clips(clips, "speaker", 0, ("yes", "no"))
    assert result.rule == "given"
    assert {path for path, _ in result.dropped} == {first["train"].path, first["validation"].path}
    assert f"the same audio as {first['test'].path} in test" in result.dropped[0][1]
    assert result.warnings == ("2 clips are left out: the same audio is in another of the given splits",)
    assert not find_leaks(result.clips)


def test_validation_is_carved_out_of_train_where_none_is_given() -> None:
    clips = [replace(c, split="train") if c.split == "validation" else c for c in given_split()]
    result = split_clips(clips, "speaker", 0, ("yes", "no"))
    assert (result.rule, result.speaker_disjoint) == ("given, with validation taken out of train", True)
    before, after = ({c.path for c in group if c.split == "test"} for group in (clips, result.clips))
    assert before == after
    share = sum(c.split == "validation" for c in result.clips) / sum(c.split != "test" for c in result.clips)
    assert share == pytest.approx(0.15, abs=0.03)
    assert "the given splits have no validation" in result.warnings[0]


def test_given_splits_without_test_are_drawn_anew() -> None:
    clips = [replace(c, split="train") if c.split == "test" else c for c in given_split()]
    result = split_clips(clips, "speaker", 0, ("yes", "no"))
    assert result.rule == "by speaker"
    assert result.warnings[0] == "the given splits have no test: all are drawn anew by speaker"


def test_last_fold_is_test_and_the_one_before_it_validation() -> None:
    clips = [replace(c, split=f"fold{9 + int(c.speaker[1:]) % 3}") for c in crowd(60, 2)]
    result = split_clips(clips, "speaker", 0)
    wanted = {"fold9": "train", "fold10": "validation", "fold11": "test"}
    assert [c.split for c in result.clips] == [wanted[c.split] for c in clips]


@pytest.mark.parametrize("names", [("fold1", "fold2"), ("fold1", "fold2", "fold3", "train")])
def test_folds_that_make_no_split_are_refused(names: tuple[str, ...]) -> None:
    clips = [replace(c, split=names[i % len(names)]) for i, c in enumerate(crowd(20))]
    with pytest.raises(
        ValueError, match=r"split: folds must be three or more, without other splits; there are fold1, fold2"
    ):
        split_clips(clips, "speaker", 0)


def test_splits_given_for_some_files_only_are_refused() -> None:
    clips = [replace(given_split()[0], split=""), *given_split()[1:]]
    with pytest.raises(ValueError, match=r"split: 00000.wav has none while other files have"):
        split_clips(clips, "speaker", 0)
    with pytest.raises(ValueError, match=r"--split given: the data give no split for 00000.wav"):
        split_clips(clips, "given", 0)


def test_unknown_mode_lists_those_there_are() -> None:
    mode: SplitMode = "fair"  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"--split: 'fair' is unknown; use speaker, random, given"):
        split_clips(crowd(3), mode, 0)


def test_given_split_without_the_word_is_refused() -> None:
    clips = [c for c in given_split() if (c.split, c.label) != ("test", "yes")]
    with pytest.raises(ValueError, match=r"split: test holds no 'yes' \(split given\)"):
        split_clips(clips, "speaker", 0, ("yes", "no"))


def test_scarce_labels_are_warned_about() -> None:
    result = split_clips(crowd(6, 3), "speaker", 0, ("yes", "no"))
    assert "fewer than 20 clips: train 12 of 'yes'" in result.warnings[0]


def test_leaks_are_found_by_kind() -> None:
    clips = [clip(0, speaker="x", split="train"), clip(1, speaker="x", split="test"), clip(2, group="g", split="train")]
    clips += [clip(3, group="g", split="validation"), clip(4, speaker="y", split="train", audio="audio-0")]
    assert find_leaks(clips) == (
        Leak("speaker", "x", ("test", "train"), (clips[0].path, clips[1].path)),
        Leak("group", "g", ("train", "validation"), (clips[2].path, clips[3].path)),
    )
    assert describe_leaks(find_leaks(clips)) == "speaker 'x' is in test, train (2 leaks in all)"
