"""Emotions, speakers and texts as the file names of TESS, RAVDESS, EmoDB and CREMA-D tell them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import final

from trainables.corpora.corpus import Recording

# Those of TESS, in the order of its source's table, then what only RAVDESS and EmoDB have.
EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad", "calm", "bored")

_SPELLINGS = {
    **{emotion: emotion for emotion in EMOTIONS},
    **dict.fromkeys(("anger", "ang"), "angry"),
    **dict.fromkeys(("disgusted", "dis"), "disgust"),
    **dict.fromkeys(("fearful", "afraid", "fea"), "fear"),
    **dict.fromkeys(("happiness", "joy", "hap"), "happy"),
    **dict.fromkeys(("neu",), "neutral"),
    **dict.fromkeys(("pleasant surprise", "pleasant surprised", "surprise", "surprised", "sur"), "ps"),
    **dict.fromkeys(("sadness",), "sad"),
    **dict.fromkeys(("boredom",), "bored"),
}
_RAVDESS = dict(zip("12345678", ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "ps"), strict=True))
_EMODB = dict(zip("WLEAFTN", ("angry", "bored", "disgust", "fear", "happy", "sad", "neutral"), strict=True))
_NAMES = {
    "tess": re.compile(r"(?P<speaker>[A-Z0-9-]+)_(?P<text>[^_]+)_(?P<emotion>[a-z_ ]+)", re.IGNORECASE),
    # Modality, speech (not song), emotion, intensity, statement, repetition, actor.
    "ravdess": re.compile(r"0[1-3]-01-0(?P<emotion>[1-8])-0[12]-(?P<text>0[12])-0[12]-(?P<speaker>\d\d)"),
    "emodb": re.compile(r"(?P<speaker>\d\d)(?P<text>[ab]\d\d)(?P<emotion>[WLEAFTN])[a-f]"),
    "crema-d": re.compile(r"(?P<speaker>\d{4})_(?P<text>[A-Z]{3})_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_[A-Z]{1,2}"),
}
# TESS has one file OA_bite_neutral.wav among those of OAF.
_ACTRESSES = {"OA": "OAF", "YA": "YAF"}


@final
class UnknownEmotionError(ValueError):
    """A word that names no emotion."""


def emotion_of(word: str) -> str:
    """The emotion that a label or a folder names, in one spelling: `YAF_pleasant_surprised` is `ps`.

    An `UnknownEmotionError` where it names none.
    """
    plain = re.sub(r"[_\s-]+", " ", word).strip().lower()
    known = _SPELLINGS.get(re.sub(r"^(oaf|yaf) ", "", plain))
    if known is None:
        raise UnknownEmotionError(f"label: {word!r} names no emotion; there are {', '.join(EMOTIONS)}")
    return known


def recording_of(path: Path) -> Recording | None:
    """What the name of a file says: label, speaker and text; None for a name of another kind."""
    for corpus, pattern in _NAMES.items():
        match = pattern.fullmatch(path.stem)
        emotion = _emotion(corpus, match["emotion"]) if match else ""
        if match and emotion:
            return Recording(path, emotion, speaker=_speaker(corpus, match["speaker"]), text=match["text"].lower())
    return None


def _emotion(corpus: str, code: str) -> str:
    if corpus in ("ravdess", "emodb"):
        return {"ravdess": _RAVDESS, "emodb": _EMODB}[corpus][code]
    try:
        return emotion_of(code)
    except UnknownEmotionError:
        return ""


def _speaker(corpus: str, name: str) -> str:
    # Actors are numbered in three of the corpora: only with its corpus is a number a name.
    return _ACTRESSES.get(name.upper(), name.upper()) if corpus == "tess" else f"{corpus}-{name}"
