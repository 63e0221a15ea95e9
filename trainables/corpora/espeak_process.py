"""The espeak-ng library, driven by ctypes in a process of its own because it keeps global state.

Run as a script: a JSON request on standard input, raw 16-bit samples into the file named, a JSON answer on
standard output.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import espeakng_loader

# From speak_lib.h of espeak-ng 1.52.
_SYNCHRONOUS = 2
_UTF8_WITH_PHONEMES = 0x1 | 0x100
_PARAMETERS = {"rate": 1, "pitch": 3, "range": 4}
_SEPARATED_MNEMONICS = ord("|") << 8
_DATA_FILES = ("phondata", "phonindex", "phontab", "intonations", "en_dict")

_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@final
class _Engine:
    """The library over a copy of its English data that holds our voice variants as well."""

    def __init__(self, home: Path, variants: Mapping[str, str]) -> None:
        _copy_data(home / "espeak-ng-data", variants)
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self.sample_rate_hz = int(self._library.espeak_Initialize(_SYNCHRONOUS, 0, str(home).encode(), 0))
        if self.sample_rate_hz <= 0:
            raise RuntimeError("espeak-ng does not start on its data")
        # Initialising has seeded the generator of breath noise with the time.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        self._heard = bytearray()
        # The library keeps only the pointer: the callback must live as long as the engine.
        self._callback = _CALLBACK(self._hear)
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, utterance: Mapping[str, Any]) -> bytes:
        """Samples of `text` (phonemes in double brackets) by `voice` at `rate`, `pitch` and `range`."""
        self._choose(utterance["voice"])
        for name, number in _PARAMETERS.items():
            self._library.espeak_SetParameter(number, int(utterance[name]), 0)
        text = str(utterance["text"]).encode()
        self._heard.clear()
        failed = self._library.espeak_Synth(text, len(text) + 1, 0, 1, 0, _UTF8_WITH_PHONEMES, None, None)
        if failed or self._library.espeak_Synchronize():
            raise RuntimeError(f"espeak-ng does not say {utterance['text']!r}")
        return bytes(self._heard)

    def phonemes(self, voice: str, text: str) -> str:
        """Mnemonics in the table of the voice's language, `|` between phonemes and a space between words."""
        self._choose(voice)
        cursor = ctypes.c_char_p(text.encode())
        found = self._library.espeak_TextToPhonemes(ctypes.byref(cursor), 1, _SEPARATED_MNEMONICS)
        return str((found or b"").decode())

    def _choose(self, voice: str) -> None:
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise RuntimeError(f"espeak-ng has no voice {voice!r}")

    def _hear(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._heard += ctypes.string_at(samples, 2 * count)
        return 0


def _copy_data(target: Path, variants: Mapping[str, str]) -> None:
    source = Path(espeakng_loader.get_data_path())
    (target / "voices" / "!v").mkdir(parents=True)
    for name in _DATA_FILES:
        shutil.copy(source / name, target / name)
    shutil.copytree(source / "lang" / "gmw", target / "lang" / "gmw")
    for name, text in variants.items():
        (target / "voices" / "!v" / name).write_text(text, encoding="utf-8")


def _answer(request: Mapping[str, Any], engine: _Engine, samples_path: Path) -> dict[str, Any]:
    lengths = []
    with samples_path.open("wb") as file:
        for utterance in request["utterances"]:
            lengths.append(file.write(engine.say(utterance)) // 2)
    phonemes = [engine.phonemes(voice, text) for voice, text in request["spell"]]
    return {"sample_rate_hz": engine.sample_rate_hz, "lengths": lengths, "phonemes": phonemes}


def _main() -> None:
    request = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as home:
        engine = _Engine(Path(home), request["variants"])
        json.dump(_answer(request, engine, Path(sys.argv[1])), sys.stdout)


if __name__ == "__main__":
    _main()
