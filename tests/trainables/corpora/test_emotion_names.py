"""Names of the published emotion corpora, as their authors describe them."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainables.corpora.emotion_names import EMOTIONS, UnknownEmotionError, emotion_of, recording_of


@pytest.mark.parametrize(
    ("name", "label", "speaker", "text"),
    [
        ("OAF_back_angry.wav", "angry", "OAF", "back"),
        ("YAF_youth_ps.wav", "ps", "YAF", "youth"),
        ("OA_bite_neutral.wav", "neutral", "OAF", "bite"),
        ("YAF_home_Pleasant_Surprised.wav", "ps", "YAF", "home"),
        ("03-01-06-01-02-01-12.wav", "fear", "ravdess-12", "02"),
        ("03-01-02-01-01-01-01.wav", "calm", "ravdess-01", "01"),
        ("03-01-08-02-01-02-24.wav", "ps", "ravdess-24", "01"),
        ("03a01Fa.wav", "happy", "emodb-03", "a01"),
        ("16b10Wb.wav", "angry", "emodb-16", "b10"),
        ("11b03Ld.wav", "bored", "emodb-11", "b03"),
        ("1001_DFA_ANG_XX.wav", "angry", "crema-d-1001", "dfa"),
        ("1040_ITH_SAD_X.wav", "sad", "crema-d-1040", "ith"),
    ],
)
def test_names_tell_emotion_speaker_and_text(name: str, label: str, speaker: str, text: str) -> None:
    found = recording_of(Path(name))
    assert found is not None
    assert (found.label, found.speaker, found.text) == (label, speaker, text)


@pytest.mark.parametrize(
    "name",
    ["voice03_nohash_2.wav", "take one.wav", "OAF_back_hungry.wav", "03-02-06-01-02-01-12.wav", "1001_DFA_XYZ_XX.wav"],
)
def test_other_names_tell_nothing(name: str) -> None:
    assert recording_of(Path(name)) is None


@pytest.mark.parametrize(
    ("written", "emotion"),
    [
        ("OAF_Fear", "fear"),
        ("YAF_pleasant_surprised", "ps"),
        ("OAF_Pleasant_surprise", "ps"),
        ("Happiness", "happy"),
        ("YAF_disgust", "disgust"),
        ("OAF_Sad", "sad"),
        ("fearful", "fear"),
    ],
)
def test_spellings_of_folders(written: str, emotion: str) -> None:
    assert emotion_of(written) == emotion


def test_every_emotion_names_itself() -> None:
    assert [emotion_of(emotion) for emotion in EMOTIONS] == list(EMOTIONS)


def test_an_unknown_emotion_lists_those_there_are() -> None:
    with pytest.raises(UnknownEmotionError, match="'hungry' names no emotion; there are angry, disgust"):
        emotion_of("hungry")
    with pytest.raises(UnknownEmotionError, match="'not happy' names no emotion"):
        emotion_of("not happy")
