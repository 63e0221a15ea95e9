"""Samples of a test clip as sound: files for a trial's folder and the rows that play them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from trainables.corpora.audio import to_int16

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE_HZ = 16_000
SECONDS = 2.0


def audio_samples(
    signals: Mapping[str, NDArray[np.float32]], snrs_db: NDArray[np.float64], names: Mapping[int, str]
) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Rows of evaluation.json, and 16-bit FLAC files by name: the signals [clips, samples] of one clip for each SNR.

    `names` says in words what a clip is, for those that may be chosen; of each SNR the first of them. Clips are cut
    after 2 s, so that a report can hold them.
    """
    rows, files = [], {}
    for snr_db in np.unique(snrs_db).tolist():
        chosen = [clip for clip in names if snrs_db[clip] == snr_db]
        if not chosen:
            continue
        clip = chosen[0]
        listed = []
        for signal, clips in signals.items():
            name = f"{signal.replace(' ', '_')}_{snr_db:g}dB.flac"
            files[name] = flac(clips[clip][: round(SECONDS * RATE_HZ)])
            listed.append({"name": signal, "file": name})
        rows.append({"type": "audio", "title": f"Test clip at {snr_db:g} dB: {names[clip]}", "clips": listed})
    return rows, files


def flac(samples: NDArray[np.float32]) -> bytes:
    """Samples at 16 kHz as a FLAC file."""
    file = io.BytesIO()
    soundfile.write(file, to_int16(samples), RATE_HZ, format="FLAC", subtype="PCM_16")
    return file.getvalue()
