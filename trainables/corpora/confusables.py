"""Near misses of a word: edits of its phonemes, in espeak-ng's English mnemonics."""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np

# Neighbours in voicing, place or manner. Schwa-like vowels are left alone: accents differ by those.
_SETS = (
    ("p", "b", "t"),
    ("t", "d", "k"),
    ("t#", "d", "n"),
    ("k", "g", "t"),
    ("b", "p", "d"),
    ("d", "t", "g"),
    ("g", "k", "d"),
    ("f", "v", "T", "s"),
    ("v", "f", "b", "D"),
    ("T", "f", "s"),
    ("D", "v", "z"),
    ("s", "z", "S", "T"),
    ("z", "s", "Z", "d"),
    ("S", "s", "tS"),
    ("Z", "z", "dZ"),
    ("tS", "dZ", "S", "t"),
    ("dZ", "tS", "Z", "d"),
    ("m", "n", "b"),
    ("n", "m", "d"),
    ("N", "n", "m"),
    ("l", "r", "w"),
    ("r", "l", "w"),
    ("w", "v", "l"),
    ("j", "l", "w"),
    ("h", "f", "k"),
    ("i:", "eI", "u:"),
    ("I", "E", "V"),
    ("E", "I", "a", "eI"),
    ("a", "E", "0", "V"),
    ("aa", "E", "0", "V"),
    ("0", "V", "a", "u:"),
    ("V", "0", "a", "I"),
    ("u:", "i:", "aI", "A@"),
    ("U", "I", "V"),
    ("O:", "i:", "A@", "aI"),
    ("A:", "i:", "O:", "eI"),
    ("A@", "O@", "i@3", "aI"),
    ("O@", "A@", "i@3"),
    ("3:", "A@", "i:", "aI"),
    ("eI", "aI", "oU", "i:"),
    ("aI", "eI", "aU", "OI"),
    ("OI", "aI", "eI"),
    ("oU", "eI", "aU", "i:"),
    ("aU", "oU", "aI"),
)
_NEIGHBOURS = {first: rest for first, *rest in _SETS}
_STRESS = re.compile(r"[',%=]*")
_VOWEL = re.compile(r"[aAeEiI0oOuUV3@]")
_MAX_TRIES = 100


def near_miss(spelling: str, forbidden: Collection[str], random: np.random.Generator) -> str:
    """A phoneme string in double brackets that resembles `spelling`, but equals none of the `forbidden` ones.

    Most have other vowels (not schwas) and about half of their consonants replaced by neighbours; one in seven lacks
    its start or end, or has the two exchanged. (One other consonant would escape people in noise as well.) Spellings
    are as `espeak_voices.spell` gives them. A word that allows no edit, such as one schwa, is a `ValueError`.
    """
    word = _split(spelling)
    avoided = {_bare(_split(other)) for other in forbidden} | {_bare(word)}
    for _ in range(_MAX_TRIES):
        edited = _cut(word, random) if random.random() < 0.15 else _substituted(word, random)
        if edited and _bare(edited) not in avoided:
            return bracketed(edited)
    raise ValueError(f"--word: too short to have near misses; its phonemes are {spelling!r}")


def bracketed(phonemes: tuple[str, ...]) -> str:
    """Text that espeak-ng speaks as these phonemes."""
    return f"[[{'|'.join(phonemes)}]]"


def _split(spelling: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[| ]+", spelling.strip("[] ")) if part)


def _bare(phonemes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_STRESS.sub("", part, count=1) for part in phonemes)


def _substituted(word: tuple[str, ...], random: np.random.Generator) -> tuple[str, ...]:
    """Every vowel that can be and about half of the consonants changed for neighbours."""
    edited = [_neighbour(part, random) if _changes(part, random) else part for part in word]
    return tuple(edited)


def _changes(phoneme: str, random: np.random.Generator) -> bool:
    (bare,) = _bare((phoneme,))
    return bare in _NEIGHBOURS and (bool(_VOWEL.search(bare)) or random.random() < 0.5)


def _neighbour(phoneme: str, random: np.random.Generator) -> str:
    stress = _STRESS.match(phoneme)
    mark = stress[0] if stress else ""
    return mark + str(random.choice(_NEIGHBOURS[phoneme[len(mark) :]]))


def _cut(word: tuple[str, ...], random: np.random.Generator) -> tuple[str, ...]:
    """The word without its start or its end, or with the two parts exchanged; each part keeps a vowel."""
    places = [i for i in range(1, len(word)) if _has_vowel(word[:i]) and _has_vowel(word[i:])]
    if not places:
        return ()
    place = int(random.choice(places))
    start, end = word[:place], word[place:]
    return (start, end, end + start)[random.integers(3)]


def _has_vowel(part: tuple[str, ...]) -> bool:
    return any(_VOWEL.search(phoneme) for phoneme in _bare(part))
